"""Fitting: from series to a trained network and a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fastlstm.data.frequency import WEEK
from fastlstm.data.series import Integers, SeriesSet
from fastlstm.data.windows import CovariateScaling, WindowIndex, rolling_windows
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastEnsemble, NetworkSettings
from fastlstm.model.inputs import InputLayout
from fastlstm.tasks.forecast.evaluation import Evaluation, evaluate_windows
from fastlstm.tasks.forecast.fallback import without_network
from fastlstm.tasks.forecast.learning import ForecastLearning
from fastlstm.tasks.forecast.report import ForecastReport
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import Split, split_series
from fastlstm.tasks.forecast.starting import FitOptions, Start
from fastlstm.training.loop import LoopSettings, TrainingResult, make_accelerator, train

LONGEST_CONTEXT = 720  # of those that are not asked for, unless the horizon is longer
VALIDATIONS = 20  # in a training of full length
RATIO_SCALE_VARIATION = 0.3
YEARS_TO_LEARN = 1.5
STEPS_BEFORE_STOPPING = 200  # so few steps have validations so close together that a bad stretch looks long
SHARE_OF_WINDOWS, FEWEST_STEPS, MOST_STEPS = 0.75, 400, 2000


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    network : ForecastEnsemble
        With the best weights, ready to forecast.
    scaling : CovariateScaling
        Fitted on the training part.
    training : list of TrainingResult
        How the training of each member went.
    report : ForecastReport
        What to tell.
    """

    network: ForecastEnsemble
    scaling: CovariateScaling
    training: list[TrainingResult]
    report: ForecastReport


@dataclass(frozen=True)
class Prepared:
    """All that training needs.

    Parameters
    ----------
    network : ForecastEnsemble
        With its initial weights.
    scaling : CovariateScaling
        Fitted on the training part.
    split : Split
        Which rows are which.
    learning : ForecastLearning
        What the training loop is to learn.
    """

    network: ForecastEnsemble
    scaling: CovariateScaling
    split: Split
    learning: ForecastLearning


def prepare(
    parameters: Parameters,
    series: SeriesSet,
    season: int,
    device: torch.device,
    start: Start | None = None,
) -> Prepared:
    """Split the series, fit the scalers, and build the network.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        The series.
    season : int
        In steps.
    device : torch.device
        Where to train.
    start : Start, optional
        A trained network to start from; its scaling is kept.

    Raises
    ------
    InputError
        If the series are too short.
    """
    horizon = parameters.horizon
    split = split_series(series, horizon, parameters.validation_windows, parameters.test_windows)
    scaling = start.scaling if start else CovariateScaling.fit(series, split.training)
    settings = NetworkSettings(
        layout=InputLayout.of(series, yearly_lag(series, split, horizon)),
        context=parameters.context or default_context(series, split, horizon, season),
        horizon=horizon,
        quantiles=parameters.quantiles,
        hidden_size=parameters.hidden_size,
        num_layers=parameters.num_layers,
        dropout=parameters.dropout,
        centre=not on_ratio_scale(series, split.training),
    )
    if start:
        settings = start.agree(settings, parameters.context)
    with torch.random.fork_rng([]):
        torch.manual_seed(parameters.seed)
        network = ForecastEnsemble(settings, parameters.members).to(device)
    if start:
        start.load(network)
    learning = ForecastLearning(
        network,
        series,
        scaling,
        split,
        batch_size=parameters.batch_size,
        origins=parameters.origins,
        device=device,
    )
    return Prepared(network, scaling, split, learning)


