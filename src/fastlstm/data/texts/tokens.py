"""Text into the integers that a network reads, and back: words, characters or byte pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from fastlstm.checks import require_whole
from fastlstm.data.ragged import offsets_of
from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.byte_pairs import BYTES, encode_byte_pairs, fit_byte_pairs, load_byte_pairs
from fastlstm.data.texts.words import LINE_BREAK, parted, split_words
from fastlstm.errors import InputError
from fastlstm.wording import many

if TYPE_CHECKING:
    import tokenizers

Level = Literal["word", "char", "bpe"]
LEVEL_NAMES: dict[Level, str] = {"word": "words", "char": "characters", "bpe": "pieces of words"}

PADDING = 0
UNKNOWN = 1
FIRST = 2  # the id of the most frequent token
REPLACEMENT = "\ufffd"  # what an unknown token is decoded as: Unicode's REPLACEMENT CHARACTER
CODE_POINTS = 0x110000


class _Saved(BaseModel):
    """What ``vocabulary.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    lowercase: bool = True
    lines: bool = False
    vocabulary: tuple[str, ...] = ()
    tokenizers: dict[str, Any] | None = None


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, and how texts are split into its tokens.

    Id 0 is padding, 1 an unknown token; from 2 on come the tokens of the vocabulary, the most frequent first.

    Parameters
    ----------
    level : {"word", "char", "bpe"}
        Words and punctuation as :func:`fastlstm.data.texts.words.split_words` has them; Unicode's code points; pieces
        of words, made of bytes.
    vocabulary : tuple of str
        The tokens with ids from 2 on. Those of ``bpe`` are written with one printable character a byte, as the
        ``tokenizers`` library writes them.
    lowercase : bool
        Whether "The" is "the"; of words alone.
    byte_pairs : str, optional
        The ``tokenizers`` library's own JSON, of ``bpe`` alone.
    lines : bool
        Whether a line break is a token, or a blank like others; of words alone.

    Examples
    --------
    >>> tokenizer = Tokenizer.fit(["the film", "the end"])
    >>> ids, offsets = tokenizer.encode(["The end", "the book"])
    >>> ids, offsets
    (array([2, 3, 2, 1]), array([0, 2, 4]))
    >>> tokenizer.decode(ids[:2]), tokenizer.vocabulary, len(tokenizer)
    ('the end', ('the', 'end', 'film'), 5)
    """

    level: Level
    vocabulary: tuple[str, ...]
    lowercase: bool = True
    byte_pairs: str | None = None
    lines: bool = False

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        *,
        level: Level = "word",
        size: int = 20_000,
        fewest: int = 1,
        lowercase: bool = True,
        lines: bool = False,
    ) -> Self:
        """Learn a vocabulary.

        Parameters
        ----------
        texts : sequence of str
            The training part.
        level : {"word", "char", "bpe"}
            What a token is.
        size : int
            How many ids there are at most, with those of padding and unknown tokens.
        fewest : int
            How often a token must come to be in the vocabulary (of ``bpe``: two pieces side by side, to become one).
        lowercase : bool
            Whether "The" is "the"; of words alone.
        lines : bool
            Whether a line break is a token, or a blank like others; of words alone.

        Raises
        ------
        InputError
            If there are no texts, an argument is out of range, or the library that ``bpe`` needs is not installed.

        Examples
        --------
        >>> Tokenizer.fit(["to be", "or not"], level="char", fewest=2).vocabulary
        ('o', ' ', 't')
        """
        if level not in get_args(Level):
            raise InputError(f"level is {level!r}: give one of {', '.join(get_args(Level))}")
        least = FIRST + (BYTES if level == "bpe" else 1)
        if size < least:
            raise InputError(f"a vocabulary of {size} is too small: level {level!r} needs {least} or more")
        fewest = require_whole("fewest", fewest, least=1)
        texts = _checked(texts)
        if not texts:
            raise InputError("there are no texts to learn a vocabulary from; give some")
        if level == "bpe":
            state = fit_byte_pairs(texts, size=size - FIRST, fewest=fewest, first=FIRST)
            return cls._of_byte_pairs(json.loads(state))
        words = level == "word"
        counts = _counted_words(texts, lowercase, lines) if words else Counter("".join(texts))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        vocabulary = tuple(token for token, count in ranked[: size - FIRST] if count >= fewest)
        if not counts:
            raise InputError(f"no text has a token: all {len(texts):,} are empty; give others")
        if not vocabulary:
            raise InputError(
                f"no token comes {fewest} times in {many(len(texts), 'text')}; give a smaller fewest"
            )
        return cls(level, vocabulary, lowercase=lowercase or not words, lines=lines and words)

    def __len__(self) -> int:
        """V, the number of ids: the vocabulary, padding and unknown."""
        return FIRST + len(self.vocabulary)

    def encode(self, texts: Sequence[str]) -> tuple[Integers, Integers]:
        """Turn texts into ids, one text after the other.

        Parameters
        ----------
        texts : sequence of str
            n texts.

        Returns
        -------
        ids : numpy.ndarray
            (N,) int64, from 1 on. A text without any token (it is empty, or its words are blanks) is one unknown token,
            so that no sequence is empty.
        offsets : numpy.ndarray
            (n + 1,) int64: text ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        InputError
            If a text is no string, or (``bpe``) no Unicode.
        """
        ids, lengths = self._encoded(_checked(texts, strictly=self.level == "bpe"))
        offsets = offsets_of(lengths)
        empty = lengths == 0
        if not empty.any():
            return ids, offsets
        filled = np.insert(ids, offsets[:-1][empty], UNKNOWN)
        return filled, offsets_of(np.maximum(lengths, 1))

    def decode(self, ids: npt.ArrayLike) -> str:
        """Turn ids into text.

        Parameters
        ----------
        ids : array_like
            (T,) integers. Padding is left out; an unknown token is the character U+FFFD.

        Returns
        -------
        str
            What was encoded, exactly, for characters and byte pairs; words with blanks between them, but for those
            before points and the like.

        Raises
        ------
        InputError
            If an id is none of 0 … V - 1.

        Examples
        --------
        >>> tokenizer = Tokenizer.fit(["to be"], level="char")
        >>> tokenizer.decode([*tokenizer.encode(["be"])[0], 1, 0, 0])
        'be�'
        """
        given = np.asarray(ids)
        if given.size and (given.ndim != 1 or given.dtype.kind not in "iu"):
            raise InputError(f"ids have shape {given.shape} of {given.dtype}; give one row of integers")
        outside = given[(given < 0) | (given >= len(self))]
        if outside.size:
            raise InputError(
                f"id {outside[0]} is none of this vocabulary's: they go from 0 to {len(self) - 1}"
            )
        known = given[given != PADDING]
        if self.level == "bpe":
            parts = np.split(known, np.flatnonzero(known == UNKNOWN))
            return REPLACEMENT.join(
                self._model.decode(part[part != UNKNOWN].tolist(), skip_special_tokens=False)
                for part in parts
            )
        tokens = [
            REPLACEMENT if place == UNKNOWN else self.vocabulary[place - FIRST] for place in known.tolist()
        ]
        if self.level == "char":
            return "".join(tokens)
        return "".join(
            f" {word}" if parted(before, word) else word for before, word in pairwise(["", *tokens])
        )

    def to_json(self) -> str:
        """Write the tokenizer as JSON that people can read: the ``vocabulary.json`` of a run folder."""
        if self.byte_pairs is None:
            saved = _Saved(
                level=self.level, lowercase=self.lowercase, lines=self.lines, vocabulary=self.vocabulary
            )
        else:
            saved = _Saved(level=self.level, tokenizers=json.loads(self.byte_pairs))
        return json.dumps(saved.model_dump(exclude_defaults=True), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            The JSON.

        Raises
        ------
        InputError
            If it is no such JSON, or needs a library that is not installed.

        Examples
        --------
        >>> tokenizer = Tokenizer.fit(["the film"])
        >>> Tokenizer.from_json(tokenizer.to_json()) == tokenizer
        True
        """
        try:
            saved = _Saved.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"the vocabulary cannot be read: {place + ': ' if place else ''}{first['msg']}; train again"
            ) from None
        if saved.level == "bpe":
            return cls._of_byte_pairs(saved.tokenizers)
        counts = Counter(saved.vocabulary)
        for token, count in counts.items():
            if count > 1:
                raise InputError(f"the vocabulary cannot be read: {token!r} stands in it twice; train again")
            if saved.level == "char" and len(token) != 1:
                raise InputError(
                    f"the vocabulary cannot be read: {token!r} is not one character; train again"
                )
        return cls(saved.level, saved.vocabulary, lowercase=saved.lowercase, lines=saved.lines)

    @classmethod
    def _of_byte_pairs(cls, state: dict[str, Any] | None) -> Self:
        if state is None:
            raise InputError("the vocabulary cannot be read: its byte pairs are missing; train again")
        text = json.dumps(state, ensure_ascii=False)
        load_byte_pairs(text)  # which refuses what it cannot read
        ids: dict[str, int] = state["model"]["vocab"]
        vocabulary = tuple(sorted(ids, key=lambda piece: ids[piece]))
        if [ids[piece] for piece in vocabulary] != list(range(FIRST, FIRST + len(ids))):
            raise InputError(f"the vocabulary cannot be read: its ids do not go on from {FIRST}; train again")
        return cls("bpe", vocabulary, byte_pairs=text)

    def _encoded(self, texts: Sequence[str]) -> tuple[Integers, Integers]:
        """Return the ids of texts one after the other, and the length of each, which may be 0."""
        if self.level == "char":
            codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
            return self._of_code_point[codes], _lengths(texts)
        if self.level == "bpe":
            parts = list(encode_byte_pairs(self._model, texts))
            return np.concatenate([np.empty(0, np.int64), *parts]), _lengths(parts)
        lengths = np.empty(len(texts), np.int64)
        ids: list[int] = []
        known = self._ids
        # Tokens do not cross blanks, and most of what stands between them comes again.
        seen = {LINE_BREAK: [known.get(LINE_BREAK, UNKNOWN)]}
        for place, text in enumerate(texts):
            before = len(ids)
            for chunk in _chunks(text, self.lines):
                if chunk not in seen:
                    words = split_words(chunk, lowercase=self.lowercase)
                    seen[chunk] = [known.get(word, UNKNOWN) for word in words]
                ids.extend(seen[chunk])
            lengths[place] = len(ids) - before
        return np.array(ids, np.int64), lengths

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary, start=FIRST)}

    @cached_property
    def _of_code_point(self) -> Integers:
        """(0x110000,) int64, the id of each code point."""
        table = np.full(CODE_POINTS, UNKNOWN, np.int64)
        table[[ord(character) for character in self.vocabulary]] = np.arange(FIRST, len(self))
        return table

    @cached_property
    def _model(self) -> tokenizers.Tokenizer:
        return load_byte_pairs(self.byte_pairs or "")


