"""What the network reads of each step, of a whole table at once or of one row after the other."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fastlstm.data.series.scaling import Standardizer
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.times.calendar import PLACE_IN_YEAR
from fastlstm.tasks.detect.scaling import RobustScale, squash

Floats = npt.NDArray[np.float32]


class DetectorScaling(BaseModel):
    """The scales of all that is read.

    Parameters
    ----------
    channels : RobustScale
        Of what is judged.
    past, future : Standardizer
        Of the numeric covariates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: RobustScale
    past: Standardizer
    future: Standardizer

    @classmethod
    def fit(cls, series: SeriesSet) -> Self:
        """Learn the scales.

        Parameters
        ----------
        series : SeriesSet
            What is fitted to.
        """
        return cls(
            channels=RobustScale.fit(series.target, series.offsets, series.names),
            past=Standardizer.fit(series.past),
            future=Standardizer.fit(series.future),
        )


class Steps(NamedTuple):
    """Steps of the grid, each with what came at it and what was known of it beforehand.

    T steps, K channels.

    Attributes
    ----------
    target : numpy.ndarray
        (T, K) float32, scaled, NaN where missing.
    past, past_codes : numpy.ndarray
        (T, ·) covariates that are known once the step has come; missing ones are marked.
    known, known_codes : numpy.ndarray
        (T, ·) covariates that are known before, and the calendar.
    """

    target: Floats
    past: Floats
    past_codes: Integers
    known: Floats
    known_codes: Integers

    def cut(self, first: int, end: int) -> Steps:
        """Return the steps from ``first`` up to ``end``.

        Parameters
        ----------
        first, end : int
            Steps.
        """
        cut = slice(first, end)
        return Steps(
            self.target[cut], self.past[cut], self.past_codes[cut], self.known[cut], self.known_codes[cut]
        )


class Carried(NamedTuple):
    """What the next step reads of those before it.

    Attributes
    ----------
    last : numpy.ndarray
        (K,) float32, the last value of each channel; NaN where there was none.
    fresh : numpy.ndarray
        (K,) float32, 1 where it is of the step before.
    past, past_codes : numpy.ndarray
        Those of the step before.
    """

    last: Floats
    fresh: Floats
    past: Floats
    past_codes: Integers

    @classmethod
    def nothing(cls, steps: Steps) -> Self:
        """Return what the first step of a series reads.

        Parameters
        ----------
        steps : Steps
            For the widths.
        """
        channels = steps.target.shape[1]
        return cls(
            np.full(channels, np.nan, np.float32),
            np.zeros(channels, np.float32),
            np.zeros(steps.past.shape[1], np.float32),
            np.zeros(steps.past_codes.shape[1], np.int64),
        )


def lay_steps(series: SeriesSet, scaling: DetectorScaling) -> Steps:
    """Scale all steps of some series.

    Parameters
    ----------
    series : SeriesSet
        N steps.
    scaling : DetectorScaling
        The scales.
    """
    centre, spread = (np.repeat(part, series.lengths, axis=0) for part in scaling.channels.of(series.names))
    # The place in the year, which comes last, is for forecasts of months.
    calendar = series.calendar[:, : series.calendar.shape[1] - (PLACE_IN_YEAR in series.schema.calendar)]
    known = np.concatenate([scaling.future.transform(series.future), calendar], axis=1, dtype=np.float32)
    return Steps(
        squash(series.target, centre, spread).astype(np.float32),
        scaling.past.transform(series.past),
        series.past_categories,
        known,
        series.future_categories,
    )


def read_on(steps: Steps, carried: Carried, *, itself: bool) -> tuple[Floats, Integers, Carried]:
    """Lay out what the network reads at steps that follow one another.

    Parameters
    ----------
    steps : Steps
        T steps of one series.
    carried : Carried
        Of what was before them.
    itself : bool
        Whether a step's own values are read at it, or those before it.

    Returns
    -------
    numbers, codes : numpy.ndarray
        (T, ·), as :class:`fastlstm.model.detector.RowBatch` has them, or of a step itself
        :class:`fastlstm.model.autoencoder.Autoencoder`.
    carried : Carried
        For the steps that come next.
    """
    values = np.concatenate([carried.last[None], steps.target])
    rows = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))[:, None]), axis=0)
    last = np.take_along_axis(values, rows, axis=0)
    fresh = np.concatenate([carried.fresh[None], ~np.isnan(steps.target)], dtype=np.float32)
    past = np.concatenate([carried.past[None], steps.past])
    past_codes = np.concatenate([carried.past_codes[None], steps.past_codes])
    read: list[npt.NDArray[Any]]
    if itself:
        read, codes_read = [np.nan_to_num(steps.target), fresh[1:], steps.past], steps.past_codes
    else:
        read = [np.nan_to_num(last[:-1]), ~np.isnan(last[:-1]), fresh[:-1], past[:-1]]
        codes_read = past_codes[:-1]
    numbers = np.concatenate([*read, steps.known], axis=1, dtype=np.float32)
    codes = np.concatenate([codes_read, steps.known_codes], axis=1)
    return numbers, codes, Carried(last[-1], fresh[-1], past[-1], past_codes[-1])
