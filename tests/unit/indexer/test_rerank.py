"""Reranking: every layout of a cross-encoder with its traps, on tiny real models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from dejalog.indexer.errors import ModelError
from dejalog.indexer.inference import BATCH_TOKENS
from dejalog.indexer.request import SearchRequest
from dejalog.indexer.rerank import Reranker, RerankSettings
from dejalog.indexer.search import Searcher

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pump", "leaks", "oil", "motor", "hot", "fire"]
IDS = {word: index for index, word in enumerate(WORDS)}
#: Texts with "fire" give the tiny model no number.
FIRE = np.array([IDS["fire"]])

MakeModel = Callable[..., Path]


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(IDS, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", IDS["[CLS]"]), ("[SEP]", IDS["[SEP]"])],
    )
    # Published files often carry the settings of a training run.
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(4)
    return tokenizer


def tiny_model(
    *,
    has_types: bool = True,
    kind: int = TensorProto.INT64,
    output: str = "column",
    names: Sequence[str] = ("logits",),
    extra: str = "",
    positions: int = 600,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
) -> onnx.ModelProto:
    """Counts pairs of equal tokens; with types, one of the query and one of the text."""
    wanted = [*inputs, *(["token_type_ids"] if has_types else []), *([extra] if extra else [])]
    constants = {
        "one": np.array([1]),
        "two": np.array([2]),
        "both": np.array([1, 2]),
        "axis": np.array(1),
        "fire": FIRE,
        "positions": np.zeros(positions + 1, np.float32),
        "unit": np.array([1.0], np.float32),
    }
    dims = {"flat": ["b"], "column": ["b", 1], "pair": ["b", 2], "triple": ["b", 3]}
    graph = helper.make_graph(
        [*_counting(has_types), *_outputs(output, names)],
        "tiny",
        [helper.make_tensor_value_info(name, kind, ["b", "l"]) for name in wanted],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, dims.get(output, ["b", "l"]))
            for name in names
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model


def _counting(has_types: bool) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Unsqueeze", ["input_ids", "one"], ["across"]),
        helper.make_node("Unsqueeze", ["input_ids", "two"], ["down"]),
        helper.make_node("Equal", ["across", "down"], ["equal"]),
        helper.make_node("Cast", ["equal"], ["same"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        *_sides(has_types),
        helper.make_node("Unsqueeze", ["left", "one"], ["left_row"]),
        helper.make_node("Unsqueeze", ["right", "two"], ["right_column"]),
        helper.make_node("Mul", ["left_row", "right_column"], ["counted"]),
        helper.make_node("Mul", ["same", "counted"], ["met"]),
        helper.make_node("ReduceSum", ["met", "both"], ["overlap"], keepdims=0),
        # Positions, as a model has them: a sequence longer than the table is an error.
        helper.make_node("CumSum", ["mask", "axis"], ["place"]),
        helper.make_node("Cast", ["place"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["positions", "index"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros", "one"], ["nothing"], keepdims=0),
        # The root of a negative number is none.
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Equal", ["ids", "fire"], ["is_fire"]),
        helper.make_node("Cast", ["is_fire"], ["fires"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["fires", "one"], ["burning"], keepdims=0),
        helper.make_node("Neg", ["burning"], ["negative"]),
        helper.make_node("Sqrt", ["negative"], ["smoke"]),
        helper.make_node("Sum", ["overlap", "nothing", "smoke"], ["flat"]),
    ]


def _sides(has_types: bool) -> list[onnx.NodeProto]:
    if not has_types:
        return [
            helper.make_node("Identity", ["mask"], ["left"]),
            helper.make_node("Identity", ["mask"], ["right"]),
        ]
    return [
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "types"], ["left"]),
        helper.make_node("Identity", ["types"], ["right"]),
    ]


def _outputs(output: str, names: Sequence[str]) -> list[onnx.NodeProto]:
    nodes = [helper.make_node("Unsqueeze", ["flat", "one"], ["column"])]
    sources = {"pair": ["unit_column", "column"], "triple": ["column", "column", "column"]}
    if output in sources:
        nodes.append(helper.make_node("Mul", ["column", "unit"], ["half"]))
        nodes.append(helper.make_node("Neg", ["half"], ["unit_column"]))
        nodes.append(helper.make_node("Concat", sources[output], [output], axis=1))
    elif output == "tokens":
        nodes.append(helper.make_node("Identity", ["zeros"], ["tokens"]))
    return [*nodes, *(helper.make_node("Identity", [output], [name]) for name in names)]


def overlap(query: str, text: str) -> int:
    """What the model with types computes: equal words on either side, and the two [SEP]."""
    left, right = [*query.split(), "[SEP]"], [*text.split(), "[SEP]"]
    return sum(a == b for a in left for b in right)


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Returns a function that writes a folder with a cross-encoder."""

    def make(**options: object) -> Path:
        model = tiny_model(**options)  # type: ignore[arg-type]
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
        return tmp_path

    return make


