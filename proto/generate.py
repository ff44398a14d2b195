"""Generates the Python modules under `v1/` from the `.proto` files beside them.

`python proto/generate.py` rewrites them; `python proto/generate.py --check` compares and fails on
a difference. `python proto/generate.py --baseline` makes the present contract the one that later
changes must be compatible with (`v1/baseline.binpb`); that is done with a release. Generated code
refuses an older protobuf than its generator's, so the generator is pinned to the oldest supported
release.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

#: Its protobuf (5.29) is the oldest that the package supports.
GENERATOR_VERSION = "1.71.2"
#: Imports in generated code follow the path that the compiler is told, hence the package's name.
PACKAGE = "dejalog/proto"
ROOT = Path(__file__).resolve().parent
#: The contract as it was released.
BASELINE = ROOT / "v1" / "baseline.binpb"


def generate(target: Path) -> dict[Path, bytes]:
    """Returns each generated file's path below this folder and its content."""
    from grpc_tools import protoc

    sources = sorted(path.relative_to(ROOT) for path in ROOT.glob("v*/*.proto"))
    arguments = [
        "protoc",
        f"-I{PACKAGE}={ROOT}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *(f"{PACKAGE}/{source}" for source in sources),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed: see its message above")
    made = target / PACKAGE
    return {path.relative_to(made): path.read_bytes() for path in made.rglob("*.py*")}


def descriptors(root: Path = ROOT) -> bytes:
    """Returns the contract below a folder as a serialized FileDescriptorSet, without comments."""
    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(root)) for path in root.glob("v*/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "set.binpb")
        arguments = ["protoc", f"-I{root}", f"--descriptor_set_out={made}", *sources]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc failed: see its message above")
        return made.read_bytes()


def main(arguments: list[str]) -> None:
    """Rewrites the generated files, or with `--check` says which of them differ."""
    if (found := version("grpcio-tools")) != GENERATOR_VERSION:
        raise SystemExit(f"grpcio-tools is {found}: install grpcio-tools=={GENERATOR_VERSION}")
    if "--baseline" in arguments:
        BASELINE.write_bytes(descriptors())
        return
    with tempfile.TemporaryDirectory() as folder:
        files = generate(Path(folder))
    committed = {path.relative_to(ROOT) for path in ROOT.glob("v*/*_pb2*.py*")}
    is_same = {
        path: (ROOT / path).is_file() and (ROOT / path).read_bytes() == content
        for path, content in files.items()
    }
    stale = sorted(committed - files.keys()) + sorted(path for path in files if not is_same[path])
    if "--check" in arguments:
        if stale:
            names = ", ".join(str(path) for path in stale)
            raise SystemExit(f"generated files differ: {names}; run 'python proto/generate.py'")
        return
    for path in committed - files.keys():
        (ROOT / path).unlink()
    for path, content in files.items():
        (ROOT / path).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
