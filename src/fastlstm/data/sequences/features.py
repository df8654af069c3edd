"""What a network reads of sequences: scaled numbers, what is missing of them and since when, and batches of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fastlstm.data.sequences.observed import ObservedSummary
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.series.rows import Integers
from fastlstm.data.series.scaling import Standardizer

FARTHEST = 8.0  # deviations: what lies farther out is taken to lie there
TAIL = 0.001  # the share at either end that the scale is not made of


class SequenceBatch(NamedTuple):
    """Sequences side by side, filled up with zeros to the longest.

    B sequences, T steps, C channels, S static numbers with a channel each that tells where they are missing, P numbers
    that sum up what was observed. What does not apply has no width: ``seen``, ``since`` and ``summary`` where nothing
    is missing, ``gap`` where rows are evenly spaced, ``tokens`` of numbers, ``values`` of text.

    Attributes
    ----------
    lengths : Tensor
        (B,) int64
    values : Tensor
        (B, T, C), scaled; where missing, the value seen last, 0 before the first.
    seen : Tensor
        (B, T, C), 1 where observed, otherwise 0.
    since : Tensor
        (B, T, C), ln(1 + time since the channel was last seen, in usual distances of rows), 0 where observed.
    gap : Tensor
        (B, T, 1), ln(1 + time since the row before, likewise).
    tokens : Tensor
        (B, T) int64, 0 past the end.
    static : Tensor
        (B, 2 S)
    summary : Tensor
        (B, P), standardised.
    """

    lengths: Tensor
    values: Tensor
    seen: Tensor
    since: Tensor
    gap: Tensor
    tokens: Tensor
    static: Tensor
    summary: Tensor

    @property
    def steps(self) -> Tensor:
        """(B, T), 1 at the steps of a sequence, 0 past its end."""
        longest = max(self.values.shape[1], self.tokens.shape[1])
        places = torch.arange(longest, device=self.lengths.device)
        return (places < self.lengths[:, None]).to(self.values.dtype)


class SequenceScaling(BaseModel):
    """How numbers become network inputs; fitted on the training part, kept in ``config.json``.

    Parameters
    ----------
    mean, deviation : tuple of float
        Of each channel.
    static_mean, static_deviation : tuple of float
        Of each static column.
    unit : float
        The usual time between two rows.
    masked : bool
        Whether values are missing, so that the network reads which.
    irregular : bool
        Whether the time between rows varies, so that the network reads it.
    summary : ObservedSummary, optional
        Where values are missing and a sequence is answered as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    static_mean: tuple[float, ...] = ()
    static_deviation: tuple[float, ...] = ()
    unit: float = 1.0
    masked: bool = False
    irregular: bool = False
    summary: ObservedSummary | None = None

    @classmethod
    def fit(cls, sequences: SequenceSet) -> SequenceScaling:
        """Learn the scales.

        Mean and deviation are those of the middle 99.8 % of a channel's values: a typing error must not set the scale.

        Parameters
        ----------
        sequences : SequenceSet
            The training part.

        Examples
        --------
        >>> from fastlstm.data import read_sequences
        >>> scaling = SequenceScaling.fit(read_sequences([[0.0, 2.0], [4.0]], label=[0, 1]))
        >>> scaling.mean, scaling.masked, scaling.irregular
        ((2.0,), False, False)
        """
        values = sequences.values.astype(np.float64)
        known = ~np.isnan(values)
        if len(values) > 1 / TAIL:
            ends = [
                np.quantile(column[seen], (TAIL, 1 - TAIL)) if seen.any() else (0.0, 0.0)
                for column, seen in zip(values.T, known.T, strict=True)
            ]
            low, high = np.array(ends).reshape(-1, 2).T
            values = np.where(known, values.clip(low, high), np.nan)
        scale, static = Standardizer.fit(values.astype(np.float32)), Standardizer.fit(sequences.static)
        within = np.diff(sequences.elapsed)[np.diff(sequences.codes) == 0]
        usual = float(np.median(within[within > 0])) if (within > 0).any() else 1.0
        found = cls(
            mean=scale.mean,
            deviation=scale.deviation,
            static_mean=static.mean,
            static_deviation=static.deviation,
            unit=usual,
            masked=bool((~known).any()),
            irregular=bool((np.abs(within - usual) > 0.01 * usual).any()),
        )
        if not found.masked or sequences.per_step:
            return found
        summary = ObservedSummary.fit(found.apply(sequences), sequences.codes, len(sequences))
        return found.model_copy(update={"summary": summary})

    def apply(self, sequences: SequenceSet) -> npt.NDArray[np.float64]:
        """Scale values; what is far out is taken to lie at :data:`FARTHEST`.

        Parameters
        ----------
        sequences : SequenceSet
            N rows.

        Returns
        -------
        numpy.ndarray
            (N, C), NaN where missing.
        """
        scaled: npt.NDArray[np.float64] = self.scaled(torch.from_numpy(sequences.values)).numpy()
        return scaled

    def scaled(self, values: Tensor) -> Tensor:
        """Scale values likewise.

        Parameters
        ----------
        values : Tensor
            (…, C), NaN where missing.

        Returns
        -------
        Tensor
            (…, C) float64, NaN where missing.
        """
        mean, deviation = (
            values.new_tensor(part, dtype=torch.float64) for part in (self.mean, self.deviation)
        )
        return ((values - mean) / deviation).clamp(-FARTHEST, FARTHEST)

    @property
    def of_static(self) -> Standardizer:
        """The scale of static columns."""
        return Standardizer(self.static_mean, self.static_deviation)


