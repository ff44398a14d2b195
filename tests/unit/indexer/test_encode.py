"""Encoding: published bundle layouts with their traps on tiny real models, then the default one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from dejalog.indexer.encode import PLAIN_WEIGHT, Encoder, TokenSpan
from dejalog.indexer.errors import ModelError
from dejalog.indexer.inference import BATCH_TOKENS

WORDS = [
    "[PAD]",
    "[UNK]",
    "[MASK]",
    "[CLS]",
    "[SEP]",
    "[Q]",
    "[D]",
    "[Q] ",
    "!",
    ".",
    "pump",
    "Pump",
]
WORDS += ["leaks", "oil", "a", "##x", "b", "c", "d", "e", "f"]
IDS = {word: index for index, word in enumerate(WORDS)}
DIM = 8
TABLE = np.random.default_rng(7).normal(size=(len(WORDS), DIM)).astype(np.float32)
TYPE_SHIFT = 0.25

#: A bundle with neither prefixes nor expansion; the tests turn one thing on at a time.
PLAIN = {
    "uses_token_type_ids": False,
    "query_prefix": "",
    "document_prefix": "",
    "do_query_expansion": False,
    "embedding_dim": DIM,
    "query_length": 8,
    "document_length": 12,
}

MakeBundle = Callable[..., Path]


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def expected_rows(tokens: Sequence[str], attended: int | None = None) -> NDArray[np.float32]:
    """What the tiny model computes: a token's row plus the sum of all attended rows."""
    rows = TABLE[[IDS[token] for token in tokens]]
    return unit(rows + rows[:attended].sum(axis=0))


