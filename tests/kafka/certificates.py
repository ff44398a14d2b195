"""An authority that only the tests know, a broker's certificate and a client's, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM form; `other_authority` has signed nothing."""

    authority: Path
    other_authority: Path
    broker: Path
    broker_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Makes all of them in a folder; certificates end a day from now."""
    folder.mkdir()
    for name in ("authority", "other"):
        _openssl(folder, *_new_key(name), "-x509", "-subj", f"/CN={name}", "-out", f"{name}.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("broker", "client"):
        _openssl(folder, *_new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        signer = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
        request = ("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "1")
        _openssl(folder, *request, *signer, "-extfile", "names")
    names = ("authority.pem", "other.pem", "broker.pem", "broker.key", "client.pem", "client.key")
    return Certificates(*(folder / name for name in names))


def _new_key(name: str) -> tuple[str, ...]:
    # An elliptic key is made in an instant, where RSA takes a second.
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return ("req", *kind, "-nodes", "-days", "1", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    ran = subprocess.run(
        ["openssl", *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
