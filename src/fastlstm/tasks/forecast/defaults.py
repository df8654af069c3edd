"""What is settled from the data where it is not asked for: the kind of network, its sizes, how long it learns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastlstm.data.series.scaling import Location
from fastlstm.data.series.seasons import season_for, seasons_of
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.times.frequency import DAY, WEEK
from fastlstm.errors import DataError, InputError
from fastlstm.model.forecaster import NetworkSettings
from fastlstm.model.inputs import InputLayout
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import Split

SHORTEST_CONTEXT = 64
LONGEST_CONTEXT = 720  # of those that are not asked for, unless the horizon is longer
RATIO_SCALE_VARIATION = 0.3
YEARS_TO_LEARN = 1.5
SHARE_OF_WINDOWS, FEWEST_STEPS, MOST_STEPS = 0.75, 400, 2000
SEGMENTS_FROM = 300  # steps of context
SHORTEST_SEGMENT, LONGEST_SEGMENT, USUAL_SEGMENTS = 4, 60, 16


LARGE_FROM = 30_000  # training rows, from which on a network over segments is twice as wide


class Usual(NamedTuple):
    """Sizes that serve most data.

    Attributes
    ----------
    hidden_size : int
        H.
    large : int
        H where there is much to learn from.
    batch_size : int
        Windows a training step.
    learning_rate : float
        Its peak.
    """

    hidden_size: int
    large: int
    batch_size: int
    learning_rate: float


USUAL = {"points": Usual(64, 64, 32, 0.003), "segments": Usual(64, 128, 128, 0.002)}


def default_network(parameters: Parameters, series: SeriesSet, split: Split, season: int) -> NetworkSettings:
    """Settle how the network is built.

    Parameters
    ----------
    parameters : Parameters
        What was asked for.
    series : SeriesSet
        The series.
    split : Split
        Its parts.
    season : int
        Of seasonal-naive, in steps.
    """
    horizon = parameters.horizon
    if parameters.head == "negative_binomial":
        require_counts(series)
    seasons = sorted({*seasons_of(series, split.training), *year_of_days(series, split), season} - {1})
    paths = parameters.decoding == "paths"
    by_steps = paths or parameters.trunk == "points"
    context = parameters.context or default_context(split, horizon, season, seasons, by_steps=by_steps)
    trunk = parameters.trunk or ("segments" if context >= SEGMENTS_FROM and not paths else "points")
    if paths and (trunk == "segments" or parameters.head == "quantiles"):
        wrong = "trunk='segments'" if trunk == "segments" else "head='quantiles'"
        raise InputError(
            f"decoding='paths' goes step by step and draws each from a distribution, so {wrong} is no choice: "
            "leave it out"
        )
    segments = trunk == "segments"
    large = int(split.training.sum()) >= LARGE_FROM
    return NetworkSettings(
        layout=InputLayout.of(series, 0 if paths else yearly_lag(series, split, horizon)),
        context=context,
        horizon=horizon,
        quantiles=parameters.quantiles,
        hidden_size=parameters.hidden_size or (USUAL[trunk].large if large else USUAL[trunk].hidden_size),
        num_layers=parameters.num_layers,
        dropout=parameters.dropout,
        layer_norm=parameters.layer_norm,
        location=default_location(parameters, series, split, trunk, context),
        seasons=tuple(length for length in seasons if length <= context),
        trunk=trunk,
        segment=parameters.segment or default_segment(context, horizon, seasons) if segments else 1,
        head=parameters.head or ("student_t" if paths else "quantiles"),
        decoding=parameters.decoding,
    )


def require_counts(series: SeriesSet) -> None:
    """Raise where a target is no count.

    Parameters
    ----------
    series : SeriesSet
        The series.

    Raises
    ------
    DataError
        If a value is negative or no whole number; the message says which.
    """
    values = series.target[:, 0]
    wrong = np.flatnonzero(~np.isnan(values) & ((values < 0) | (values != np.round(values))))
    if wrong.size:
        code = int(np.searchsorted(series.offsets, wrong[0], side="right")) - 1
        when = series.when(code, int(wrong[0] - series.offsets[code]))
        whose = "" if series.names[code] is None else f" of series {series.names[code]!r}"
        raise DataError(
            f"{series.source}: {series.schema.columns.target[0]} is {values[wrong[0]]:g} at {when}{whose}, which is "
            "no count: head='negative_binomial' is for whole numbers from 0 on, give another head"
        )


def default_season(parameters: Parameters, series: SeriesSet) -> int:
    """Settle the season of seasonal-naive and MASE, from what lies before the test part.

    Parameters
    ----------
    parameters : Parameters
        What was asked for.
    series : SeriesSet
        The series.

    Returns
    -------
    int
        In steps; 1 where there is no season.
    """
    fitted = np.maximum(series.last_observed - parameters.test_windows * parameters.horizon, 0)
    return season_for(seasons_of(series, fitted), parameters.horizon)


def default_location(
    parameters: Parameters, series: SeriesSet, split: Split, trunk: str, context: int
) -> Location:
    """Settle what is taken away from each window.

    Counts, and what has a natural zero, stay where they are. Otherwise it is the last value, from where a series
    goes on; or the mean, where a window is forecast from several origins, which have no last value in common.

    Parameters
    ----------
    parameters : Parameters
        What was asked for.
    series : SeriesSet
        The series.
    split : Split
        Its parts.
    trunk : {"points", "segments"}
        The kind of network.
    context : int
        C.
    """
    if parameters.head == "negative_binomial" or on_ratio_scale(series, split.training, context):
        return "zero"
    return "last" if trunk == "segments" else "mean"


def default_segment(context: int, horizon: int, seasons: list[int]) -> int:
    """Settle how many steps a segment has: the shortest season, or a sixteenth of the context.

    Parameters
    ----------
    context, horizon : int
        C and L.
    seasons : list of int
        In steps, rising.

    Examples
    --------
    >>> default_segment(336, 96, [24, 168]), default_segment(400, 10, [])
    (24, 10)
    """
    fitting = [season for season in seasons if SHORTEST_SEGMENT <= season <= LONGEST_SEGMENT]
    return min(fitting[0] if fitting else max(SHORTEST_SEGMENT, context // USUAL_SEGMENTS), horizon)


def default_context(
    split: Split, horizon: int, season: int, seasons: list[int], *, by_steps: bool = False
) -> int:
    """Settle the context where none is asked for.

    Twice the season or the horizon, or one of the longest season, whichever is longest, and 64 steps where that is
    no more than a third of what the longest series has for training; whole seasons, no more than it has, and no more
    than 720 steps, but for two of a longer season where they are read in segments.

    Parameters
    ----------
    split : Split
        Its parts.
    horizon : int
        L.
    season : int
        Of seasonal-naive, in steps.
    seasons : list of int
        In steps, rising.
    by_steps : bool
        Whether the network goes step by step.
    """
    most = int(split.training.max())
    wanted = max(2 * season, 2 * horizon, *seasons[-1:], min(SHORTEST_CONTEXT, most // 3), 1)
    wanted = -(-wanted // season) * season
    longest = LONGEST_CONTEXT if by_steps or season <= LONGEST_CONTEXT else 2 * season
    return min(wanted, max(longest, horizon), most)


def year_of_days(series: SeriesSet, split: Split) -> tuple[int, ...]:
    """Return the year as a season of days, where two were seen.

    Parameters
    ----------
    series : SeriesSet
        The series.
    split : Split
        Its parts.
    """
    frequency = series.axis.frequency
    if frequency.kind != "duration" or frequency.size != DAY or split.training.max() < 2 * 365:
        return ()
    return (365,)


def yearly_lag(series: SeriesSet, split: Split, horizon: int) -> int:
    """Settle how far back the target of a year ago lies, where it is worth looking at.

    What the year before tells of this one can be learnt only from years that have one before them: the longest
    series must have most of a second. 52 weeks keep the weekday.

    Parameters
    ----------
    series : SeriesSet
        The series.
    split : Split
        Its parts.
    horizon : int
        L.

    Returns
    -------
    int
        In steps; 0 where there is none.
    """
    frequency = series.axis.frequency
    if "year" not in series.schema.calendar or frequency.kind != "duration" or 52 * WEEK % frequency.size:
        return 0
    lag = 52 * WEEK // frequency.size
    return lag if lag >= horizon and split.fit.max() >= YEARS_TO_LEARN * lag else 0


def default_steps(windows: int, batch_size: int) -> int:
    """Settle how many training steps there are at most, where that is not asked for.

    The windows of a series overlap, so that a network has seen most of what there is before it has seen each once;
    from there on it learns them by heart.

    Parameters
    ----------
    windows : int
        How many windows there are to learn from.
    batch_size : int
        How many of them a step shows.

    Examples
    --------
    >>> default_steps(17_000, 32), default_steps(100, 32), default_steps(1_000_000, 32)
    (400, 400, 2000)
    """
    return min(max(round(SHARE_OF_WINDOWS * windows / batch_size), FEWEST_STEPS), MOST_STEPS)


def on_ratio_scale(series: SeriesSet, ends: Integers, context: int) -> bool:
    """Tell whether the target has a natural zero: windows are then divided by their mean alone.

    That is so where it is never negative and varies by much of its own size, as counts, sales, loads and
    flows do; and not for, say, a price or a temperature, which vary little beside their distance from zero. What
    grows may vary as much over the years: it is what it does within a context that counts.

    Parameters
    ----------
    series : SeriesSet
        The series.
    ends : numpy.ndarray
        (S,) int64, the position just past each series' last training row.
    context : int
        C, in steps.
    """
    variations = []
    for first, end in zip(series.offsets[:-1], ends, strict=True):
        values = series.target[first : first + end, 0].astype(np.float64)
        values = values[~np.isnan(values)]
        if values.size and values.min() < 0:
            return False
        parts = np.array_split(values, max(1, len(values) // context))
        own = [part.std() / part.mean() for part in parts if part.size and part.mean() > 0]
        variations += [float(np.median(own))] if own else []
    return bool(variations) and float(np.median(variations)) > RATIO_SCALE_VARIATION
