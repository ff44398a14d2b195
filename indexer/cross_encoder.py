"""Read a cross-encoder's folder, as the usual exporters of ONNX models write it.

A folder holds `tokenizer.json` and, there or in its subfolder `onnx`, a model; `config.json` and
`tokenizer_config.json` may say how long its input can be. Several models of one folder (float32,
int8 ...) are told apart by naming the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dejalog.indexer.errors import ModelError

#: The subfolder that exporters put models into, while the tokenizer stays above it.
MODELS_NAME = "onnx"
MODEL_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"

#: What is read of a pair, in tokens. Cross-encoders are trained on 512 at most, and the time for a
#: pair grows faster than its length.
LENGTH_MAX = 512

#: The two texts, each with a word at least, and the special tokens around them must fit.
_LENGTH_MIN = 8


@dataclass(frozen=True, slots=True)
class CrossEncoderFiles:
    """What a folder holds. `length` is the number of tokens that the model takes, and `pad_id` the
    token that fills a batch, None where the tokenizer is to be asked.
    """

    path: Path
    model: Path
    tokenizer: bytes
    length: int
    pad_id: int | None


def read_cross_encoder(path: Path) -> CrossEncoderFiles:
    """Reads the folder, or the folder of the model file, at `path`.

    Raises ModelError if a file is missing or unreadable, or if the folder does not say which of
    several models is meant.
    """
    model = _find_model(path)
    folder = model.parent
    if folder.name == MODELS_NAME and not (folder / TOKENIZER_NAME).is_file():
        folder = folder.parent
    try:
        tokenizer = (folder / TOKENIZER_NAME).read_bytes()
    except OSError as error:
        raise ModelError(folder, f"cannot read {TOKENIZER_NAME}: {error.strerror}") from error
    config = _settings(folder / "config.json")
    bounds = (
        _positive(config.get("max_position_embeddings")),
        _positive(_settings(folder / "tokenizer_config.json").get("model_max_length")),
    )
    length = min([LENGTH_MAX, *(bound for bound in bounds if bound is not None)])
    if length < _LENGTH_MIN:
        raise ModelError(folder, f"takes {length} tokens, too few for two texts")
    pad_id = config.get("pad_token_id")
    pad_id = pad_id if isinstance(pad_id, int) and pad_id >= 0 else None
    return CrossEncoderFiles(path, model, tokenizer, length, pad_id)


def _find_model(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelError(path, f"no such file or folder; name a folder that holds {MODEL_NAME}")
    folders = (path, path / MODELS_NAME)
    for folder in folders:
        if (folder / MODEL_NAME).is_file():
            return folder / MODEL_NAME
    found = sorted(model for folder in folders for model in folder.glob("*.onnx"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(path, f"holds neither {MODEL_NAME} nor another model (*.onnx)")
    names = ", ".join(str(model.relative_to(path)) for model in found)
    raise ModelError(path, f"holds several models ({names}); name the file that is meant")


def _settings(path: Path) -> dict[str, object]:
    """The file's keys; none where there is no such file, which a folder may do without."""
    try:
        settings = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(path.parent, f"cannot read {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(path.parent, f"{path.name} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ModelError(path.parent, f"{path.name} is not a JSON object")
    return settings


def _positive(value: object) -> int | None:
    # A model without a bound of its own is saved with 1e30.
    return int(value) if isinstance(value, int | float) and 0 < value < 2**31 else None
