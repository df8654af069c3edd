"""What the target is like over all series: what is left to say of a series of which hardly anything is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

LEVELS = np.linspace(0, 1, 41)
FEWEST_VALUES = 3  # of a series whose steps say something


@dataclass(frozen=True)
class PooledTarget:
    """The target's distribution over all series, and how far it moves in a step.

    Parameters
    ----------
    values : tuple of float
        Its quantiles at levels that rise in equal steps from 0 to 1, over all training rows; empty where there
        are none.
    step : float
        The root mean square of the difference of two values that follow one another, as a share of the mean
        absolute value: the median over series.
    """

    values: tuple[float, ...]
    step: float

    @property
    def size(self) -> float:
        """The mean absolute value, 0 where nothing was learnt."""
        return float(np.abs(self.values).mean()) if self.values else 0.0

    @property
    def floor(self) -> float:
        """What no forecast need lie below: 0 where no value does, else minus infinity."""
        return 0.0 if self.values and self.values[0] >= 0 else -np.inf

    @classmethod
    def fit(cls, target: Floats, codes: Integers) -> Self:
        """Learn it from rows.

        Parameters
        ----------
        target : numpy.ndarray
            (N,), NaN where missing, series by series in the order of time.
        codes : numpy.ndarray
            (N,) int64, which series each row is of, rising.

        Examples
        --------
        >>> target = np.float32([8, 12, 8, np.nan, 1, 2])
        >>> pooled = PooledTarget.fit(target, np.array([0, 0, 0, 0, 1, 1]))
        >>> pooled.quantiles([0.5]), round(pooled.step, 6)
        (array([8.]), 0.428571)
        """
        known = ~np.isnan(target)
        values, codes = target[known].astype(np.float64), codes[known]
        if not values.size:
            return cls((), 0.0)
        follows = np.diff(codes) == 0
        count = np.bincount(codes)
        squares = np.bincount(codes[1:][follows], np.square(np.diff(values)[follows]), minlength=len(count))
        size = np.bincount(codes, np.abs(values)) / np.maximum(count, 1)
        usable = (count >= FEWEST_VALUES) & (size > 0)
        steps = np.sqrt(squares[usable] / (count[usable] - 1)) / size[usable]
        step = float(np.median(steps)) if steps.size else 0.0
        return cls(tuple(np.quantile(values, LEVELS).tolist()), step)

    def quantiles(self, levels: Sequence[float]) -> npt.NDArray[np.float64]:
        """Return quantiles of the target over all series.

        Parameters
        ----------
        levels : sequence of float
            Q levels.

        Returns
        -------
        numpy.ndarray
            (Q,), NaN where nothing was learnt.
        """
        if not self.values:
            return np.full(len(levels), np.nan)
        return np.interp(levels, np.linspace(0, 1, len(self.values)), self.values)
