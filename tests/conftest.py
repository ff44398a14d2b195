from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dejalog.indexer.encode import Encoder

SHARED_DATA = Path(__file__).parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The model in the package."""
    return Encoder.load(threads=1)


@pytest.fixture
def shared_data() -> Path:
    """Real logs and notes that lie beside a checkout, not inside it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Tests neither read nor write what the person running them has in the home folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("dejalog.daemon.config.CONFIG_PATHS", ())
    yield
