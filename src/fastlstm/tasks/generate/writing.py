"""Tokens that come one after the other, as pieces of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from fastlstm.data.tokens import REPLACEMENT, Tokenizer

CLOSING = set(".,:;!?%)]}…»”’")  # stand close to the word before them …
OPENING = set("([{«“‘")  # … and these to the word after them


def written(tokenizer: Tokenizer, tokens: Iterable[int], *, after: bool) -> Iterator[str]:
    """Write tokens down as soon as they are whole characters.

    A character may be several byte pairs: they are held back until it is there.

    Parameters
    ----------
    tokenizer : Tokenizer
        Whose tokens they are.
    tokens : iterable of int
        The tokens.
    after : bool
        Whether a text stands before them, from which a blank parts the first word.

    Yields
    ------
    str
        Pieces that make up the text.

    Examples
    --------
    >>> tokenizer = Tokenizer.fit(["the end."])
    >>> list(written(tokenizer, tokenizer.encode(["the end."])[0].tolist(), after=False))
    ['the', ' end', '.']
    """

    @lru_cache(maxsize=1 << 14)  # a decoding takes as long as a step of a small network
    def decode(*held: int) -> str:
        return tokenizer.decode(held)

    if tokenizer.level == "word":
        for token in tokens:
            word = decode(token)
            yield f" {word}" if after and word not in CLOSING else word
            after = word not in OPENING
        return
    held: list[int] = []
    for token in tokens:
        held.append(token)
        piece = decode(*held)
        if not piece.endswith(REPLACEMENT) or len(held) == 4:  # bytes of the longest character
            yield piece
            held.clear()
    if held:
        yield decode(*held)
