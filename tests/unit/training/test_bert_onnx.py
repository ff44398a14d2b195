"""The graph computes what BERT computes."""

from __future__ import annotations

import importlib
from math import erf
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

TRAINING = Path(__file__).parents[3] / "training"


@pytest.fixture
def bert_onnx(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script's part, which is no package."""
    monkeypatch.syspath_prepend(TRAINING)
    return importlib.import_module("bert_onnx")


WIDTH, WIDE, HEADS, LAYERS, VOCABULARY = 16, 32, 2, 2, 20


@pytest.fixture
def weights() -> dict[str, NDArray[np.float32]]:
    draw = np.random.default_rng(9)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return draw.normal(scale=0.5, size=shape).astype(np.float32)

    made = {
        "embeddings.word_embeddings.weight": matrix(VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": matrix(10, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
    }
    dense = {"attention.self.query": (WIDTH, WIDTH), "attention.self.key": (WIDTH, WIDTH)}
    dense |= {"attention.self.value": (WIDTH, WIDTH), "attention.output.dense": (WIDTH, WIDTH)}
    dense |= {"intermediate.dense": (WIDE, WIDTH), "output.dense": (WIDTH, WIDE)}
    norms = ["embeddings.LayerNorm"]
    for index in range(LAYERS):
        prefix = f"encoder.layer.{index}."
        for name, shape in dense.items():
            made[f"{prefix}{name}.weight"] = matrix(*shape)
            made[f"{prefix}{name}.bias"] = matrix(shape[0])
        norms += [prefix + "attention.output.LayerNorm", prefix + "output.LayerNorm"]
    for name in norms:
        made[f"{name}.weight"], made[f"{name}.bias"] = 1 + matrix(WIDTH), matrix(WIDTH)
    return made


def bert(weights: dict[str, NDArray[np.float32]], ids: list[int]) -> NDArray[np.float64]:
    """The last hidden states, straight from the definition."""

    def dense(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return rows @ weights[f"{name}.weight"].T.astype(np.float64) + weights[f"{name}.bias"]

    def norm(rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = rows - rows.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows * (1 + np.vectorize(erf)(rows / np.sqrt(2))) / 2

    def heads(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)

    state = weights["embeddings.word_embeddings.weight"][ids].astype(np.float64)
    state = state + weights["embeddings.position_embeddings.weight"][: len(ids)]
    state = norm(
        state + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
    )
    for index in range(LAYERS):
        prefix = f"encoder.layer.{index}."
        query, key, value = (
            heads(dense(state, f"{prefix}attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        power = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH / HEADS))
        mixed = (power / power.sum(axis=-1, keepdims=True)) @ value
        mixed = dense(
            mixed.transpose(1, 0, 2).reshape(len(ids), WIDTH), f"{prefix}attention.output.dense"
        )
        state = norm(mixed + state, f"{prefix}attention.output.LayerNorm")
        wide = gelu(dense(state, f"{prefix}intermediate.dense"))
        state = norm(dense(wide, f"{prefix}output.dense") + state, f"{prefix}output.LayerNorm")
    return state


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_the_graph_computes_what_bert_computes(
    bert_onnx: ModuleType, weights: dict[str, NDArray[np.float32]]
) -> None:
    # The graph holds embeddings as int8 rows; the oracle gets the same rounded values.
    table = weights["embeddings.word_embeddings.weight"]
    places = weights["embeddings.position_embeddings.weight"]
    segment = weights["embeddings.token_type_embeddings.weight"]
    for rows, shift in ((table, 0), (places, segment[0])):
        scale = np.abs(rows + shift).max(axis=1, keepdims=True) / 127
        rows[:] = np.rint((rows + shift) / scale) * scale - shift
    projection = np.random.default_rng(2).normal(size=(WIDTH, 4)).astype(np.float32)
    shape = bert_onnx.Shape(LAYERS, HEADS, 1e-12)
    model = bert_onnx.build(weights, shape, projection)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    texts = [[1, 5, 7, 2], [1, 9, 9, 4, 11, 2]]
    ids = np.zeros((2, 6), np.int64)
    mask = np.zeros_like(ids)
    for place, text in enumerate(texts):
        ids[place, : len(text)] = text
        mask[place, : len(text)] = 1
    rows_out, pooled = session.run(None, {"input_ids": ids, "attention_mask": mask})
    for place, text in enumerate(texts):
        state = bert(weights, text)
        np.testing.assert_allclose(
            rows_out[place, : len(text)], unit(state @ projection), atol=2e-3
        )
        np.testing.assert_allclose(pooled[place], unit(state.mean(axis=0)), atol=2e-3)
