"""Score texts against a query with a cross-encoder, which reads both together.

1. Query and text are cut to a bound of characters: a huge one costs no more than a long one.
2. The tokenizer makes a pair of them by its own template; where it is too long for the model, the
   longer of the two is shortened.
3. The model runs on batches of pairs of similar length, each batch on one thread.
4. Its logit is the score: of two logits, how much the second (relevant) exceeds the first.

A model is tried when it is loaded, with a pair of the greatest length among others; what it cannot
do is an error then, and never falls back to searching without it. Scores are comparable within one
query only. As with any int8 model, a score may depend a little on its batch mates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from dejalog.indexer.cross_encoder import CrossEncoderFiles, read_cross_encoder
from dejalog.indexer.errors import ModelError
from dejalog.indexer.inference import (
    BATCH_TOKENS,
    Session,
    batches,
    open_session,
    open_tokenizer,
)

#: The inputs that are understood; the last one is for models that tell the two texts apart by it.
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_INTEGERS: Mapping[str, type[np.integer]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """Which model reads the best hits again; an empty `model` is none.

    `model` is a folder or a file, `top_n` how many hits it reads, and `text_chars_max` how much of
    each and of the query.
    """

    model: str = ""
    #: 20 log lines take an int8 model of 6 layers of 384 a tenth of a second on one core, 20 long
    #: notes a quarter (bench/rerank.py).
    top_n: int = 20
    #: The 512 tokens that a model reads at most are about this much of prose, and half of codes.
    text_chars_max: int = 2_000


class Reranker:
    """A loaded cross-encoder. Safe to use from several threads.

    `top_n` is how many of the best hits are to be scored.
    """

    def __init__(
        self,
        files: CrossEncoderFiles,
        tokenizer: Tokenizer,
        session: Session,
        *,
        settings: RerankSettings,
        threads: int = 1,
    ) -> None:
        self.top_n = settings.top_n
        self._path = files.path
        self._chars_max = settings.text_chars_max
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(files.length, strategy="longest_first")
        self._pad_id = _pad_id(files, tokenizer)
        self._session = session
        self._types = _input_types(files.path, session)
        self._output = _output_name(files.path, session)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "rerank") if threads > 1 else None
        self._probe(files.length)

    @classmethod
    def load(cls, path: Path, settings: RerankSettings | None = None, threads: int = 1) -> Reranker:
        """Loads the model in a folder, or a model file, with the tokenizer that lies there.

        Raises ModelError if anything is missing or is not a cross-encoder.
        """
        files = read_cross_encoder(path)
        tokenizer = open_tokenizer(files.path, files.tokenizer)
        session = open_session(files.path, files.model)
        return cls(
            files, tokenizer, session, settings=settings or RerankSettings(), threads=threads
        )

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns float32[texts], higher for what answers the query better, in the order given.

        Raises ModelError if the model fails on them or gives something that is no number.
        """
        asked = self._cut(query)
        # One by one: a batch would start a thread for each core, whatever was set.
        encodings = [self._tokenizer.encode(asked, self._cut(text)) for text in texts]
        lengths = [len(encoding.ids) for encoding in encodings]
        # Few pairs are still work for every thread.
        groups = list(batches(lengths, min(BATCH_TOKENS, sum(lengths) // self._threads)))
        chosen = ([encodings[index] for index in group] for group in groups)
        runs = map(self._run, chosen) if self._pool is None else self._pool.map(self._run, chosen)
        scores = np.zeros(len(texts), np.float32)
        for group, found in zip(groups, runs, strict=True):
            scores[group] = found
        return scores

    def _cut(self, text: str) -> str:
        # A lone surrogate, which no tokenizer takes, becomes one question mark.
        return text[: self._chars_max].encode("utf-8", "replace").decode()

    def _run(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Returns float32[pairs]."""
        shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
        feeds = {name: np.zeros(shape, kind) for name, kind in self._types.items()}
        feeds["input_ids"].fill(self._pad_id)
        for row, encoding in enumerate(encodings):
            end = len(encoding.ids)
            feeds["input_ids"][row, :end] = encoding.ids
            feeds["attention_mask"][row, :end] = 1
            if "token_type_ids" in feeds:
                feeds["token_type_ids"][row, :end] = encoding.type_ids
        try:
            (logits,) = self._session.run([self._output], feeds)
        # The runtime raises classes of its own, derived from Exception alone.
        except Exception as error:
            place = f"a batch of {shape[0]} pairs with {shape[1]} tokens"
            raise ModelError(self._path, f"the model does not run on {place}: {error}") from error
        return _relevance(self._path, logits, len(encodings))

    def _probe(self, length: int) -> None:
        """Scores a short pair and one of the greatest length, so that a wrong model is found now.

        A model whose positions are fewer than its config says fails on the long one.
        """
        short = self._tokenizer.encode("pump", "leaks")
        long = self._tokenizer.encode("pump", "oil " * length)
        self._run([short])
        self._run([short, long])


def _relevance(path: Path, logits: object, count: int) -> NDArray[np.float32]:
    """Returns float32[count] from the logits of one class, or of two."""
    values = np.asarray(logits, np.float32)
    if values.shape == (count, 2):
        values = values[:, 1] - values[:, 0]
    elif values.shape in {(count, 1), (count,)}:
        values = values.reshape(count)
    else:
        raise ModelError(
            path,
            f"gives an output of shape {list(values.shape)} for {count} pairs, and a cross-encoder "
            f"gives one or two logits for each; export it for sequence classification",
        )
    if not np.isfinite(values).all():
        raise ModelError(
            path, "gives scores that are no numbers; an export in another precision may help"
        )
    return values


def _input_types(path: Path, session: Session) -> dict[str, type[np.integer]]:
    """The model's inputs, each with its type of integer."""
    found = {given.name: given.type for given in session.get_inputs()}
    missing = [name for name in _INPUTS[:2] if name not in found]
    if missing:
        raise ModelError(path, f"the model has no input {' and no input '.join(missing)}")
    unknown = sorted(found.keys() - set(_INPUTS))
    if unknown:
        raise ModelError(
            path,
            f"the model has inputs that a cross-encoder does not have: {', '.join(unknown)}; "
            "export it for sequence classification",
        )
    for name, kind in found.items():
        if kind not in _INTEGERS:
            raise ModelError(path, f"the model's input {name} is a {kind}, not one of integers")
    return {name: _INTEGERS[kind] for name, kind in found.items()}


def _output_name(path: Path, session: Session) -> str:
    names = [output.name for output in session.get_outputs()]
    if "logits" in names:
        return "logits"
    if len(names) != 1:
        raise ModelError(path, f"the model has no output 'logits', but {', '.join(names)}")
    return str(names[0])


def _pad_id(files: CrossEncoderFiles, tokenizer: Tokenizer) -> int:
    """The id that fills a batch; it is not attended to, but must be in the vocabulary."""
    if files.pad_id is not None:
        return files.pad_id
    found = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    return next((token for token in found if token is not None), 0)
