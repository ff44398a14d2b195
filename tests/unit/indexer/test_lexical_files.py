from pathlib import Path

import pytest

from dejalog.indexer.errors import CorruptShardError
from dejalog.indexer.lexical import LexicalIndex
from dejalog.indexer.lexical_files import (
    damage_as_error,
    failure_as_os_error,
    file_problem,
    read_stamp,
    segment_files,
    write_stamp,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with LexicalIndex.open(tmp_path / "lexical", writable=True) as index:
        index.append([(0, "pump leaks")], [], patterns_end=1, events_end=0)
    return tmp_path / "lexical" / "patterns"


def test_every_file_of_an_index_has_its_checksum(folder: Path) -> None:
    names = segment_files(folder)
    assert {Path(name).suffix for name in names} >= {".idx", ".term", ".fast", ".fieldnorm"}
    assert [file_problem(folder / name) for name in names] == [""] * len(names)


def test_any_flipped_bit_of_a_file_is_noticed(folder: Path) -> None:
    path = next(folder.glob("*.term"))
    sound = path.read_bytes()
    body = sound.rindex(b'{"version"')
    for at in range(body):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        assert "checksum" in file_problem(path)


def test_a_file_of_many_chunks_is_checked_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dejalog.indexer.lexical_files._CHUNK_BYTES", 7)
    path = next(folder.glob("*.term"))
    assert file_problem(path) == ""
    sound = path.read_bytes()
    last = sound.rindex(b'{"version"') - 1
    path.write_bytes(sound[:last] + bytes([sound[last] ^ 1]) + sound[last + 1 :])
    assert "checksum" in file_problem(path)


@pytest.mark.parametrize("size", [0, 3, 8, 40])
def test_a_cut_file_is_noticed(folder: Path, size: int) -> None:
    path = next(folder.glob("*.idx"))
    path.write_bytes(path.read_bytes()[:size])
    assert file_problem(path)


def test_a_missing_file_is_noticed(folder: Path) -> None:
    with LexicalIndex.open(folder.parent, writable=True) as index:
        index.append([(1, "axis overload")], [], patterns_end=2, events_end=0)
    lost = next(folder.glob("*.fieldnorm"))
    lost.unlink()
    assert lost.name in segment_files(folder)
    assert "No such file" in file_problem(lost)


def test_an_unreadable_list_of_segments_is_damage(folder: Path) -> None:
    (folder / "meta.json").write_text('{"segments": 7}')
    with pytest.raises(CorruptShardError, match=r"meta\.json"):
        segment_files(folder)


def test_each_stamp_is_another(tmp_path: Path) -> None:
    assert read_stamp(tmp_path) == ""
    write_stamp(tmp_path)
    first = read_stamp(tmp_path)
    write_stamp(tmp_path)
    assert first
    assert read_stamp(tmp_path) not in ("", first)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": 1}'])
def test_a_stamp_that_cannot_be_read_is_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "format.json").write_text(text)
    with pytest.raises(CorruptShardError):
        read_stamp(tmp_path)


def test_only_faults_of_the_library_are_renamed(tmp_path: Path) -> None:
    panic = type("PanicException", (BaseException,), {})
    for error in (ValueError("x"), panic("x")):
        with pytest.raises(CorruptShardError), damage_as_error(tmp_path):
            raise error
        with pytest.raises(OSError, match="cannot write"), failure_as_os_error(tmp_path):
            raise error
    for other in (KeyboardInterrupt, TypeError):
        with pytest.raises(other), damage_as_error(tmp_path):
            raise other
        with pytest.raises(other), failure_as_os_error(tmp_path):
            raise other
