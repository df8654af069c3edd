"""Whether the tokens of a transcriber are words, characters or byte pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fastlstm.data.texts.tokens import Level, Tokenizer

MOST_WORDS = 1000  # of a closed vocabulary
OFTEN = 10  # recordings hold each of its words …
NEARLY_ALL = 0.99  # … but for a hundredth of what is said
SIZES: dict[Level, int] = {"word": 20_000, "char": 20_000, "bpe": 1000}  # of vocabularies


def default_level(texts: Sequence[str]) -> Level:
    """Choose between words and characters.

    Words where there are few and each comes often, as in digits and commands: then every word is heard as a whole.
    Otherwise characters, of which words that training never saw can be spelled.

    Parameters
    ----------
    texts : sequence of str
        Of the training part.

    Examples
    --------
    >>> default_level(["left", "right"] * 20), default_level(["turn left at the old mill", "wait there"])
    ('word', 'char')
    """
    counts = Counter(word for text in texts for word in text.split())
    often = sum(count for count in counts.values() if count >= OFTEN)
    if len(counts) > MOST_WORDS or often < NEARLY_ALL * sum(counts.values()):
        return "char"
    # What splits words from their punctuation must leave them as they are.
    tokenizer = fit_tokenizer(texts, "word")
    ids, offsets = tokenizer.encode(sorted(counts))
    whole = len(ids) == len(counts) == len(offsets) - 1 and 1 not in ids
    return "word" if whole else "char"


def fit_tokenizer(texts: Sequence[str], level: Level, size: int | None = None) -> Tokenizer:
    """Learn a vocabulary; "The" and "the" are two words of it.

    Parameters
    ----------
    texts : sequence of str
        Of the training part.
    level : {"word", "char", "bpe"}
        What a token is.
    size : int, optional
        The most tokens, with those of padding and of what is unknown. Default: 20,000, of ``bpe`` 1,000.
    """
    return Tokenizer.fit(texts, level=level, size=size or SIZES[level], lowercase=False)
