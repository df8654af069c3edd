r"""Text into words and punctuation, by one rule for raw text and for text that is split already.

Blanks part tokens, and what stands between two blanks is split on: a word is a run of letters, digits and their accents
(Unicode's marks), with single hyphens, apostrophes or ``&`` inside: ``well-made``, ``O'Brien``. English endings are
tokens of their own, as in the Penn Treebank (Marcus, Santorini and Marcinkiewicz 1993): ``it's`` is ``it 's``, and
``don't`` is ``do n't``. Numbers keep their points, commas and colons: ``3.5``, ``12:30``; letters with a point after
each are one word: ``U.S.``. The Treebank's brackets ``-lrb-`` and slashes ``\/`` stay whole. Every other character is
a token by itself, but for ``...``, ``--``, doubled backticks and doubled apostrophes.

Where words have no blanks between them (Chinese, Japanese, Thai), characters or byte pairs are the better tokens.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

CURLY_APOSTROPHE = "’"
JOINERS = "\u200c\u200d"  # within words of Persian and of India's scripts
ENDINGS = "s|re|ve|ll|d|m"  # it's, we're, I've, she'll, he'd, I'm
MARKS_BETWEEN = (0x300, 0x1F000)  # the code points among which Unicode has its combining marks
FAR_MARKS = "\U000e0100-\U000e01ef"  # … and the variation selectors far behind them

LINE_BREAK = "\n"
CLOSING = {*".,:;!?%)]}…»”’。，、；：！？）」』》】"}  # stand close to what is before them, as endings do …
OPENING = {*"([{«“‘¿¡$£¥#@（「『《【"}  # … and these to what comes after them


def split_words(text: str, *, lowercase: bool = True) -> list[str]:
    """Split a text.

    Parameters
    ----------
    text : str
        Raw, or with blanks between its tokens. Accents may be characters of their own or not (NFC is taken), and a
        curly apostrophe is a straight one.
    lowercase : bool
        Whether "The" is "the".

    Returns
    -------
    list of str
        Its tokens; none where there are only blanks.

    Examples
    --------
    >>> split_words("It's a well-made film, isn't it?")
    ['it', "'s", 'a', 'well-made', 'film', ',', 'is', "n't", 'it', '?']
    >>> split_words("it 's a film .")
    ['it', "'s", 'a', 'film', '.']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace(CURLY_APOSTROPHE, "'")
    tokens: list[str] = word_pattern().findall(text.lower() if lowercase else text)
    return tokens


def parted(before: str, word: str) -> bool:
    """Tell whether a blank stands between two tokens of written text.

    Parameters
    ----------
    before : str
        The token before, or the end of a text; empty where nothing is.
    word : str
        The token.

    Examples
    --------
    >>> words = split_words("isn't it (quite) well-made?")
    >>> [word for before, word in zip(words, words[1:]) if parted(before, word)]
    ['it', '(', 'well-made']
    >>> parted("。", "双"), parted("第3項", "双"), parted("안녕", "세계")
    (False, False, True)
    """
    if not before or before[-1].isspace() or before[-1] in OPENING or word.isspace():
        return False
    if _is_wide(before[-1]) and _is_wide(word[0]):  # of Chinese, Japanese or Korean
        return before[-1].isalnum() and word[0].isalnum() and "HANGUL" in unicodedata.name(word[0], "")
    return not (CLOSING.issuperset(word) or (before[-1].isalnum() and _ending().fullmatch(word)))


def _is_wide(character: str) -> bool:
    return not character.isascii() and unicodedata.east_asian_width(character) in "WF"


@cache
def _ending() -> re.Pattern[str]:
    return re.compile(rf"n't|'(?:{ENDINGS})", re.IGNORECASE)


@cache
def word_pattern() -> re.Pattern[str]:
    """Return what words match, and all else that is a token; its matches in a text are the tokens."""
    letter = rf"[\w{JOINERS}{_marks()}{FAR_MARKS}]"
    ending = rf"'(?:{ENDINGS})(?!{letter})"
    return re.compile(
        "|".join(
            [
                rf"n't(?!{letter})",
                ending,
                r"'\d\ds(?!\w)",  # the '60s
                r"-[lr][rsc]b-",
                r"(?:[^\W\d_]\.){2,}",
                r"\d+(?:[.,:]\d+)+",
                rf"{letter}+?(?=n't(?!{letter}))",
                rf"{letter}+(?:(?!{ending})(?:[-'&]|\\/){letter}+)*",
                r"\\[/*]",
                r"\.{2,}",
                r"-{2,}",
                r"`{2}",
                r"'{2}",
                r"\S",
            ]
        ),
        re.IGNORECASE,
    )


def _marks() -> str:
    """Return Unicode's combining marks as ranges of a character class; ``re`` has no name for them."""
    ranges, first = [], None
    for code in range(*MARKS_BETWEEN):
        mark = unicodedata.category(chr(code)).startswith("M")
        if mark and first is None:
            first = code
        elif not mark and first is not None:
            ranges.append(f"{chr(first)}-{chr(code - 1)}")
            first = None
    return "".join(ranges)