def fit_series(
    parameters: Parameters, series: SeriesSet, season: int, options: FitOptions | None = None
) -> Fitted:
    """Train a network on series.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        The series.
    season : int
        Of seasonal-naive and MASE, in steps.
    options : FitOptions, optional
        Where to start, and what looks on.

    Raises
    ------
    InputError
        If the series are too short.
    TrainingError
        If the loss is no longer finite.
    """
    options = options or FitOptions()
    accelerator = make_accelerator(parameters.device, parameters.precision)
    prepared = prepare(parameters, series, season, accelerator.device, options.start)
    network, scaling = prepared.network, prepared.scaling
    steps = parameters.max_steps or default_steps(len(prepared.learning.index_origins), parameters.batch_size)
    trained = options.trained(network)
    for member in range(len(trained), parameters.members):
        loop = LoopSettings(
            steps=steps,
            learning_rate=parameters.learning_rate,
            validate_every=max(1, steps // VALIDATIONS),
            patience=parameters.patience,
            fewest_steps=STEPS_BEFORE_STOPPING,
            seed=parameters.seed + member,
            progress=parameters.progress,
        )
        hooks = options.hooks(prepared, trained)
        trained.append(train(prepared.learning.learner(member), loop, accelerator, hooks))
        if trained[-1].stopped == "interrupted":
            useful = member + 1 if trained[-1].history or member == 0 else member
            del network.members[useful:]
            break
    prepared.learning.calibrate()
    index = prepared.split.validation_windows(series, parameters.horizon)
    validation = evaluate_windows(network, series, scaling, index, season)
    test = None
    if parameters.test_windows and options.test:
        test = evaluate_last(network, series, scaling, parameters.test_windows, season)
    report = ForecastReport(
        data=series.report,
        training=trained,
        parameters=sum(weight.numel() for weight in network.parameters()),
        context=network.settings.context,
        season=season,
        validation=validation,
        test=test,
        fallbacks=without_network(series),
    )
    return Fitted(network, scaling, trained, report)


def evaluate_last(
    network: ForecastEnsemble, series: SeriesSet, scaling: CovariateScaling, windows: int, season: int
) -> Evaluation:
    """Forecast the last horizons of the series, one after the other.

    Parameters
    ----------
    network : ForecastEnsemble
        The model.
    series : SeriesSet
        The series.
    scaling : CovariateScaling
        Of the covariates.
    windows : int
        How many horizons; a series shorter than that and one step gives as many as it has.
    season : int
        In steps.

    Raises
    ------
    InputError
        If no series is longer than a horizon.
    """
    horizon = network.settings.horizon
    last = series.last_observed - horizon
    first = np.maximum(last - (windows - 1) * horizon, 1)
    return evaluate_windows(
        network, series, scaling, _some(rolling_windows(series, first, last, horizon), series), season
    )


def evaluate_all(
    network: ForecastEnsemble,
    series: SeriesSet,
    scaling: CovariateScaling,
    known: Integers,
    season: int,
    stride: int | None = None,
) -> Evaluation:
    """Forecast every horizon of the series, one after the other, from where there is a full context.

    Parameters
    ----------
    network : ForecastEnsemble
        The model.
    series : SeriesSet
        The series.
    scaling : CovariateScaling
        Of the covariates.
    known : numpy.ndarray
        (S,) int64, how many steps at the start of each series serve as context only, where they came before;
        0 where the series is new. A new one too short for a full context gives one forecast, of its last
        horizon.
    season : int
        In steps.
    stride : int, optional
        Steps from one origin to the next. Default: a horizon.

    Raises
    ------
    InputError
        If no series is longer than a horizon.
    """
    settings = network.settings
    last = series.last_observed - settings.horizon
    first = np.where(known > 0, known, np.maximum(np.minimum(settings.context, last), 1))
    index = _some(rolling_windows(series, first, last, stride or settings.horizon), series)
    return evaluate_windows(network, series, scaling, index, season)


def default_context(series: SeriesSet, split: Split, horizon: int, season: int) -> int:
    """Settle the context where none is asked for.

    Twice the season or the horizon, or one of the longest season that the frequency has, whichever is
    longest; no more than the longest series has for training.

    Parameters
    ----------
    series : SeriesSet
        The series.
    split : Split
        Its parts.
    horizon : int
        L.
    season : int
        In steps.
    """
    longest_season = max(series.axis.frequency.seasons, default=1)
    wanted = max(2 * season, 2 * horizon, longest_season)
    return min(wanted, max(LONGEST_CONTEXT, horizon), int(split.training.max()))


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


def on_ratio_scale(series: SeriesSet, ends: Integers) -> bool:
    """Tell whether the target has a natural zero: windows are then divided by their mean alone.

    That is so where it is never negative and varies by much of its own size, as counts, sales, loads and
    flows do; and not for, say, a price or a temperature, which vary little beside their distance from zero.

    Parameters
    ----------
    series : SeriesSet
        The series.
    ends : numpy.ndarray
        (S,) int64, the position just past each series' last training row.
    """
    variations = []
    for first, end in zip(series.offsets[:-1], ends, strict=True):
        values = series.target[first : first + end, 0].astype(np.float64)
        values = values[~np.isnan(values)]
        if values.size and values.min() < 0:
            return False
        if values.size and values.mean() > 0:
            variations.append(values.std() / values.mean())
    return bool(variations) and float(np.median(variations)) > RATIO_SCALE_VARIATION


def _some(index: WindowIndex, series: SeriesSet) -> WindowIndex:
    if len(index.origins) == 0:
        raise InputError(
            f"the longest series has {series.last_observed.max():,} steps, too few to forecast any of them: "
            "give more than one horizon of steps"
        )
    return index
