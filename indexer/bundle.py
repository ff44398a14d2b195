"""Read a model bundle: a folder as pylate-onnx-export writes it, checked before anything runs.

A bundle holds `onnx_config.json`, `tokenizer.json` and `model_int8.onnx` (or, where that is
missing, `model.onnx`). An optional `dejalog.json` of the same keys wins over `onnx_config.json`:
exported configs are known to deny the query expansion that their model was trained with, and a
published bundle should not have to be edited.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dejalog.indexer.errors import ModelError
from dejalog.indexer.render import RENDERING
from dejalog.indexer.shorthand import TABLE_DIGEST

#: Ships inside the package.
DEFAULT_BUNDLE = Path(__file__).parent / "models" / "default"

CONFIG_NAME = "onnx_config.json"
OVERLAY_NAME = "dejalog.json"
TOKENIZER_NAME = "tokenizer.json"

#: In the order of preference: the int8 file is a quarter in size and about twice as fast.
MODEL_NAMES = ("model_int8.onnx", "model.onnx")


class BundleConfig(msgspec.Struct, frozen=True):
    """The keys of `onnx_config.json`, with the exporter's defaults; unknown keys are allowed.

    `mask_token_id`, `pad_token_id` and the prefix ids are None where the tokenizer is to be asked.
    The last four keys are our own: `pooled_dim` is the width of the optional output `pooled`,
    `keep_special_tokens` false drops the rows of [CLS] and [SEP], `skip_in_queries` applies the
    skiplist to queries too, and `reads_shorthand` writes out what shorthand.py knows.
    """

    uses_token_type_ids: bool = True
    query_prefix: str = "[Q] "
    document_prefix: str = "[D] "
    query_prefix_id: int | None = None
    document_prefix_id: int | None = None
    query_length: int = 48
    document_length: int = 300
    do_query_expansion: bool = True
    attend_to_expansion_tokens: bool = False
    skiplist_words: tuple[str, ...] = ()
    embedding_dim: int = 128
    mask_token_id: int | None = None
    pad_token_id: int | None = None
    do_lower_case: bool = False
    pooled_dim: int | None = None
    keep_special_tokens: bool = True
    skip_in_queries: bool = False
    reads_shorthand: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's files. `fingerprint` is a hex digest over all that decides a vector's value."""

    path: Path
    model: bytes
    tokenizer: bytes
    config: BundleConfig
    fingerprint: str


def read_bundle(path: Path | None = None) -> Bundle:
    """Reads the bundle at `path`, or the one in the package.

    Raises ModelError if a file is missing, unreadable or not of the expected layout.
    """
    path = DEFAULT_BUNDLE if path is None else path
    if not path.is_dir():
        raise ModelError(path, "no such directory; name a folder that holds " + CONFIG_NAME)
    settings = _read_settings(path / CONFIG_NAME)
    if (path / OVERLAY_NAME).exists():
        settings |= _read_settings(path / OVERLAY_NAME)
    config = _to_config(path, settings)
    name = next((name for name in MODEL_NAMES if (path / name).is_file()), None)
    if name is None:
        raise ModelError(path, f"holds neither {' nor '.join(MODEL_NAMES)}; export the model again")
    model, tokenizer = _read(path / name), _read(path / TOKENIZER_NAME)
    return Bundle(path, model, tokenizer, config, _fingerprint(model, tokenizer, config))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(path.parent, f"cannot read {path.name}: {error.strerror}") from error


def _read_settings(path: Path) -> dict[str, object]:
    try:
        settings = json.loads(_read(path))
    except ValueError as error:
        raise ModelError(path.parent, f"{path.name} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ModelError(path.parent, f"{path.name} is not a JSON object")
    # Exporters write null for "not set".
    return {key: value for key, value in settings.items() if value is not None}


def _to_config(path: Path, settings: dict[str, object]) -> BundleConfig:
    try:
        config = msgspec.convert(settings, BundleConfig)
    except msgspec.ValidationError as error:
        raise ModelError(path, f"{CONFIG_NAME}: {error}") from error
    # [CLS], a prefix, one word and [SEP] must fit.
    for key, value in (("query", config.query_length), ("document", config.document_length)):
        if value < 4:
            raise ModelError(path, f"{CONFIG_NAME}: {key}_length is {value}, must be 4 or more")
    if config.embedding_dim < 1 or (config.pooled_dim is not None and config.pooled_dim < 1):
        raise ModelError(path, f"{CONFIG_NAME}: a vector must have 1 or more dimensions")
    return config


def _fingerprint(model: bytes, tokenizer: bytes, config: BundleConfig) -> str:
    digest = hashlib.blake2b(digest_size=16)
    keys = msgspec.to_builtins(config)
    # A bundle that does not read shorthand keeps the fingerprint that it had before there was any.
    rendering = f"{RENDERING}:{TABLE_DIGEST}" if keys.pop("reads_shorthand") else f"{RENDERING}"
    for part in (model, tokenizer, msgspec.json.encode(keys), rendering.encode()):
        # The length keeps a byte from moving unseen from one part to the next.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
