"""Open models and tokenizers: how every model here is run.

Nothing touches the network. Each run of a model takes one thread; callers run several batches side
by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from tokenizers import Tokenizer

from dejalog.indexer.errors import ModelError

# Since 1.29 it reports its use to its maker, and keeps a database of that in the home folder,
# unless this is set before it is loaded. Offline means offline.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

#: A model that can be run.
Session: TypeAlias = ort.InferenceSession

#: Tokens in one batch, padding included: the activations of 512 (about 12 kB a token) stay in a
#: core's caches; 2048 are a tenth to a fifth slower.
BATCH_TOKENS = 512


def open_session(path: Path, model: bytes | Path) -> ort.InferenceSession:
    """Opens a model, given as bytes, or as a file beside which further files of weights may lie.

    `path` is what an error names. Raises ModelError.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Warnings about the machine would end up on a user's terminal; errors raise.
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=["CPUExecutionProvider"],
            # The fused kernel is slower than what it fuses: 7 k instead of 10 k tokens/s in all.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    # The runtime raises classes of its own, derived from Exception alone.
    except Exception as error:
        raise ModelError(path, f"the model cannot be loaded: {error}") from error


def open_tokenizer(path: Path, tokenizer: bytes) -> Tokenizer:
    """Opens a tokenizer.json, without the cutting and padding that were saved with it.

    Files are often saved with the settings of a training run. Raises ModelError naming `path`.
    """
    try:
        opened = Tokenizer.from_buffer(tokenizer)
    # The library raises bare Exception for a file that it cannot read.
    except Exception as error:
        raise ModelError(path, f"tokenizer.json is not a tokenizer: {error}") from error
    opened.no_truncation()
    opened.no_padding()
    return opened


def batches(lengths: Sequence[int], tokens_max: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Yields indices of sequences of similar length, `tokens_max` with their padding at most.

    A sequence that is longer by itself is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > tokens_max:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
