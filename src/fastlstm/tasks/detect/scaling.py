"""Each channel on a scale of its own that outliers do not move."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fastlstm.data.series.series_set import Integers

Array = npt.NDArray[np.float64]

QUARTILES_OF_A_NORMAL = 1.3489795003921634  # how far apart they lie, in deviations
NARROW = 1e-6  # of the values' size: what is narrower is rounding


class RobustScale(BaseModel):
    """Median and interquartile range of each channel, over all series and of each.

    What the network reads and forecasts is ``arsinh((x - m) / s)``, with the median m and the spread s: like a number
    in deviations near the median, and like its logarithm far away, so that one outlier of a thousand deviations
    neither drowns the others nor blinds the network for the rows after it. The spread is the interquartile range over
    1.349, that of a normal distribution in deviations; where more than half of the values are equal, the deviation.

    S series, K channels.

    Parameters
    ----------
    names : list
        The S series' ids.
    centre, spread : list of list of float
        (S + 1, K); the first rows are those of all series, for series never seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: list[int | str | None]
    centre: list[list[float]]
    spread: list[list[float]]

    @classmethod
    def fit(cls, values: npt.NDArray[np.floating[Any]], offsets: Integers, names: list[Any]) -> Self:
        """Learn from the rows of all series.

        Parameters
        ----------
        values : numpy.ndarray
            (N, K), NaN where missing.
        offsets : numpy.ndarray
            (S + 1,) int64, the series' bounds.
        names : list
            Their ids.

        Examples
        --------
        >>> values = np.array([[1.0], [2.0], [3.0], [4.0], [900.0]])
        >>> scale = RobustScale.fit(values, np.array([0, 5]), [None])
        >>> scale.centre, [[round(number, 2) for number in row] for row in scale.spread]
        ([[3.0], [3.0]], [[1.48], [1.48]])
        """
        parts = [values] + [values[first:end] for first, end in pairwise(offsets)]
        pooled = _centre_and_spread(values, np.zeros(values.shape[1]), np.ones(values.shape[1]))
        found = [_centre_and_spread(part, *pooled) for part in parts]
        return cls(
            names=names,
            centre=[centre.tolist() for centre, _ in found],
            spread=[spread.tolist() for _, spread in found],
        )

    def of(self, names: list[Any]) -> tuple[Array, Array]:
        """Return centre and spread of some series, (S, K) each; those never seen have those of all.

        Parameters
        ----------
        names : list
            Their ids.
        """
        known = {str(name): place + 1 for place, name in enumerate(self.names)}
        rows = [known.get(str(name), 0) for name in names]
        return np.array(self.centre)[rows], np.array(self.spread)[rows]


def squash(values: npt.NDArray[np.floating[Any]], centre: Array, spread: Array) -> Array:
    """Return ``arsinh((x - m) / s)``.

    Parameters
    ----------
    values : numpy.ndarray
        (…, K), NaN where missing, and so is the answer.
    centre, spread : numpy.ndarray
        Of the same shape, or one that goes with it.

    Examples
    --------
    >>> squash(np.array([3.0, 5.0]), np.array(3.0), np.array(2.0)).round(4)
    array([0.    , 0.8814])
    """
    scaled: Array = np.arcsinh((values.astype(np.float64) - centre) / spread)
    return scaled


def _centre_and_spread(
    values: npt.NDArray[np.floating[Any]], centre: Array, spread: Array
) -> tuple[Array, Array]:
    """Of each column; those given where it has no values, and the spread where it has only one."""
    centres, spreads = centre.copy(), spread.copy()
    for place, column in enumerate(values.T):
        known = column[~np.isnan(column)].astype(np.float64)
        if known.size == 0:
            continue
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        least = NARROW * max(abs(middle), 1e-30)
        centres[place] = middle
        for found in ((high - low) / QUARTILES_OF_A_NORMAL, known.std()):
            if found > least:
                spreads[place] = found
                break
    return centres, spreads
