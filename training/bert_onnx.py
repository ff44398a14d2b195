"""Build the ONNX graph of a small BERT token encoder from its weights, without torch.

The graph, from inputs to outputs:

1. `input_ids`, `attention_mask` (int64[batch, length]). The one segment that is ever used is folded
   into the positions, so there is no `token_type_ids` input.
2. Word and position embeddings, stored as int8 with one scale for each row.
3. Transformer layers from ONNX Runtime's fused operators (attention, bias-gelu).
4. `output` float32[batch, length, dim]: the last hidden states, projected and L2-normalised.
5. `pooled` float32[batch, hidden]: the last layer's mean over the attended tokens, L2-normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]

#: Domain of ONNX Runtime's fused operators; every CPU build has them.
FUSED = "com.microsoft"

#: The oldest operator set with LayerNormalization.
OPSET = 17

#: Small and last: it is left in full precision.
PROJECTION_NODE = "projected"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT encoder that its weights alone do not tell."""

    layers: int
    heads: int
    epsilon: float


@dataclass(slots=True)
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(
        self, kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: object
    ) -> str:
        node = helper.make_node(
            kind, list(inputs), [output], name=output, domain=domain, **attributes
        )
        self.nodes.append(node)
        return output


def build(
    weights: Weights, shape: Shape, projection: NDArray[np.float32] | None
) -> onnx.ModelProto:
    """Returns the model; without a projection, it gives the hidden states `hidden_0` and on."""
    graph = _Graph()
    hidden = [_embed(graph, weights, shape)]
    graph.add("Cast", ["attention_mask"], "mask_i32", to=TensorProto.INT32)
    for index in range(shape.layers):
        hidden.append(_layer(graph, weights, shape, index, hidden[-1]))
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    if projection is None:
        outputs = [_float(name, ["batch", "length", width]) for name in hidden]
    else:
        _project(graph, projection, hidden[-1])
        _pool(graph, hidden[-1])
        outputs = [
            _float("output", ["batch", "length", projection.shape[1]]),
            _float("pooled", ["batch", width]),
        ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "token_encoder", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)],
        producer_name="dejalog",
    )
    # The oldest file version with this operator set, so that old runtimes load it as well.
    model.ir_version = 8
    return model


def _float(name: str, dims: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def _embed(graph: _Graph, weights: Weights, shape: Shape) -> str:
    words = _gather(graph, weights["embeddings.word_embeddings.weight"], "word", "input_ids")
    graph.add("Shape", ["input_ids"], "length_1d", start=1, end=2)
    graph.add("Squeeze", ["length_1d"], "length")
    zero = graph.constant("zero", np.array(0, np.int64))
    one = graph.constant("one", np.array(1, np.int64))
    graph.add("Range", [zero, "length", one], "places")
    segment = weights["embeddings.token_type_embeddings.weight"][:1]
    table = weights["embeddings.position_embeddings.weight"] + segment
    places = _gather(graph, table, "place", "places")
    graph.add("Add", [words, places], "embedded")
    gain = graph.constant("embed_gain", weights["embeddings.LayerNorm.weight"])
    bias = graph.constant("embed_bias", weights["embeddings.LayerNorm.bias"])
    return graph.add(
        "LayerNormalization", ["embedded", gain, bias], "hidden_0", epsilon=shape.epsilon
    )


def _gather(graph: _Graph, table: NDArray[np.float32], name: str, rows: str) -> str:
    scale = np.abs(table).max(axis=1, keepdims=True) / 127
    scale[scale == 0] = 1
    codes = graph.constant(f"{name}_codes", np.rint(table / scale).astype(np.int8))
    scales = graph.constant(f"{name}_scales", scale.astype(np.float32))
    graph.add("Gather", [codes, rows], f"{name}_rows_i8")
    graph.add("Cast", [f"{name}_rows_i8"], f"{name}_rows", to=TensorProto.FLOAT)
    graph.add("Gather", [scales, rows], f"{name}_row_scales")
    return graph.add("Mul", [f"{name}_rows", f"{name}_row_scales"], f"{name}_embedding")


def _layer(graph: _Graph, weights: Weights, shape: Shape, index: int, state: str) -> str:
    prefix, tag = f"encoder.layer.{index}.", f"layer{index}_"

    def matmul(source: str, name: str, target: str) -> str:
        matrix = graph.constant(f"{tag}{target}_weight", weights[f"{prefix}{name}.weight"].T)
        return graph.add("MatMul", [source, matrix], f"{tag}{target}")

    def norm(source: str, residual: str, name: str, target: str) -> str:
        gain = graph.constant(f"{target}_gain", weights[f"{prefix}{name}.LayerNorm.weight"])
        shift = graph.constant(f"{target}_shift", weights[f"{prefix}{name}.LayerNorm.bias"])
        bias = graph.constant(f"{target}_bias", weights[f"{prefix}{name}.dense.bias"])
        # ONNX Runtime's fused SkipLayerNormalization takes ten times as long as these three.
        graph.add("Add", [source, bias], f"{target}_biased")
        graph.add("Add", [f"{target}_biased", residual], f"{target}_sum")
        inputs = [f"{target}_sum", gain, shift]
        return graph.add("LayerNormalization", inputs, target, axis=-1, epsilon=shape.epsilon)

    parts = ("query", "key", "value")
    joined = [weights[f"{prefix}attention.self.{part}.bias"] for part in parts]
    bias = graph.constant(f"{tag}attention_bias", np.concatenate(joined))
    rows = [matmul(state, f"attention.self.{part}", part) for part in parts]
    attended = graph.add(
        "MultiHeadAttention",
        [*rows, bias, "mask_i32"],
        f"{tag}attended",
        FUSED,
        num_heads=shape.heads,
    )
    mixed = matmul(attended, "attention.output.dense", "mixed")
    middle = norm(mixed, state, "attention.output", f"{tag}middle")
    wide = matmul(middle, "intermediate.dense", "wide")
    wide_bias = graph.constant(f"{tag}wide_bias", weights[f"{prefix}intermediate.dense.bias"])
    active = graph.add("BiasGelu", [wide, wide_bias], f"{tag}active", FUSED)
    narrow = matmul(active, "output.dense", "narrow")
    return norm(narrow, middle, "output", f"hidden_{index + 1}")


def _project(graph: _Graph, projection: NDArray[np.float32], state: str) -> None:
    matrix = graph.constant("projection", projection)
    graph.add("MatMul", [state, matrix], PROJECTION_NODE)
    graph.add("LpNormalization", [PROJECTION_NODE], "output", axis=-1, p=2)


def _pool(graph: _Graph, state: str) -> None:
    last = graph.constant("last_axis", np.array([-1], np.int64))
    places = graph.constant("length_axis", np.array([1], np.int64))
    graph.add("Cast", ["attention_mask"], "mask_f32", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["mask_f32", last], "mask_column")
    graph.add("Mul", [state, "mask_column"], "pooled_rows")
    graph.add("ReduceSum", ["pooled_rows", places], "pooled_sum", keepdims=0)
    # A sum serves as well as a mean: the normalisation removes the count.
    graph.add("LpNormalization", ["pooled_sum"], "pooled", axis=-1, p=2)
