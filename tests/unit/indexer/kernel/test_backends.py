from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dejalog.indexer.kernel.backends import available, backend_of, choose


def test_the_best_kernel_is_chosen_unless_one_is_named() -> None:
    assert choose({}) == choose({"DEJALOG_KERNEL": ""}) == available()[0]
    for name in available():
        assert choose({"DEJALOG_KERNEL": name}) == name
        assert backend_of(name).top is not None


def test_the_portable_kernel_and_the_twin_are_always_there() -> None:
    assert available()[-2:] == ("portable", "reference")


@pytest.mark.parametrize("name", ["sse9", "VNNI", "vnni "])
def test_an_unknown_kernel_is_an_error_that_names_the_known(name: str) -> None:
    with pytest.raises(ImportError, match=f"'{name}'.*portable, reference"):
        choose({"DEJALOG_KERNEL": name})
    with pytest.raises(ValueError, match="can run here"):
        backend_of(name)


def test_the_environment_decides_what_runs() -> None:
    program = "from dejalog.indexer import kernel; print(kernel.BACKEND)"
    for name, code in (("reference", 0), ("portable", 0), ("none", 1)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DEJALOG_KERNEL": name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert (done.stdout.strip() == name) if code == 0 else ("ImportError" in done.stderr)
