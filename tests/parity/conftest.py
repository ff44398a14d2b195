from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_PATH = Path(__file__).with_name("cases.py")


@pytest.fixture(scope="session")
def cases() -> ModuleType:
    """The module that makes cases, which is also a program of its own."""
    spec = importlib.util.spec_from_file_location("dejalog_kernel_cases", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module