class SequenceFeatures:
    """Sequences as tensors, ready to be cut into batches.

    Parameters
    ----------
    sequences : SequenceSet
        n sequences of numbers.
    scaling : SequenceScaling
        Of the training part.
    device : torch.device
        Where the tensors are to lie.

    Examples
    --------
    >>> from fastlstm.data import read_sequences
    >>> sequences = read_sequences([[1.0, 3.0], [5.0]], label=[0, 1])
    >>> scaling = SequenceScaling(mean=(1.0,), deviation=(2.0,))
    >>> batch = SequenceFeatures(sequences, scaling, torch.device("cpu")).gather(torch.tensor([0, 1]))
    >>> batch.values[..., 0], batch.lengths
    (tensor([[0., 1.],
            [2., 0.]]), tensor([2, 1]))
    """

    def __init__(self, sequences: SequenceSet, scaling: SequenceScaling, device: torch.device) -> None:
        self.lengths = torch.from_numpy(sequences.lengths).to(device)
        self.starts = torch.from_numpy(sequences.offsets[:-1]).to(device)
        known = ~np.isnan(sequences.values)
        scaled = scaling.apply(sequences)
        last = _last_known(known, sequences.codes)
        columns = np.arange(scaled.shape[1])
        values = np.where(last >= 0, scaled[last.clip(min=0), columns], 0)
        rows = len(values)
        nothing = np.zeros((rows, 0), np.float32)
        elapsed = sequences.elapsed
        first = sequences.offsets[:-1][sequences.codes]
        seen, since, gap = nothing, nothing, nothing
        if scaling.masked:
            then = np.where(last >= 0, elapsed[last.clip(min=0)], elapsed[first][:, None])
            seen, since = known, np.log1p((elapsed[:, None] - then) / scaling.unit)
        if scaling.irregular:
            before = np.maximum(np.arange(rows) - 1, first)
            gap = np.log1p((elapsed - elapsed[before]) / scaling.unit)[:, None]
        static = scaling.of_static.transform(sequences.static)
        summary = np.zeros((len(sequences), 0), np.float32)
        if scaling.summary is not None:
            summary = scaling.summary.transform(scaled, sequences.codes, len(sequences))
        self.values, self.seen, self.since, self.gap, self.static, self.summary = (
            torch.from_numpy(np.ascontiguousarray(part, np.float32)).to(device)
            for part in (values, seen, since, gap, static, summary)
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, indices: Tensor) -> SequenceBatch:
        """Lay some sequences side by side.

        Parameters
        ----------
        indices : Tensor
            (B,) int64
        """
        lengths = self.lengths[indices]
        rows, within = side_by_side(self.starts[indices], lengths)

        def cut(part: Tensor) -> Tensor:
            if not part.shape[1]:
                return part.new_zeros(*rows.shape, 0)
            return part[rows] * within[..., None]

        return SequenceBatch(
            lengths,
            cut(self.values),
            cut(self.seen),
            cut(self.since),
            cut(self.gap),
            rows.new_zeros(len(rows), 0),
            self.static[indices],
            self.summary[indices],
        )


class TokenFeatures:
    """Texts as tensors of tokens, ready to be cut into batches.

    Parameters
    ----------
    ids : numpy.ndarray
        (N,) int64, 0 for none.
    offsets : numpy.ndarray
        (n + 1,) int64, where each text begins; none is empty.
    longest : int
        What is cut off comes after so many tokens.
    device : torch.device
        Where the tensors are to lie.

    Attributes
    ----------
    cut : int
        How many texts are longer than ``longest``.

    Examples
    --------
    >>> texts = TokenFeatures(np.array([5, 6, 7]), np.array([0, 2, 3]), 100, torch.device("cpu"))
    >>> texts.gather(torch.tensor([1, 0])).tokens
    tensor([[7, 0],
            [5, 6]])
    >>> texts.cut
    0
    """

    def __init__(
        self, ids: npt.NDArray[np.int64], offsets: Integers, longest: int, device: torch.device
    ) -> None:
        self.ids = torch.from_numpy(ids).to(device)
        self.starts = torch.from_numpy(offsets[:-1]).to(device)
        lengths = np.diff(offsets)
        self.lengths = torch.from_numpy(np.minimum(lengths, longest)).to(device)
        self.cut = int((lengths > longest).sum())

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, indices: Tensor) -> SequenceBatch:
        """Lay some texts side by side.

        Parameters
        ----------
        indices : Tensor
            (B,) int64
        """
        lengths = self.lengths[indices]
        rows, within = side_by_side(self.starts[indices], lengths)
        none = torch.zeros(*rows.shape, 0, device=rows.device)
        return SequenceBatch(lengths, none, none, none, none, self.ids[rows] * within, none[:, 0], none[:, 0])


def side_by_side(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Find the rows of sequences that are laid side by side, filled up to the longest.

    Parameters
    ----------
    starts : Tensor
        (B,) int64, the row at which each begins.
    lengths : Tensor
        (B,) int64, how many rows each has.

    Returns
    -------
    rows : Tensor
        (B, T) int64, 0 past the end of a sequence.
    within : Tensor
        (B, T) bool, False past the end.

    Examples
    --------
    >>> side_by_side(torch.tensor([4, 0]), torch.tensor([1, 3]))
    (tensor([[4, 0, 0],
            [0, 1, 2]]), tensor([[ True, False, False],
            [ True,  True,  True]]))
    """
    places = torch.arange(int(lengths.max()), device=lengths.device)
    within = places < lengths[:, None]
    return torch.where(within, starts[:, None] + places, 0), within


def _last_known(known: npt.NDArray[np.bool_], codes: Integers) -> Integers:
    """Return the row (N, C) at which each channel was seen last in its sequence, -1 before the first time."""
    rows = np.arange(len(known))[:, None]
    last = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    begins = np.searchsorted(codes, codes)[:, None]
    found: Integers = np.where(last >= begins, last, -1)
    return found
