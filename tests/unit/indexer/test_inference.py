"""Opening models and tokenizers, and cutting work into batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from dejalog.indexer.errors import ModelError
from dejalog.indexer.inference import BATCH_TOKENS, batches, open_session, open_tokenizer


@given(st.lists(st.integers(1, 600), max_size=60), st.sampled_from([0, 40, BATCH_TOKENS]))
def test_every_sequence_is_in_one_batch_of_bounded_size(lengths: list[int], most: int) -> None:
    found = list(batches(lengths, most))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= most or len(batch) == 1
    longest = [max(lengths[index] for index in batch) for batch in found]
    assert longest == sorted(longest)


def test_a_batch_has_512_tokens_unless_told_otherwise() -> None:
    assert [len(batch) for batch in batches([64] * 17)] == [8, 8, 1]


def test_saved_cutting_and_padding_are_taken_away() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "pump": 1}, unk_token="[UNK]"))
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(1)
    opened = open_tokenizer(Path("here"), tokenizer.to_str().encode())
    assert opened.truncation is None
    assert opened.padding is None
    assert opened.encode("pump").ids == [1]


@pytest.mark.parametrize("given_bytes", [b"", b"{}", b'{"model": {"type": "?"}}'])
def test_what_is_no_tokenizer_is_refused_with_its_place(given_bytes: bytes) -> None:
    with pytest.raises(ModelError, match=r"model bundle here: tokenizer\.json is not"):
        open_tokenizer(Path("here"), given_bytes)


def test_what_is_no_model_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    for model in (b"not a model", tmp_path / "model.onnx", tmp_path / "missing.onnx"):
        with pytest.raises(ModelError, match="model bundle here: the model cannot be loaded"):
            open_session(Path("here"), model)
