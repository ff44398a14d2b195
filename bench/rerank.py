"""What does reranking cost? Time for the best 20 hits, by length of text and threads, and memory.

`python -m bench.rerank`: the model in the package (6 layers of 384, int8) with a last layer of
random numbers, which makes it a cross-encoder that knows nothing: its time is that of a trained one
of the same size, and its order means nothing. With `--model PATH` a model of one's own is measured.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dejalog.indexer.bundle import DEFAULT_BUNDLE
from dejalog.indexer.rerank import Reranker, RerankSettings

QUERY = "pump trips shortly after start, hydraulic pressure low"
#: A log line, a stack trace or a long note, and what fills the model.
TEXTS = {
    "line": "2022-08-22T05:18:16.154Z P-101 hydraulic pressure low: 12.4 bar, limit 14 bar, E-1034",
    "note": " ".join(["Operator reports that the pump trips after start; replaced the seal."] * 8),
    "full": "E-1034 0x80070005 " * 200,
}
ROUNDS = 7


def main() -> None:
    """Prints a JSON line for each length of text and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--top-n", type=int, default=RerankSettings().top_n)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = parsed.model or _untrained(Path(folder))
        for threads in (1, 2):
            before_kb, started = _resident_kb(), time.monotonic()
            reranker = Reranker.load(model, RerankSettings(top_n=parsed.top_n), threads=threads)
            load_s = time.monotonic() - started
            for name, text in TEXTS.items():
                texts = [f"{text} {number}" for number in range(parsed.top_n)]
                line = {
                    "text": name,
                    "threads": threads,
                    "top_n": parsed.top_n,
                    **_cost(reranker, texts),
                    "load_s": round(load_s, 2),
                    "resident_mb": round((_resident_kb() - before_kb) / 1024),
                }
                print(json.dumps(line), flush=True)


def _cost(reranker: Reranker, texts: list[str]) -> dict[str, float]:
    """Median milliseconds, by the clock and of the processor, which other work disturbs less."""
    clock, processor = [], []
    for _ in range(ROUNDS):
        before = time.monotonic(), time.process_time()
        reranker.scores(QUERY, texts)
        clock.append(time.monotonic() - before[0])
        processor.append(time.process_time() - before[1])
    found = {"ms": np.median(clock), "cpu_ms": np.median(processor)}
    return {name: round(1000 * float(seconds), 1) for name, seconds in found.items()}


def _untrained(folder: Path) -> Path:
    """Writes a cross-encoder of the size of the model in the package."""
    model = onnx.load(str(DEFAULT_BUNDLE / "model_int8.onnx"))
    width = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    weights = np.random.default_rng(0).normal(size=(width, 1)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "last"))
    model.graph.node.append(helper.make_node("MatMul", ["pooled", "last"], ["logits"]))
    del model.graph.output[:]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    model.graph.output.append(logits)
    onnx.save(model, str(folder / "model.onnx"))
    tokenizer = (DEFAULT_BUNDLE / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(tokenizer)
    return folder


def _resident_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


if __name__ == "__main__":
    main()
