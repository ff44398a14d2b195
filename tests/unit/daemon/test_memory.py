from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, sys, threading
from dejalog.daemon.memory import bound_heaps
if sys.argv[2] == "bounded":
    assert bound_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
both = threading.Barrier(8)
def hold():
    libc.malloc(1000)
    both.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_many_threads_share_two_heaps(tmp_path: Path) -> None:
    heaps: dict[str, int] = {}
    for how in ("bounded", "as it is"):
        path = tmp_path / f"{how}.xml"
        command = [sys.executable, "-c", SCRIPT, str(path), how]
        subprocess.run(command, check=True, timeout=60)
        heaps[how] = path.read_text().count("<heap nr=")
    assert heaps["bounded"] <= 2 < heaps["as it is"]
