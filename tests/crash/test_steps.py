"""Kill -9 during append, seal, word indexes, compaction, manifest swap and retention.

Nothing acknowledged is lost, nothing is there twice, `verify` is clean and the next start cleans
up, after each kill. DEJALOG_KILLS is how many (25 by default); the seed is printed, and
DEJALOG_SEED sets it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("DEJALOG_KILLS", "25"))
SEED = int(os.environ.get("DEJALOG_SEED", str(random.SystemRandom().randrange(2**32))))
DRIVER = Path(__file__).with_name("driver.py")


@pytest.mark.timeout(120 + 10 * KILLS)
def test_no_kill_at_any_step_loses_or_repeats_an_event(tmp_path: Path) -> None:
    print(f"DEJALOG_SEED={SEED}")
    command = [sys.executable, str(DRIVER), str(tmp_path)]
    command += ["--kills", str(KILLS), "--seed", str(SEED)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    print(report)
    assert report["kills"] >= KILLS


@pytest.mark.parametrize(
    ("claim", "complaint"),
    [
        ("appended 1 99999", "acknowledged 99999"),
        ("letter 3 0", "lost dead letters: [3]"),
        ("deleted 1 4 1", "deleted events that are back: [1]"),
    ],
)
def test_the_check_notices_what_is_missing(tmp_path: Path, claim: str, complaint: str) -> None:
    """The side file claims something that is not so; a kill could do that to the index."""
    script = f"""
import random, sys
from pathlib import Path
sys.path.insert(0, {str(DRIVER.parent)!r})
import driver
data, side = Path({str(tmp_path / "data")!r}), Path({str(tmp_path / "side.txt")!r})
worker = driver.Worker(data, driver.Side(side), random.Random(5), is_writer=True)
worker._next = 1
while worker._next < 5:
    worker.append()
worker._directory.close()
print(driver.check(data, side), flush=True)
with side.open("a") as file:
    file.write({claim!r} + "\\n")
driver.check(data, side)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert int(result.stdout) >= 4
    assert complaint in result.stderr