TEXTS = ["motor hot", "pump leaks oil", "", "oil oil oil", "pump"]


@pytest.mark.parametrize("threads", [1, 2])
def test_texts_are_scored_in_the_order_given(make_model: MakeModel, threads: int) -> None:
    reranker = Reranker.load(make_model(), threads=threads)
    scores = reranker.scores("pump leaks", TEXTS)
    assert scores.dtype == np.float32
    assert scores.tolist() == [overlap("pump leaks", text) for text in TEXTS]


def test_without_token_types_the_pair_is_read_as_one(make_model: MakeModel) -> None:
    reranker = Reranker.load(make_model(has_types=False))
    scores = reranker.scores("pump leaks", ["motor hot", "pump leaks", "pump hot"])
    assert scores.argsort().tolist() == [0, 2, 1]


def test_a_model_with_ids_of_32_bits_gets_them(make_model: MakeModel) -> None:
    reranker = Reranker.load(make_model(kind=TensorProto.INT32))
    assert reranker.scores("oil", ["oil", "hot"]).tolist() == [2, 1]


@pytest.mark.parametrize(("output", "factor"), [("column", 1), ("flat", 1), ("pair", 2)])
def test_one_logit_is_the_score_and_of_two_their_difference(
    make_model: MakeModel, output: str, factor: int
) -> None:
    reranker = Reranker.load(make_model(output=output))
    assert reranker.scores("oil", ["oil", "hot"]).tolist() == [2 * factor, factor]


def test_a_single_output_may_have_any_name(make_model: MakeModel) -> None:
    assert len(Reranker.load(make_model(names=["scores"])).scores("oil", ["hot"])) == 1


def test_among_several_outputs_the_logits_count(make_model: MakeModel) -> None:
    reranker = Reranker.load(make_model(names=["hidden", "logits"]))
    assert reranker.scores("oil", ["oil"]).tolist() == [2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"names": ["hidden", "scores"]}, "no output 'logits', but hidden, scores"),
        ({"output": "triple"}, r"shape \[1, 3\] for 1 pairs"),
        ({"output": "tokens"}, r"shape \[1, \d+\] for 1 pairs"),
        ({"extra": "position_ids"}, "does not have: position_ids"),
        ({"kind": TensorProto.FLOAT, "has_types": False}, "is a tensor.float., not one of integ"),
        ({"positions": 100}, "does not run on a batch of 2 pairs with 512 tokens"),
    ],
)
def test_what_is_no_cross_encoder_is_refused_when_it_is_loaded(
    make_model: MakeModel, options: dict[str, object], reason: str
) -> None:
    folder = make_model(**options)
    with pytest.raises(ModelError, match=reason) as caught:
        Reranker.load(folder)
    assert str(folder) in str(caught.value)


def test_a_model_without_a_mask_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="no input attention_mask"):
        Reranker.load(tmp_path)


def test_weights_in_a_file_beside_the_model_are_found(make_model: MakeModel) -> None:
    path = make_model() / "model.onnx"
    model = onnx.load(str(path))
    path.unlink()
    beside = {"location": "model.onnx_data", "size_threshold": 1_024}
    onnx.save_model(model, str(path), save_as_external_data=True, **beside)
    assert (path.parent / "model.onnx_data").stat().st_size > 2_000
    assert Reranker.load(path.parent).scores("oil", ["oil", "hot"]).tolist() == [2, 1]


def test_a_score_that_is_no_number_is_an_error_and_no_order(make_model: MakeModel) -> None:
    reranker = Reranker.load(make_model())
    with pytest.raises(ModelError, match="no numbers"):
        reranker.scores("oil", ["oil", "fire", "hot"])


