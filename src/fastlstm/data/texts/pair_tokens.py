"""Pairs of texts into pairs of integer sequences, and those into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from fastlstm.data.ragged import offsets_of, ranges
from fastlstm.data.sequences.batches import batches_at_random, batches_of_like_length
from fastlstm.data.sequences.features import side_by_side
from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.pairs import PairSet
from fastlstm.data.texts.tokens import PADDING, UNKNOWN, Level, Tokenizer

LONGEST_STRING = 40.0  # characters, mean; what is no longer and has no blanks is read character by character
FEWEST_PIECES, MOST_PIECES = 500, 16_000  # of byte pairs, by default …
WORDS_A_PIECE = 100  # … one for so many words of the data
WORDS = 20_000
CHARACTERS = 8_000
SAMPLE = 10_000  # pairs by which a level is chosen


def default_level(pairs: PairSet) -> Level:
    """Choose what a token is: a character where one side has strings without blanks and both are short, else a piece.

    Parameters
    ----------
    pairs : PairSet
        The training part.

    Examples
    --------
    >>> from fastlstm.data.texts.pairs import read_pairs
    >>> default_level(read_pairs(["Moskwa", "Kasan"], target=["Москва", "Казань"]))
    'char'
    >>> default_level(read_pairs(["ein Hund bellt", "zwei Hunde"], target=["a dog barks", "two dogs"]))
    'bpe'
    """
    sides = [texts[:SAMPLE] for texts in (pairs.sources, pairs.targets or ())]
    words = [float(np.mean([len(text.split()) for text in texts])) for texts in sides]
    characters = [float(np.mean([len(text) for text in texts])) for texts in sides]
    return "char" if min(words) < 1.5 and max(characters) <= LONGEST_STRING else "bpe"


def default_vocabulary_size(texts: Sequence[str], level: Level) -> int:
    """Choose the size of a vocabulary: of byte pairs one for a hundred words, from 500 to 16,000.

    Parameters
    ----------
    texts : sequence of str
        What it is learnt from.
    level : {"word", "char", "bpe"}
        What a token is.

    Examples
    --------
    >>> default_vocabulary_size(["a b"] * 200_000, "bpe"), default_vocabulary_size(["a b"], "word")
    (4000, 20000)
    """
    if level != "bpe":
        return WORDS if level == "word" else CHARACTERS
    words = sum(len(text.split()) for text in texts)
    return min(max(round(words // WORDS_A_PIECE, -2), FEWEST_PIECES), MOST_PIECES)


@dataclass(frozen=True)
class PairVocabulary:
    """The tokens of both sides.

    The boundary of texts, which ends a source and both begins and ends a target, is the id after the last.

    Parameters
    ----------
    source, target : Tokenizer
        Of each side; the same where it is shared.
    longest : int
        Tokens of a text that are read, or written at most.
    """

    source: Tokenizer
    target: Tokenizer
    longest: int

    @classmethod
    def fit(
        cls, pairs: PairSet, *, level: Level | None, size: int | None, shared: bool, longest: int
    ) -> Self:
        """Learn the vocabularies.

        Parameters
        ----------
        pairs : PairSet
            The training part.
        level : {"word", "char", "bpe"}, optional
            What a token is. Default: :func:`default_level`.
        size : int, optional
            Of each vocabulary. Default: :func:`default_vocabulary_size`.
        shared : bool
            Whether one serves both sides.
        longest : int
            Tokens of a text that are read.
        """
        level = level or default_level(pairs)
        sources, targets = pairs.sources, pairs.targets or ()

        def learn(texts: Sequence[str]) -> Tokenizer:
            wanted = size or default_vocabulary_size(texts, level)
            return Tokenizer.fit(
                texts, level=level, size=wanted, fewest=2 if level == "bpe" else 1, lowercase=False
            )

        if shared:
            both = learn(sources + targets)
            return cls(both, both, longest)
        return cls(learn(sources), learn(targets), longest)

    @property
    def shared(self) -> bool:
        """Whether one vocabulary serves both sides."""
        return self.source == self.target

    @property
    def source_tokens(self) -> int:
        """How many ids sources have, with the boundary."""
        return len(self.source) + 1

    @property
    def target_tokens(self) -> int:
        """How many ids targets have, with the boundary."""
        return len(self.target) + 1

    @property
    def boundary(self) -> int:
        """The id that begins and ends a target."""
        return len(self.target)

    def unknown(self, texts: Sequence[str]) -> Counter[str]:
        """Count what of sources is outside the vocabulary: characters, or words; never pieces, which are of bytes.

        Parameters
        ----------
        texts : sequence of str
            Sources.

        Examples
        --------
        >>> letters = Tokenizer.fit(["abc"], level="char")
        >>> PairVocabulary(letters, letters, 10).unknown(["abx", "xc"])
        Counter({'x': 2})
        """
        if self.source.level == "bpe":
            return Counter()
        parts = (text if self.source.level == "char" else text.split() for text in texts)
        counts = Counter(part for text in parts for part in text)
        found = list(counts)
        if not found:
            return counts
        ids, offsets = self.source.encode(found)
        strange = np.logical_or.reduceat(ids == UNKNOWN, offsets[:-1]).tolist()
        return Counter(
            {part: counts[part] for part, is_strange in zip(found, strange, strict=True) if is_strange}
        )


class PairBatch(NamedTuple):
    """Pairs side by side.

    Attributes
    ----------
    source : Tensor
        (B, S) int64, each ended by the boundary, then 0.
    lengths : Tensor
        (B,) int64, with the boundary.
    before : Tensor
        (B, T) int64: the boundary and the target, then 0.
    wanted : Tensor
        (N,) int64: the places in (B · T) where there is a token to tell …
    after : Tensor
        (N,) int64: … and that token: the target and the boundary.
    which : Tensor
        (B,) int64, which pairs they are.
    """

    source: Tensor
    lengths: Tensor
    before: Tensor
    wanted: Tensor
    after: Tensor
    which: Tensor


class PairFeatures:
    """Pairs as tensors of tokens, ready to be cut into batches.

    Parameters
    ----------
    pairs : PairSet
        n pairs, or n sources alone.
    vocabulary : PairVocabulary
        Of both sides. What is longer than its ``longest`` is cut off; a target that is cut off has no end to learn.
    device : torch.device
        Where the tensors are to lie.

    Attributes
    ----------
    cut : int
        How many pairs were cut off.

    Examples
    --------
    >>> from fastlstm.data.texts.pairs import read_pairs
    >>> pairs = read_pairs(["ab", "a"], target=["b", "ba"])
    >>> letters = Tokenizer.fit(["ab"], level="char")
    >>> features = PairFeatures(pairs, PairVocabulary(letters, letters, 10), torch.device("cpu"))
    >>> batch = features.gather(torch.tensor([0, 1]))
    >>> batch.source, batch.before, batch.after
    (tensor([[2, 3, 4],
            [2, 4, 0]]), tensor([[4, 3, 0],
            [4, 3, 2]]), tensor([3, 4, 3, 2, 4]))
    """

    def __init__(self, pairs: PairSet, vocabulary: PairVocabulary, device: torch.device) -> None:
        longest = vocabulary.longest
        sides = [(vocabulary.source, pairs.sources)]
        if pairs.targets is not None:
            sides.append((vocabulary.target, pairs.targets))
        cut = np.zeros(len(pairs), bool)
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        for side, (tokenizer, texts) in enumerate(sides):
            ids, offsets = tokenizer.encode(texts)
            long = np.diff(offsets) > longest
            cut |= long
            row, starts, lengths = (
                torch.from_numpy(part).to(device) for part in _bounded(ids, offsets, longest, len(tokenizer))
            )
            if side:
                lengths = lengths - torch.from_numpy(long).to(lengths)  # what was cut off does not end there
            rows.append((row, starts, lengths))
        self.cut = int(cut.sum())
        self.boundary = vocabulary.boundary
        self.source, self.starts, self.lengths = rows[0]
        self.target, self.target_starts, self.target_lengths = rows[-1]

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, which: Tensor) -> PairBatch:
        """Lay some pairs side by side.

        Parameters
        ----------
        which : Tensor
            (B,) int64
        """
        source, _ = _padded(self.source, self.starts[which], self.lengths[which])
        after, there = _padded(self.target, self.target_starts[which], self.target_lengths[which])
        before = after.roll(1, 1)
        before[:, 0] = self.boundary
        wanted = there.flatten().nonzero().squeeze(1)
        return PairBatch(source, self.lengths[which], before * there, wanted, after.flatten()[wanted], which)

    def batches(self, which: Tensor, tokens: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Cut pairs into batches of like length.

        Parameters
        ----------
        which : Tensor
            (m,) int64
        tokens : int
            How many tokens, padding counted, either side of a batch has at most (a single pair may have more).
        generator : torch.Generator, optional
            Batches are then drawn at random; else the shortest come first.

        Returns
        -------
        list of Tensor
            Every pair once.
        """
        lengths = torch.maximum(self.lengths, self.target_lengths)[which].cpu()
        if generator is not None:
            parts = batches_at_random(lengths, generator, steps=tokens)
        else:
            parts = [torch.from_numpy(part) for part in batches_of_like_length(lengths.numpy(), tokens)]
        return [which[part.to(which.device)] for part in parts]


def _bounded(
    ids: Integers, offsets: Integers, longest: int, boundary: int
) -> tuple[Integers, Integers, Integers]:
    """Return texts cut off at ``longest``, the boundary after each: ids, where each begins, how long it is with it."""
    lengths = np.minimum(np.diff(offsets), longest)
    starts = offsets_of(lengths + 1)[:-1]
    ended = np.full(int((lengths + 1).sum()), boundary, np.int64)
    kept = ranges(0, np.diff(offsets)) < longest
    ended[ranges(starts, np.diff(offsets))[kept]] = ids[kept]
    return ended, starts, lengths + 1


def _padded(ids: Tensor, starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (B, T), 0 past their ends, and where there is something."""
    rows, there = side_by_side(starts, lengths)
    return ids[rows].where(there, PADDING), there
