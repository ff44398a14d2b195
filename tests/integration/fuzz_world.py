"""Files to run commands on: an index of real lines and hostile ones, and whatever can be wrong.

`World.make` builds all of it once as a template; `World.renew` puts a fresh copy in place, since
commands delete, compact and restore. Everything lies in one folder, and nothing leads out of it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

#: Steers terminals in every way that is known: colours, title, clipboard, cursor, answers, resets,
#: 8-bit forms, reversed order of writing, invisible marks, half of a surrogate pair (in JSON).
HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]52;c;Z29uZQ==\x07 \x1b[2J\x1b[6n\x1bc \x9b31m "
    "\x08\x08\x0d \x7f \x00 \u202eevil\u202c \u2066x\u2069 \u200b\ufeff \u2028 \u0085 "
    "\x1bP1$r\x1b\\"
)
#: What would be left of a terminal's freedom; a newline is no harm, and none of these is in order.
STEERING = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"

SAMPLE = (("services.log.gz", 300), ("notes.jsonl.gz", 150), ("codes.jsonl.gz", 100))

MANIFESTS = ("[]", "{}", "[" * 9_999, '{"shards": null}', "7", '{"format": 99}', "NaN", '"\\ud800"')


class World:
    """A folder of things to name on a command line; `data` is an index in good order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._template = folder.with_name(f"{folder.name}-template")
        self.data = folder / "data"

    @classmethod
    def make(cls, folder: Path) -> World:
        """Builds the template and the first copy."""
        world = cls(folder)
        template = world._template
        template.mkdir(parents=True)
        _write_logs(template)
        _index(template)
        _write_settings(template)
        _write_oddities(template)
        world.renew()
        return world

    def renew(self) -> None:
        """Puts everything back as it was made."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        _copy(self._template, self.folder)
        os.mkfifo(self.folder / "fifo")

    def damaged(self, random_: random.Random) -> str:
        """A new copy of the index with one of its files cut, gone or changed; relative as well."""
        copy = self.folder / f"damaged-{random_.randrange(8)}"
        if copy.exists():
            shutil.rmtree(copy)
        _copy(self._template / "data", copy)
        paths = [path for path in sorted(copy.rglob("*")) if path.is_file()]
        chosen = random_.choice([path for path in paths if not path.name.endswith("lock")])
        if chosen.name == "manifest.json" and random_.random() < 0.5:
            chosen.write_text(random_.choice(MANIFESTS))
        else:
            _damage(chosen, random_)
        return copy.name

    def names(self, folder: str = "") -> list[str]:
        """What lies in a folder of the world, as paths relative to the world."""
        found = sorted(os.listdir(self._template / folder))
        return [str(Path(folder) / name) for name in found]


def seed() -> int:
    """The seed of this run, printed; DEJALOG_SEED gives it."""
    found = int(os.environ.get("DEJALOG_SEED") or random.randrange(2**32))
    print(f"repeat with DEJALOG_SEED={found}")
    return found


def dejalog(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in order, as a process of its own."""
    command = [sys.executable, "-m", "dejalog.daemon", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode in (0, 4), done.stderr
    return done


def _write_logs(folder: Path) -> None:
    sample = files("dejalog.daemon") / "demo_sample"
    for name, count in SAMPLE:
        lines = gzip.decompress((sample / name).read_bytes()).splitlines(keepends=True)
        (folder / name.removesuffix(".gz")).write_bytes(b"".join(lines[:count]))
    entry = {"message": f"{HOSTILE} pump \ud800 tripped E-1034", "asset": HOSTILE, "unit": HOSTILE}
    entries = [entry, {**entry, "kind": "note", "action": HOSTILE, HOSTILE: HOSTILE}]
    text = "".join(json.dumps(each) + "\n" for each in entries)
    (folder / "hostile \x1b[2J\u202e.jsonl").write_text(text)
    (folder / "hostile.log").write_bytes(
        f"2026-01-02T03:04:05Z {HOSTILE} motor overload\n".replace("\x0d", "").encode()
        + b"not UTF-8: \xff\xfe\x80 \x1b[31m\n"
    )


def _index(folder: Path) -> None:
    logs = ["services.log", "notes.jsonl", "hostile \x1b[2J\u202e.jsonl", "hostile.log"]
    dejalog("index", "--data", "data", *logs[:3], folder=folder)
    dejalog("compact", "--data", "data", "--seal", folder=folder)
    dejalog("index", "--data", "data", "codes.jsonl", logs[3], folder=folder)


def _damage(path: Path, random_: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = random_.randrange(4)
    if kind == 0:
        path.unlink()
        return
    if kind == 1:
        del content[random_.randrange(len(content) or 1) :]
    elif kind == 2:
        content[:] = random_.randbytes(len(content))
    else:
        for _ in range(20):
            place = random_.randrange(len(content) or 1)
            content[place : place + 1] = random_.randbytes(1)
    path.write_bytes(content)


def _write_settings(folder: Path) -> None:
    settings = folder / "settings"
    settings.mkdir()
    contents: dict[str, bytes] = {
        "good": b'[decode]\nencoding = "auto"\n',
        "empty": b"",
        "binary": bytes(range(256)) * 50,
        "not-utf-8": b'[data]\ndirectory = "\xff\xfe"\n',
        "mark-first": b'\xef\xbb\xbf[data]\ndirectory = "data"\n',
        "deep-lists": b"[data]\ndirectory = " + b"[" * 20_000,
        "deep-tables": b"[data]\ndirectory = " + b"{a = " * 20_000,
        "deep-name": b"[" + b".".join([b"a"] * 20_000) + b"]\n",
        "large": b"[data]\n" + b"".join(b"key%d = %d\n" % (n, n) for n in range(3_000)),
        "long-line": b'[data]\ndirectory = "' + b"x" * 1_000_000 + b'"\n',
        "nul": b'[data]\ndirectory = "a\\u0000b"\n',
        "escapes": b'[data]\ndirectory = "\\u001b[31m\\u202e"\n"\\u001b[2J" = 1\n',
        "unknown": b"[nothing]\nis = 1\n",
        "wrong-types": b'[data]\ndirectory = 7\n[search]\nlimit = "x"\n',
        "no-table": b"data = 7\n",
        "nan": b"[server]\nsearch_timeout_s = nan\n",
        "inf": b"[server]\nsearch_timeout_s = -inf\n",
        "long-number": b"[server]\nsearch_threads = " + b"9" * 5_000 + b"\n",
        "time": b"[data]\ndirectory = 1979-05-27T07:32:00Z\n",
        "variable": b'[data]\ndirectory = "${NOT_SET_ANYWHERE}"\n',
        "alerts": b'[[alerts.queries]]\nname = "low"\nquery = "low"\ncommand = ["/nowhere/x"]\n',
        "odd-alerts": b'[[alerts.queries]]\nname = "\\u001b[31m"\nquery = "\\""\n',
    }
    for name, content in contents.items():
        (settings / f"{name}.toml").write_bytes(content)


def _write_oddities(folder: Path) -> None:
    odd = folder / "odd"
    odd.mkdir()
    (odd / "empty").touch()
    (odd / "empty-folder").mkdir()
    (odd / "token").write_text("dj_" + "a" * 43)
    (odd / "garbage").write_bytes(random.Random(1).randbytes(100_000))
    (odd / "cut.log.gz").write_bytes(gzip.compress(b"pump tripped\n" * 999)[:-20])
    (odd / "loop").symlink_to("loop")
    (odd / "dangling").symlink_to("nowhere")
    (odd / "long-line.log").write_bytes(b"x" * 3_000_000)
    (odd / "deep.jsonl").write_bytes(b'{"a":' * 100_000 + b"\n")
    (odd / "locked").mkdir(mode=0)
    (odd / os.fsdecode(b"not-utf-8-\xff\xfe.log")).write_bytes(b"pump tripped\n")


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
