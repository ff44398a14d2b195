"""The process around the index: sources in, gRPC out, configuration and the command line."""

import os

# Read once, when gRPC is imported: its core writes a line with the name of its own source file
# beside each error that is told in words here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
