"""What was observed of a sequence in all: a few numbers a channel, however the observations lie in time."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fastlstm.data.series.rows import Floats, Integers
from fastlstm.data.series.scaling import Standardizer

STATISTICS = 7  # a channel


class ObservedSummary(BaseModel):
    """How often each channel with gaps was observed, and first, last, mean, deviation, least and greatest of it.

    The observed values alone count, each once. Models of outcomes from irregular records live on such numbers
    (Harutyunyan et al. 2019, "Multitask learning and benchmarking with clinical time series data", whose baseline they
    are); an LSTM over mostly empty rows learns them slowly from few sequences. Where all values are observed its
    pooling sees them itself.

    P = 7 times the channels with gaps.

    Parameters
    ----------
    channels : tuple of int
        Those in which values were missing, of the training part.
    mean, deviation : tuple of float
        P each, of the training part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def fit(cls, values: npt.NDArray[np.floating], codes: Integers, sequences: int) -> Self:
        """Learn the scales.

        Parameters
        ----------
        values : numpy.ndarray
            (N, C), scaled, NaN where missing.
        codes : numpy.ndarray
            (N,) int64, which sequence each row is of.
        sequences : int
            n.
        """
        channels = tuple(np.flatnonzero(np.isnan(values).any(axis=0)).tolist())
        scale = Standardizer.fit(summaries(values[:, channels], codes, sequences))
        return cls(channels=channels, mean=scale.mean, deviation=scale.deviation)

    def transform(self, values: npt.NDArray[np.floating], codes: Integers, sequences: int) -> Floats:
        """Sum sequences up.

        Parameters
        ----------
        values, codes, sequences
            As for ``fit``.

        Returns
        -------
        numpy.ndarray
            (n, P) float32, standardised; 0 of a channel that was never observed, but for its count.
        """
        found = summaries(values[:, self.channels], codes, sequences)
        return Standardizer(self.mean, self.deviation).transform(found)[:, : found.shape[1]]


def summaries(values: npt.NDArray[np.floating], codes: Integers, sequences: int) -> Floats:
    """Sum up the observed values of each channel.

    Parameters
    ----------
    values : numpy.ndarray
        (N, C), NaN where missing.
    codes : numpy.ndarray
        (N,) int64, rising: which sequence each row is of.
    sequences : int
        n.

    Returns
    -------
    numpy.ndarray
        (n, 7 C) float32: of all channels the logarithm of one plus the count, then first, last, mean, deviation, least
        and greatest, NaN where the count is 0.

    Examples
    --------
    >>> values = np.array([[2.0], [np.nan], [4.0], [np.nan]])
    >>> summaries(values, np.array([0, 0, 0, 1]), 2)[:, 1:]
    array([[ 2.,  4.,  3.,  1.,  2.,  4.],
           [nan, nan, nan, nan, nan, nan]], dtype=float32)
    """
    found = np.full((STATISTICS, sequences, values.shape[1]), np.nan)
    found[0] = 0
    for place, column in enumerate(values.T.astype(np.float64)):
        seen = ~np.isnan(column)
        if not seen.any():
            continue
        observed, whose = column[seen], codes[seen]
        begins = np.flatnonzero(np.diff(whose, prepend=-1))
        counts = np.diff(np.append(begins, len(whose)))
        mean = np.add.reduceat(observed, begins) / counts
        variance = np.add.reduceat(np.square(observed - np.repeat(mean, counts)), begins) / counts
        found[:, whose[begins], place] = (
            np.log1p(counts),
            observed[begins],
            observed[begins + counts - 1],
            mean,
            np.sqrt(variance),
            np.minimum.reduceat(observed, begins),
            np.maximum.reduceat(observed, begins),
        )
    whole: Floats = found.transpose(1, 0, 2).reshape(sequences, -1).astype(np.float32)
    return whole
