"""The container's health check: exit code 0 while the daemon says that it is serving.

It asks gRPC's own health service, so it knows of a daemon that is stopping, and takes a fifth of
the processor time of `dejalog status`. The address comes from the daemon's environment variable.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

#: Less than the time that the Dockerfile gives, so that it is this file that says what is wrong.
TIMEOUT_S = 8.0


def main() -> int:
    """Returns 0 for SERVING and 1 for everything else; prints which it was."""
    address = os.environ.get("DEJALOG_SERVER__LISTEN") or "127.0.0.1:7040"
    try:
        with grpc.insecure_channel(address) as channel:
            status = HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S).status
    except grpc.RpcError as error:
        sys.stdout.write(f"{address}: {error.code().name}, {error.details()}\n")
        return 1
    sys.stdout.write(f"{address}: {HealthCheckResponse.ServingStatus.Name(status)}\n")
    return int(status != HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(main())
