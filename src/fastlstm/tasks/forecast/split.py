"""Which rows train, which validate, which test: always in that order in time, series by series.

::

    |<──────────── observed ────────────>|<── known future ──>
    |   training   |  validation  | test |
                   ^ training     ^ fit  ^ observed       ends of the parts, as positions in the series
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm.data.series.series_set import Integers, SeriesSet, running_count
from fastlstm.data.series.windows import WindowIndex, rolling_windows
from fastlstm.errors import InputError
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.wording import many

VALIDATION_SHARE = 0.05  # of the rows of a series of usual length
FEW_WINDOWS = 64  # fewer validation windows than this lie closer than a horizon apart
MANY_WINDOWS = 1024  # more than this are thinned out


@dataclass(frozen=True)
class Split:
    """The ends of the parts.

    S series.

    Parameters
    ----------
    training : numpy.ndarray
        (S,) int64, the position just past each series' last training row.
    fit : numpy.ndarray
        (S,) int64, likewise of what fitting may see at all.
    observed : numpy.ndarray
        (S,) int64, likewise of what was observed.
    """

    training: Integers
    fit: Integers
    observed: Integers

    def validation_windows(self, series: SeriesSet, horizon: int) -> WindowIndex:
        """Return the windows to choose weights by: their horizons lie in the validation part.

        Parameters
        ----------
        series : SeriesSet
            The series.
        horizon : int
            L.
        """
        stretch = int(np.sum(self.fit - self.training))
        stride = max(1, min(horizon, stretch // FEW_WINDOWS))
        return rolling_windows(series, self.training, self.fit - horizon, stride).thinned(MANY_WINDOWS)


def split_series(
    series: SeriesSet, horizon: int, validation_windows: int | None = None, test_windows: int = 0
) -> Split:
    """Settle the parts.

    A series too short to leave a horizon and one step for training keeps nothing for validation: it only
    trains.

    Parameters
    ----------
    series : SeriesSet
        The series.
    horizon : int
        L.
    validation_windows : int, optional
        Horizons for validation. Default: a twentieth of what was observed of a usual series, at least one.
    test_windows : int
        Horizons for the test.

    Raises
    ------
    InputError
        If no series is long enough to train and validate, or for as many horizons as are asked for.
    """
    observed = series.last_observed
    asked = validation_windows
    fit = np.maximum(observed - test_windows * horizon, 0)
    if validation_windows is None:
        counted = running_count(~np.isnan(series.target).all(axis=1))
        known = counted[series.offsets[:-1] + fit] - counted[series.offsets[:-1]]
        usual = float(np.median(known[known > 0])) if known.any() else 0.0
        validation_windows = max(1, round(VALIDATION_SHARE * usual / horizon))
    room = (fit - horizon - 1) // horizon  # whole horizons that training can do without
    windows = np.clip(room, 0, validation_windows)
    if not windows.any():
        longest = int(observed.argmax())
        whose = (
            "the series"
            if series.names[longest] is None
            else f"the longest series, {series.names[longest]!r},"
        )
        parts = "training and validation" + (
            f" and {many(test_windows, 'test window')}" if test_windows else ""
        )
        raise InputError(
            f"{whose} has {many(int(observed[longest]), 'step')}, too few for {parts} with a horizon of {horizon}: "
            f"give at least {(2 + test_windows) * horizon + 1:,} steps, or a shorter horizon"
        )
    if asked is not None and windows.max() < asked:
        raise InputError(
            f"validation_windows is {asked}, and beside what is learnt from the longest series has room for "
            f"{many(int(windows.max()), 'horizon')} of {many(horizon, 'step')}: give at most that"
        )
    return Split(training=fit - windows * horizon, fit=fit, observed=observed)


def split_for(parameters: Parameters, series: SeriesSet) -> Split:
    """Settle the parts as a configuration asks for them.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        The series.

    Raises
    ------
    InputError
        If no series is long enough to train and validate.
    """
    return split_series(series, parameters.horizon, parameters.validation_windows, parameters.test_windows)