def _chunks(text: str, lines: bool) -> Iterator[str]:
    """Yield what stands between blanks, and line breaks where they are tokens."""
    if not lines:
        yield from text.split()
        return
    for place, line in enumerate(text.split(LINE_BREAK)):
        if place:
            yield LINE_BREAK
        yield from line.split()


def _counted_words(texts: Sequence[str], lowercase: bool, lines: bool) -> Counter[str]:
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(_chunks(text, lines))
    counts: Counter[str] = Counter()
    breaks = chunks.pop(LINE_BREAK, 0)
    if breaks:
        counts[LINE_BREAK] = breaks
    for chunk, count in chunks.items():
        for word in split_words(chunk, lowercase=lowercase):
            counts[word] += count
    return counts


def _lengths(parts: Iterable[Any]) -> Integers:
    return np.array([len(part) for part in parts], np.int64)


def _checked(texts: Sequence[str], *, strictly: bool = True) -> Sequence[str]:
    """Return the texts; raise where they are none, or ``strictly`` where UTF-8 could not write them."""
    if isinstance(texts, str):
        raise InputError(f"texts is one string ({texts[:20]!r} …): give a list of texts")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {place} is {text!r:.40}: give strings")
        if strictly and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    f"text {place} is no Unicode text: {error.reason} (character {error.start}); correct it"
                ) from None
    return texts
