"""Reading a bundle: complete or refused, defaults as the exporter's, a digest over all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dejalog.indexer import bundle
from dejalog.indexer.bundle import DEFAULT_BUNDLE, read_bundle
from dejalog.indexer.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "onnx_config.json").write_text('{"embedding_dim": 8}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model_int8.onnx").write_bytes(b"int8")
    return tmp_path


def test_the_default_bundle_is_complete_and_small() -> None:
    shipped = read_bundle()
    assert shipped.path == DEFAULT_BUNDLE
    assert (shipped.config.embedding_dim, shipped.config.pooled_dim) == (96, 384)
    assert shipped.config.reads_shorthand
    assert len(shipped.model) + len(shipped.tokenizer) < 24_000_000


def test_keys_that_are_missing_have_the_exporters_defaults(folder: Path) -> None:
    config = read_bundle(folder).config
    assert (config.query_prefix, config.document_prefix) == ("[Q] ", "[D] ")
    assert (config.query_length, config.document_length) == (48, 300)
    assert config.do_query_expansion
    assert not config.attend_to_expansion_tokens
    assert config.uses_token_type_ids
    assert config.skiplist_words == ()


def test_null_means_not_set_and_unknown_keys_are_allowed(folder: Path) -> None:
    settings = {"embedding_dim": 8, "query_prefix_id": None, "query_length": None, "new": [1]}
    (folder / "onnx_config.json").write_text(json.dumps(settings))
    config = read_bundle(folder).config
    assert config.query_prefix_id is None
    assert config.query_length == 48


def test_the_overlay_wins_over_the_exported_config(folder: Path) -> None:
    (folder / "onnx_config.json").write_text('{"do_query_expansion": false, "query_length": 32}')
    (folder / "dejalog.json").write_text('{"do_query_expansion": true}')
    config = read_bundle(folder).config
    assert config.do_query_expansion
    assert config.query_length == 32


def test_the_int8_model_is_preferred_to_the_full_one(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"full")
    assert read_bundle(folder).model == b"int8"
    (folder / "model_int8.onnx").unlink()
    assert read_bundle(folder).model == b"full"


@pytest.mark.parametrize("name", ["onnx_config.json", "tokenizer.json", "model_int8.onnx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        read_bundle(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"query_length": "48"}', "query_length"),
        ('{"query_length": 3}', "query_length is 3"),
        ('{"document_length": 0}', "document_length is 0"),
        ('{"embedding_dim": 0}', "1 or more dimensions"),
        ('{"skiplist_words": [1]}', "skiplist_words"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(folder: Path, content: str, reason: str) -> None:
    (folder / "onnx_config.json").write_text(content)
    with pytest.raises(ModelError, match=reason):
        read_bundle(folder)


def test_every_part_changes_the_fingerprint_and_nothing_else_does(folder: Path) -> None:
    seen = [read_bundle(folder).fingerprint]
    (folder / "README.md").write_text("about")
    assert read_bundle(folder).fingerprint == seen[0]
    (folder / "model_int8.onnx").write_bytes(b"int9")
    seen.append(read_bundle(folder).fingerprint)
    (folder / "tokenizer.json").write_text("{ }")
    seen.append(read_bundle(folder).fingerprint)
    (folder / "onnx_config.json").write_text('{"embedding_dim": 8, "do_lower_case": true}')
    seen.append(read_bundle(folder).fingerprint)
    assert len(set(seen)) == 4


def test_the_table_of_shorthand_counts_only_for_a_bundle_that_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = read_bundle(folder).fingerprint
    (folder / "onnx_config.json").write_text('{"embedding_dim": 8, "reads_shorthand": false}')
    without = read_bundle(folder).fingerprint
    (folder / "onnx_config.json").write_text('{"embedding_dim": 8, "reads_shorthand": true}')
    reading = read_bundle(folder).fingerprint
    monkeypatch.setattr(bundle, "TABLE_DIGEST", 1)
    assert read_bundle(folder).fingerprint not in {plain, without, reading}
    (folder / "onnx_config.json").write_text('{"embedding_dim": 8}')
    assert read_bundle(folder).fingerprint == without != reading
