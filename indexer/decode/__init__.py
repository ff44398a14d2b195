"""Stage 1: what a record's bytes say, as events; what they do not say, as dead letters."""

from dejalog.indexer.decode.decoder import Decoder
from dejalog.indexer.decode.settings import ENCODINGS, DecodeSettings

__all__ = ["ENCODINGS", "DecodeSettings", "Decoder"]