def test_the_length_that_the_config_gives_is_kept(make_model: MakeModel) -> None:
    folder = make_model(positions=16)
    (folder / "config.json").write_text('{"max_position_embeddings": 16}')
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1e30}')
    assert Reranker.load(folder).scores("oil", ["hot " * 100 + "oil"]).tolist() == [1]


def test_the_longer_of_the_two_is_shortened(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 12}')
    reranker = Reranker.load(folder)
    # Twelve tokens: three special ones, the short query whole, seven of the text.
    assert reranker.scores("pump oil", ["hot " * 6 + "oil"]).tolist() == [2]
    assert reranker.scores("pump oil", ["hot " * 7 + "oil"]).tolist() == [1]
    assert reranker.scores("hot " * 7 + "pump", ["pump oil"]).tolist() == [1]
    assert reranker.scores("hot " * 6 + "pump", ["pump oil"]).tolist() == [2]


def test_what_is_read_of_a_text_is_bounded_in_characters(make_model: MakeModel) -> None:
    reranker = Reranker.load(make_model(), RerankSettings(top_n=3, text_chars_max=8))
    assert reranker.top_n == 3
    assert reranker.scores("oil", ["pump oil", "motor oil"]).tolist() == [2, 1]
    assert reranker.scores("motor hot", ["hot"]).tolist() == [1]


def test_many_pairs_are_more_than_one_batch(make_model: MakeModel) -> None:
    draw = np.random.default_rng(5)
    count = 3 * BATCH_TOKENS // 8
    texts = [" ".join(draw.choice(WORDS[4:9], draw.integers(0, 9))) for _ in range(count)]
    scores = Reranker.load(make_model(), threads=2).scores("pump oil", texts)
    assert scores.tolist() == [overlap("pump oil", text) for text in texts]


def test_reranking_changes_the_order_of_hits_within_the_best_ones(
    make_model: MakeModel, make_index: Callable[..., Any]
) -> None:
    maker = make_index()
    lines = ["pump leaks oil", "motor is hot", "hot motor oil oil oil", "oil pump", "fan ok"]
    maker.add(*lines)
    folder = make_model()
    with_model = Reranker.load(folder, RerankSettings(top_n=3))
    searcher = Searcher(maker.directory, maker.encoder, reranker=with_model)
    plain = maker.searcher().search(SearchRequest("oil pump")).hits
    hits = searcher.search(SearchRequest("oil pump")).hits
    assert {hit.pattern for hit in hits} == {hit.pattern for hit in plain}
    assert hits[3:] == plain[3:]
    assert [hit.scores.reranked for hit in hits[3:]] == [None, None]
    scored = [hit.scores.reranked for hit in hits[:3]]
    texts = [hit.occurrences[0].event.text for hit in hits[:3]]
    assert scored == [float(overlap("oil pump", text)) for text in texts]
    assert scored == sorted(scored, reverse=True)
    assert hits[0].pattern != plain[0].pattern
    searcher.close()


def test_no_texts_have_no_scores(make_model: MakeModel) -> None:
    assert Reranker.load(make_model()).scores("oil", []).shape == (0,)


@pytest.mark.parametrize("pad", [None, 0, IDS["hot"]])
def test_the_padding_token_does_not_matter_where_it_is_masked(
    make_model: MakeModel, pad: int | None
) -> None:
    folder = make_model()
    if pad is not None:
        (folder / "config.json").write_text(f'{{"pad_token_id": {pad}}}')
    assert Reranker.load(folder).scores("hot", ["hot", "hot oil pump"]).tolist() == [2, 2]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    folder = tmp_path_factory.mktemp("cross")
    (folder / "model.onnx").write_bytes(tiny_model().SerializeToString())
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return Reranker.load(folder)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=6))
def test_any_text_has_a_score_that_does_not_depend_on_the_others(
    loaded: Reranker, query: str, texts: list[str]
) -> None:
    cold = [text.lower().replace("fire", "hot") for text in texts]
    asked = query.lower().replace("fire", "hot")
    together = loaded.scores(asked, cold)
    assert np.isfinite(together).all()
    assert together.tolist() == [float(loaded.scores(asked, [text])[0]) for text in cold]
