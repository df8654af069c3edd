"""Tokens that come one after the other, as pieces of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from fastlstm.data.texts.tokens import REPLACEMENT, Tokenizer
from fastlstm.data.texts.words import parted


def written(tokenizer: Tokenizer, tokens: Iterable[int], *, after: str = "") -> Iterator[tuple[str, int]]:
    """Write tokens down as soon as they are whole characters.

    A character may be several byte pairs: they are held back until it is there.

    Parameters
    ----------
    tokenizer : Tokenizer
        Whose tokens they are.
    tokens : iterable of int
        The tokens.
    after : str
        Of words: the text before them, from which a blank parts the first word where one belongs there.

    Yields
    ------
    tuple
        A piece of the text, and how many tokens it is.

    Examples
    --------
    >>> tokenizer = Tokenizer.fit(["the end."])
    >>> list(written(tokenizer, tokenizer.encode(["the end."])[0].tolist(), after=""))
    [('the', 1), (' end', 1), ('.', 1)]
    """

    @lru_cache(maxsize=1 << 14)  # a decoding takes as long as a step of a small network
    def decode(*held: int) -> str:
        return tokenizer.decode(held)

    if tokenizer.level == "word":
        for token in tokens:
            word = decode(token)
            yield f" {word}" if parted(after, word) else word, 1
            after = word
        return
    held: list[int] = []
    for token in tokens:
        held.append(token)
        piece = decode(*held)
        if not piece.endswith(REPLACEMENT) or len(held) == 4:  # bytes of the longest character
            yield piece, len(held)
            held.clear()
    if held:
        yield decode(*held), len(held)
