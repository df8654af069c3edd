"""Pieces of words by byte pair encoding (Sennrich, Haddow and Birch 2016), by way of the ``tokenizers`` library.

Its pieces are made of bytes, so that no text is unknown, and every text comes back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.data.series.rows import Integers
from fastlstm.errors import InputError
from fastlstm.extras import library

if TYPE_CHECKING:
    import tokenizers

BYTES = 256  # every byte is a piece
AT_ONCE = 10_000  # texts


def fit_byte_pairs(texts: Sequence[str], *, size: int, fewest: int, first: int) -> str:
    """Learn pieces.

    Parameters
    ----------
    texts : sequence of str
        What to learn from.
    size : int
        How many pieces at most; 256 at least.
    fewest : int
        How often a pair must come to be made a piece.
    first : int
        The id of the most frequent piece; the others follow by falling frequency in ``texts``, ties by the piece.

    Returns
    -------
    str
        The ``tokenizers`` library's own JSON.

    Raises
    ------
    InputError
        If the library is not installed.
    """
    tools = _tokenizers()
    model = tools.Tokenizer(tools.models.BPE())
    model.pre_tokenizer = tools.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tools.decoders.ByteLevel()
    trainer = tools.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=fewest,
        initial_alphabet=tools.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    counts = np.zeros(model.get_vocab_size(), np.int64)
    for ids in encode_byte_pairs(model, texts):
        np.add.at(counts, ids, 1)
    state = json.loads(model.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    ranked = sorted(vocabulary, key=lambda piece: (-counts[vocabulary[piece]], piece))
    state["model"]["vocab"] = {piece: first + rank for rank, piece in enumerate(ranked)}
    return json.dumps(state, ensure_ascii=False)


def load_byte_pairs(state: str) -> tokenizers.Tokenizer:
    """Return the library's tokenizer.

    Parameters
    ----------
    state : str
        Its JSON.

    Raises
    ------
    InputError
        If the library is not installed, or does not know the JSON.
    """
    tools = _tokenizers()
    try:
        return tools.Tokenizer.from_str(state)  # type: ignore[no-any-return]  # as _tokenizers has no type
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"the vocabulary's byte pairs cannot be read ({error}); train again") from None


def encode_byte_pairs(model: tokenizers.Tokenizer, texts: Sequence[str]) -> Iterator[Integers]:
    """Encode texts one after the other.

    Parameters
    ----------
    model : tokenizers.Tokenizer
        The library's tokenizer.
    texts : sequence of str
        Without halves of surrogate pairs.

    Yields
    ------
    numpy.ndarray
        (pieces,) int64, the ids of one text.
    """
    for start in range(0, len(texts), AT_ONCE):
        batch = list(texts[start : start + AT_ONCE])
        for encoded in model.encode_batch_fast(batch, add_special_tokens=False):
            yield np.array(encoded.ids, np.int64)


def _tokenizers() -> Any:
    names = [
        "tokenizers",
        *(f"tokenizers.{part}" for part in ("decoders", "models", "pre_tokenizers", "trainers")),
    ]
    return library("text", 'byte pairs (level "bpe") are learnt by', *names)
