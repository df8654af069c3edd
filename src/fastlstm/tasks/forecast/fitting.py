"""Fitting: from series to a trained network and a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import CovariateScaling, WindowIndex, rolling_windows
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastEnsemble, NetworkSettings
from fastlstm.tasks.forecast.defaults import USUAL, default_network, default_steps
from fastlstm.tasks.forecast.evaluation import evaluate_windows
from fastlstm.tasks.forecast.fallback import without_network
from fastlstm.tasks.forecast.learning import ForecastLearning
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.tasks.forecast.report import ForecastReport
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import Split, split_series
from fastlstm.tasks.forecast.starting import FitOptions, Start
from fastlstm.tasks.forecast.unseen import fresh_from
from fastlstm.training.loop import make_accelerator
from fastlstm.training.members import train_members, useful_members
from fastlstm.wording import many


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    model : ForecastModel
        With the best weights, ready to forecast; its scaling is that of the training part.
    report : ForecastReport
        What to tell.
    """

    model: ForecastModel
    report: ForecastReport


@dataclass(frozen=True)
class Prepared:
    """All that training needs.

    Parameters
    ----------
    model : ForecastModel
        With its initial weights; its scaling is that of the training part.
    split : Split
        Which rows are which.
    learning : ForecastLearning
        What the training loop is to learn.
    """

    model: ForecastModel
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
    settings = default_network(parameters, series, split, season)
    if start:
        settings = start.agree(settings, parameters.context)
    with torch.random.fork_rng([]):
        torch.manual_seed(parameters.seed)
        network = ForecastEnsemble(settings, parameters.members).to(device)
    if start:
        start.load(network)
    model = ForecastModel(network, scaling)
    batch_size = parameters.batch_size or USUAL[settings.trunk].batch_size
    learning = ForecastLearning(model, series, split, batch_size=batch_size, origins=parameters.origins)
    return Prepared(model, split, learning)


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
    model, split, learning = prepared.model, prepared.split, prepared.learning
    network, horizon = model.network, parameters.horizon
    steps = parameters.max_steps or default_steps(len(learning.index_origins), learning.batch_size)
    rate = parameters.learning_rate or USUAL[network.settings.trunk].learning_rate
    loop = parameters.loop(steps, rate)
    learners = [partial(learning.learner, member) for member in range(parameters.members)]
    trained = train_members(network, learners, loop, accelerator, options.looking_on(prepared))
    del network.members[useful_members(trained) :]
    learning.calibrate()
    validation = evaluate_windows(model, series, split.validation_windows(series, horizon), season)
    test = None
    known = fresh_from(series, options.start.learnt if options.start else {})
    if parameters.test_windows and options.test:
        index = last_windows(series, horizon, parameters.test_windows, horizon)
        test = evaluate_windows(model, series, index, season, np.maximum(split.fit, known))
    report = ForecastReport(
        data=series.report,
        training=trained,
        parameters=sum(weight.numel() for weight in network.parameters()),
        context=network.settings.context,
        season=season,
        validation=validation,
        test=test,
        known=tuple(
            part
            for part, begins, ends in (
                ("validation", split.training, split.fit),
                ("test", split.fit, split.observed),
            )
            if (np.minimum(known, ends) > begins).any()
        ),
        fallbacks=without_network(series),
    )
    return Fitted(model, report)


def last_windows(series: SeriesSet, horizon: int, windows: int, stride: int) -> WindowIndex:
    """Find the last horizons of the series.

    Parameters
    ----------
    series : SeriesSet
        The series.
    horizon : int
        L.
    windows : int
        How many; a series too short for so many gives as many as it has, each with a step before it.
    stride : int
        Steps from one origin to the next.

    Raises
    ------
    InputError
        If no series is longer than a horizon.
    """
    first = np.maximum(series.last_observed - horizon - (windows - 1) * stride, 1)
    return windows_to_judge(series, first, horizon, stride)


def all_windows(series: SeriesSet, settings: NetworkSettings, known: Integers, stride: int) -> WindowIndex:
    """Find every horizon of the series, one after the other, from where there is a full context.

    Parameters
    ----------
    series : SeriesSet
        The series.
    settings : NetworkSettings
        For context and horizon.
    known : numpy.ndarray
        (S,) int64, how many steps at the start of each series serve as context only, where they came before;
        0 where the series is new. A new one too short for a full context gives one forecast, of its last
        horizon.
    stride : int
        Steps from one origin to the next.

    Raises
    ------
    InputError
        If no series is longer than a horizon.
    """
    last = series.last_observed - settings.horizon
    first = np.where(known > 0, known, np.maximum(np.minimum(settings.context, last), 1))
    return windows_to_judge(series, first, settings.horizon, stride)


def windows_to_judge(series: SeriesSet, first: Integers, horizon: int, stride: int) -> WindowIndex:
    """Find the horizons of series that can be forecast and compared, up to the end of each.

    Parameters
    ----------
    series : SeriesSet
        The series.
    first : numpy.ndarray
        (S,) int64, the position of each one's first origin.
    horizon : int
        L.
    stride : int
        Steps from one origin to the next.

    Returns
    -------
    WindowIndex
        The origins.

    Raises
    ------
    InputError
        If there are none.
    """
    index = rolling_windows(series, first, series.last_observed - horizon, stride)
    if len(index.origins) == 0:
        most = max(0, int((series.last_observed - first).max()))
        raise InputError(
            f"a horizon is {many(horizon, 'step')}, and no series has more than {most:,} to forecast: give more rows"
        )
    return index