def tiny_model(*, has_types: bool, has_pooled: bool) -> onnx.ModelProto:
    table = numpy_helper.from_array(TABLE, "table")
    axes = numpy_helper.from_array(np.array([2], np.int64), "axes")
    middle = numpy_helper.from_array(np.array([1], np.int64), "middle")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axes"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["attended"]),
        helper.make_node("ReduceSum", ["attended", "middle"], ["context"], keepdims=1),
        helper.make_node("Add", ["rows", "context"], ["sum"]),
    ]
    last = "sum"
    if has_types:
        shift = numpy_helper.from_array(np.array(TYPE_SHIFT, np.float32), "shift")
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["types", "axes"], ["type_column"]),
            helper.make_node("Add", ["sum", "type_column"], ["typed"]),
            helper.make_node("Add", ["typed", "shift"], ["shifted"]),
        ]
        last = "shifted"
    nodes.append(helper.make_node("LpNormalization", [last], ["output"], axis=-1, p=2))
    names, outputs = ["input_ids", "attention_mask"], [("output", ["b", "l", DIM])]
    if has_types:
        names.append("token_type_ids")
    if has_pooled:
        nodes.append(helper.make_node("Squeeze", ["context", "middle"], ["pooled"]))
        outputs.append(("pooled", ["b", DIM]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "l"]) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs],
        [table, axes, middle, *([shift] if has_types else [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(IDS, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", IDS["[CLS]"]), ("[SEP]", IDS["[SEP]"])],
    )
    # Published files often carry the settings of a training run.
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(4)
    return tokenizer


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Returns a function that writes a bundle: the plain config with the changes given."""

    def make(*, has_types: bool = False, has_pooled: bool = False, **changes: object) -> Path:
        config = {**PLAIN, **changes}
        model = tiny_model(has_types=has_types, has_pooled=has_pooled)
        (tmp_path / "model_int8.onnx").write_bytes(model.SerializeToString())
        (tmp_path / "onnx_config.json").write_text(json.dumps(config))
        tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
        return tmp_path

    return make


def assert_rows(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_a_pattern_keeps_its_special_rows_and_ignores_saved_padding(
    make_bundle: MakeBundle,
) -> None:
    encoder = Encoder.load(make_bundle())
    (encoded,) = encoder.encode_patterns(["pump leaks oil pump leaks"])
    tokens = ["[CLS]", "pump", "leaks", "oil", "pump", "leaks", "[SEP]"]
    assert_rows(encoded.vectors, expected_rows(tokens))
    assert not encoded.is_truncated


def test_an_empty_prefix_needs_no_token(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(query_prefix="", query_prefix_id=IDS["[Q]"]))
    assert len(encoder.encode_query("pump").vectors) == 3


def test_a_prefix_goes_behind_the_first_token_and_its_row_stays(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(document_prefix="[D] ", query_prefix="[Q]"))
    (encoded,) = encoder.encode_patterns(["pump"])
    assert_rows(encoded.vectors, expected_rows(["[CLS]", "[D]", "pump", "[SEP]"]))
    assert encoder.pattern_spans("pump") == (None, None, TokenSpan(0, 4), None)
    assert_rows(
        encoder.encode_query("pump").vectors, expected_rows(["[CLS]", "[Q]", "pump", "[SEP]"])
    )


def test_a_prefix_with_its_trailing_blank_is_looked_up_first(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(query_prefix="[Q] "))
    assert_rows(
        encoder.encode_query("pump").vectors, expected_rows(["[CLS]", "[Q] ", "pump", "[SEP]"])
    )


def test_a_prefix_id_in_the_config_wins_over_the_vocabulary(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(query_prefix="[Q] ", query_prefix_id=IDS["oil"]))
    assert_rows(
        encoder.encode_query("pump").vectors, expected_rows(["[CLS]", "oil", "pump", "[SEP]"])
    )


def test_a_prefix_that_nobody_knows_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(ModelError, match="prefix 'query: '"):
        Encoder.load(make_bundle(query_prefix="query: "))


@pytest.mark.parametrize("attends", [False, True])
def test_expansion_fills_the_query_with_masks(make_bundle: MakeBundle, attends: bool) -> None:
    bundle = make_bundle(do_query_expansion=True, attend_to_expansion_tokens=attends)
    query = Encoder.load(bundle).encode_query("pump")
    tokens = ["[CLS]", "pump", "[SEP]", *["[MASK]"] * 5]
    assert_rows(query.vectors, expected_rows(tokens, attended=8 if attends else 3))
    assert query.spans == (None, TokenSpan(0, 4), *[None] * 6)


def test_the_exporters_default_mask_id_yields_to_the_vocabulary(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(do_query_expansion=True, mask_token_id=103, pad_token_id=0)
    query = Encoder.load(bundle).encode_query("pump")
    tokens = ["[CLS]", "pump", "[SEP]", *["[MASK]"] * 5]
    assert_rows(query.vectors, expected_rows(tokens, attended=3))


def test_an_overlay_turns_on_the_expansion_that_an_export_denies(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(do_query_expansion=False)
    (bundle / "dejalog.json").write_text('{"do_query_expansion": true}')
    assert len(Encoder.load(bundle).encode_query("pump").vectors) == 8


def test_the_skiplist_drops_rows_of_patterns_but_not_of_queries(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(skiplist_words=["!", ".", "not in it"]))
    tokens = ["[CLS]", "pump", "!", "leaks", ".", "[SEP]"]
    (encoded,) = encoder.encode_patterns(["pump! leaks."])
    assert_rows(encoded.vectors, expected_rows(tokens)[[0, 1, 3, 5]])
    assert_rows(encoder.encode_query("pump! leaks.").vectors, expected_rows(tokens))


def test_our_own_keys_drop_special_rows_and_query_punctuation(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(skiplist_words=["!", "."], keep_special_tokens=False, skip_in_queries=True)
    encoder = Encoder.load(bundle)
    rows = expected_rows(["[CLS]", "pump", "!", "leaks", ".", "[SEP]"])[[1, 3]]
    assert_rows(encoder.encode_patterns(["pump! leaks."])[0].vectors, rows)
    query = encoder.encode_query("pump! leaks.")
    assert_rows(query.vectors, rows)
    assert query.spans == (TokenSpan(0, 4), TokenSpan(6, 11))


@pytest.mark.parametrize("text", ["", "  ", "!!", "<ip>", "! <time>."])
def test_one_row_stays_whatever_is_dropped(make_bundle: MakeBundle, text: str) -> None:
    encoder = Encoder.load(make_bundle(skiplist_words=["!", "."], keep_special_tokens=False))
    (encoded,) = encoder.encode_patterns([text])
    assert len(encoded.vectors) >= 1
    assert len(encoder.pattern_spans(text)) == len(encoded.vectors)
    assert len(encoder.encode_query(text).vectors) >= 1


def test_placeholders_cost_no_row_and_move_no_span(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle())
    text = "<time> pump <ip> leaks<num>"
    (encoded,) = encoder.encode_patterns([text])
    assert_rows(encoded.vectors, expected_rows(["[CLS]", "pump", "leaks", "[SEP]"]))
    assert encoder.pattern_spans(text) == (None, TokenSpan(7, 11), TokenSpan(17, 22), None)


def test_lower_case_only_where_the_config_says_so(make_bundle: MakeBundle) -> None:
    (plain,) = Encoder.load(make_bundle()).encode_patterns(["Pump"])
    assert_rows(plain.vectors, expected_rows(["[CLS]", "Pump", "[SEP]"]))
    (lower,) = Encoder.load(make_bundle(do_lower_case=True)).encode_patterns(["Pump"])
    assert_rows(lower.vectors, expected_rows(["[CLS]", "pump", "[SEP]"]))


def test_a_letter_that_grows_when_lowered_moves_no_span(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(do_lower_case=True))
    spans = encoder.pattern_spans("\u0130\u0130\u0130 PUMP")
    assert spans[-2] == TokenSpan(4, 8)


def test_token_types_are_given_to_the_model_that_wants_them(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(has_types=True, uses_token_type_ids=True))
    (encoded,) = encoder.encode_patterns(["pump"])
    rows = TABLE[[IDS["[CLS]"], IDS["pump"], IDS["[SEP]"]]]
    assert_rows(encoded.vectors, unit(rows + rows.sum(axis=0) + TYPE_SHIFT))


@pytest.mark.parametrize("has_types", [False, True])
def test_token_types_that_do_not_fit_the_model_are_refused(
    make_bundle: MakeBundle, has_types: bool
) -> None:
    with pytest.raises(ModelError, match="does not run"):
        Encoder.load(make_bundle(has_types=has_types, uses_token_type_ids=not has_types))


@pytest.mark.parametrize("prefix", ["", "[D]"])
def test_a_long_pattern_is_cut_before_its_last_token_and_says_so(
    make_bundle: MakeBundle, prefix: str
) -> None:
    encoder = Encoder.load(make_bundle(document_prefix=prefix, document_length=6))
    words = ["a", "b", "c", "d", "e", "f"]
    head = ["[CLS]", prefix] if prefix else ["[CLS]"]
    (cut,) = encoder.encode_patterns([" ".join(words)])
    assert_rows(cut.vectors, expected_rows([*head, *words[: 5 - len(head)], "[SEP]"]))
    assert cut.is_truncated
    (whole,) = encoder.encode_patterns([" ".join(words[: 5 - len(head)])])
    assert_rows(whole.vectors, cut.vectors)
    assert not whole.is_truncated


def test_a_huge_pattern_is_cut_before_the_tokenizer(make_bundle: MakeBundle) -> None:
    (encoded,) = Encoder.load(make_bundle()).encode_patterns(["pump " * 4_000_000])
    assert len(encoded.vectors) == 12
    assert encoded.is_truncated


def test_word_pieces_have_spans_of_their_own(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle())
    text = " b_ax oil"
    assert encoder.pattern_spans(text)[1:-1] == ((1, 2), (3, 4), (4, 5), (6, 9))


def test_a_lone_surrogate_is_encoded_as_one_character(make_bundle: MakeBundle) -> None:
    query = Encoder.load(make_bundle()).encode_query("\udc80 pump")
    assert query.spans == (None, TokenSpan(0, 1), TokenSpan(2, 6), None)


def test_without_a_pooled_output_the_kept_rows_are_averaged(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(skiplist_words=["!"]))
    (encoded,) = encoder.encode_patterns(["pump!"])
    assert_rows(encoded.pooled, unit(encoded.vectors.mean(axis=0)))
    assert encoder.pooled_dim == DIM


def test_a_pooled_output_is_used_and_normalised(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle(has_pooled=True, pooled_dim=DIM))
    rows = TABLE[[IDS["[CLS]"], IDS["pump"], IDS["[SEP]"]]]
    assert_rows(encoder.encode_patterns(["pump"])[0].pooled, unit(rows.sum(axis=0)))
    assert_rows(encoder.encode_query("pump").pooled, unit(rows.sum(axis=0)))


def test_shorthand_is_read_where_the_config_says_so_and_stands_where_it_was(
    make_bundle: MakeBundle,
) -> None:
    encoder = Encoder.load(make_bundle(reads_shorthand=True))
    (encoded,) = encoder.encode_patterns(["pmp leaks"])
    assert_rows(encoded.vectors, expected_rows(["[CLS]", "pump", "leaks", "[SEP]"]))
    assert encoder.pattern_spans("pmp leaks") == (None, TokenSpan(0, 3), TokenSpan(4, 9), None)
    asked = encoder.encode_query("pmp leaks")
    assert_rows(asked.vectors, encoded.vectors)
    assert asked.spans == (None, TokenSpan(0, 3), TokenSpan(4, 9), None)
    (plain,) = Encoder.load(make_bundle()).encode_patterns(["pmp leaks"])
    assert_rows(plain.vectors, expected_rows(["[CLS]", "[UNK]", "leaks", "[SEP]"]))


def test_the_pooled_vector_of_a_query_leans_towards_its_plain_words(
    make_bundle: MakeBundle,
) -> None:
    encoder = Encoder.load(make_bundle(has_pooled=True))
    (whole,), (words,) = (encoder.encode_patterns([t]) for t in ("AN426 oil", "oil"))
    mixed = unit(whole.pooled + PLAIN_WEIGHT * words.pooled)
    asked = encoder.encode_query("AN426 oil")
    assert_rows(asked.pooled, mixed)
    assert_rows(asked.vectors, whole.vectors)
    assert_rows(encoder.encode_query("AN426").pooled, encoder.encode_patterns(["AN426"])[0].pooled)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"embedding_dim": 9}, "embedding_dim is 9"), ({"pooled_dim": 9}, "pooled_dim is 9")],
)
def test_sizes_that_the_model_does_not_have_are_refused(
    make_bundle: MakeBundle, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        Encoder.load(make_bundle(**changes))


@pytest.mark.parametrize("name", ["model_int8.onnx", "tokenizer.json"])
def test_a_damaged_file_is_refused(make_bundle: MakeBundle, name: str) -> None:
    bundle = make_bundle()
    (bundle / name).write_bytes((bundle / name).read_bytes()[:100])
    with pytest.raises(ModelError):
        Encoder.load(bundle)


def test_results_come_in_the_order_given_whatever_the_batches(make_bundle: MakeBundle) -> None:
    encoder = Encoder.load(make_bundle())
    draw = np.random.default_rng(3)
    words = ["pump", "leaks", "oil", "a", "b", "c"]
    count = 3 * BATCH_TOKENS // 12
    patterns = [" ".join(draw.choice(words, draw.integers(0, 10))) for _ in range(count)]
    together = encoder.encode_patterns(patterns)
    assert len(together) == count
    for pattern, encoded in zip(patterns, together, strict=True):
        tokens = ["[CLS]", *pattern.split(), "[SEP]"]
        assert_rows(encoded.vectors, expected_rows(tokens))


def test_no_patterns_give_no_results(make_bundle: MakeBundle) -> None:
    assert Encoder.load(make_bundle()).encode_patterns([]) == []


def test_the_default_bundle_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the encoder opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    encoder = Encoder.load()
    assert (encoder.dim, encoder.pooled_dim) == (96, 384)
    assert len(encoder.fingerprint) == 32


PATTERNS = [
    "pump P-101 seal leaks oil",
    "replaced gasket on hydraulic pump, no more leakage",
    "connection to <ip> timed out after <num> ms",
    "user login refused: bad password",
    "BadUserAccessDenied 0x801F0000",
]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("hydraulic fluid dripping from the pump seal", (0, 1)),
        ("server not reachable over the network", (2,)),
        ("user does not have permission", (3, 4)),
    ],
)
def test_the_default_bundle_ranks_by_meaning(
    encoder: Encoder, query: str, best: tuple[int, ...]
) -> None:
    asked = encoder.encode_query(query)
    encoded = encoder.encode_patterns(PATTERNS)
    by_tokens = [(asked.vectors @ each.vectors.T).max(axis=1).mean() for each in encoded]
    by_pooled = [asked.pooled @ each.pooled for each in encoded]
    assert int(np.argmax(by_tokens)) in best
    assert int(np.argmax(by_pooled)) in best


def test_batch_mates_change_a_vector_only_by_int8_noise(encoder: Encoder) -> None:
    together = encoder.encode_patterns(PATTERNS * 3)
    for pattern, encoded in zip(PATTERNS, together, strict=False):
        (alone,) = encoder.encode_patterns([pattern])
        assert (alone.vectors * encoded.vectors).sum(axis=1).min() > 0.93
        assert alone.pooled @ encoded.pooled > 0.97


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_rows_and_spans_of_the_default_bundle_agree(encoder: Encoder, text: str) -> None:
    (encoded,) = encoder.encode_patterns([text])
    spans = encoder.pattern_spans(text)
    assert len(spans) == len(encoded.vectors) >= 1
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.pooled), 1, atol=1e-5)
    assert all(span is None or 0 <= span.start <= span.end <= len(text) for span in spans)


def test_loading_and_running_the_model_leaves_nothing_behind_and_tells_nobody(
    tmp_path: Path,
) -> None:
    """ONNX Runtime 1.29 began to write a device id and a database, and to report its use."""
    script = (
        "from dejalog.indexer.encode import Encoder\n"
        "assert len(Encoder.load(threads=1).encode_patterns(['pump trips'])) == 1"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_a_word_is_what_the_vocabulary_has_whole(encoder: Encoder, make_bundle: MakeBundle) -> None:
    assert encoder.is_word("hydraulic")
    assert encoder.is_word("gearbox")
    assert not any(map(encoder.is_word, ("hidraulic", "pump leaks", "", " ", "##ing")))
    small = Encoder.load(make_bundle())
    assert small.is_word("pump")
    assert not small.is_word("unheard"), "it has one piece, that of all unknown words"
