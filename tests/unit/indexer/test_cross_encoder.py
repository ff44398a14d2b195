"""Folders of cross-encoders, as exporters and people leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dejalog.indexer.cross_encoder import LENGTH_MAX, read_cross_encoder
from dejalog.indexer.errors import ModelError


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (("model.onnx",), "model.onnx"),
        (("model.onnx", "model_int8.onnx", "onnx/model.onnx"), "model.onnx"),
        (("onnx/model.onnx", "onnx/model_quantized.onnx"), "onnx/model.onnx"),
        (("onnx/model_qint8_avx512_vnni.onnx",), "onnx/model_qint8_avx512_vnni.onnx"),
        (("reranker.onnx",), "reranker.onnx"),
    ],
)
def test_the_model_of_a_folder_is_found(tmp_path: Path, names: tuple[str, ...], model: str) -> None:
    fill(tmp_path, "tokenizer.json", *names)
    files = read_cross_encoder(tmp_path)
    assert files.model == tmp_path / model
    assert files.tokenizer == b"tokenizer.json"
    assert (files.length, files.pad_id) == (LENGTH_MAX, None)


def test_a_named_file_has_its_tokenizer_beside_or_above_it(tmp_path: Path) -> None:
    fill(tmp_path, "tokenizer.json", "onnx/model.onnx", "onnx/model_int8.onnx")
    files = read_cross_encoder(tmp_path / "onnx" / "model_int8.onnx")
    assert files.model.name == "model_int8.onnx"
    assert files.tokenizer == b"tokenizer.json"
    fill(tmp_path, "onnx/tokenizer.json")
    assert read_cross_encoder(files.model).tokenizer == b"onnx/tokenizer.json"


def test_several_models_are_told_apart_by_the_reader(tmp_path: Path) -> None:
    fill(tmp_path, "tokenizer.json", "a.onnx", "onnx/b.onnx")
    with pytest.raises(ModelError, match=r"several models \(a.onnx, onnx/b.onnx\); name the file"):
        read_cross_encoder(tmp_path)


@pytest.mark.parametrize(
    ("names", "reason"),
    [((), "no such file or folder"), (("readme",), "holds neither"), (("model.onnx",), "cannot")],
)
def test_what_is_missing_is_named(tmp_path: Path, names: tuple[str, ...], reason: str) -> None:
    fill(tmp_path / "model", *names)
    with pytest.raises(ModelError, match=reason):
        read_cross_encoder(tmp_path / "model")


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "length"),
    [
        ("{}", "{}", LENGTH_MAX),
        ('{"max_position_embeddings": 128}', "{}", 128),
        ('{"max_position_embeddings": 130}', '{"model_max_length": 128}', 128),
        ('{"max_position_embeddings": 8192}', '{"model_max_length": 1e30}', LENGTH_MAX),
        ('{"max_position_embeddings": null}', '{"model_max_length": 256.0}', 256),
    ],
)
def test_the_shortest_bound_is_the_length(
    tmp_path: Path, config: str, tokenizer_config: str, length: int
) -> None:
    fill(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "tokenizer_config.json").write_text(tokenizer_config)
    assert read_cross_encoder(tmp_path).length == length


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "config.json is not JSON"),
        ("[]", "not a JSON object"),
        ('{"max_position_embeddings": 4}', "takes 4 tokens, too few"),
    ],
)
def test_a_config_that_cannot_be_right_is_refused(tmp_path: Path, config: str, reason: str) -> None:
    fill(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=reason):
        read_cross_encoder(tmp_path)


def test_a_padding_id_of_minus_one_is_none(tmp_path: Path) -> None:
    fill(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "config.json").write_text('{"pad_token_id": -1}')
    assert read_cross_encoder(tmp_path).pad_id is None
    (tmp_path / "config.json").write_text('{"pad_token_id": 1}')
    assert read_cross_encoder(tmp_path).pad_id == 1
