"""Forecasts past the end of series: quantiles, or sampled paths."""

from __future__ import annotations

from typing import cast
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from fastlstm.checks import require_whole
from fastlstm.data.series.scaling import Floats
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import WindowIndex, Windows, with_horizon
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastNetwork, NetworkSettings
from fastlstm.model.paths import sample_paths, uniform_numbers
from fastlstm.tasks.forecast.adapting import forecast_adapted, steps_needed
from fastlstm.tasks.forecast.fallback import stand_in, stand_in_paths
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.training.metrics import Array

PATHS_AT_ONCE = 2**15  # of all windows together


def forecast_ahead(
    model: ForecastModel, series: SeriesSet, horizon: int | None = None, fresh: Integers | None = None
) -> tuple[SeriesSet, WindowIndex, Array]:
    """Forecast what comes after each series' last observed target.

    S series, L steps ahead, Q quantiles.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    series : SeriesSet
        The series, with the known future of their covariates.
    horizon : int, optional
        L. Default: what the model was trained for.
    fresh : numpy.ndarray, optional
        (S,) int64, the position from which on nothing of a series was learnt: intervals follow what became of the
        forecasts from there on. Default: they are as calibrated.

    Returns
    -------
    series : SeriesSet
        Their ends, as long as a forecast looks back, and the horizon.
    index : WindowIndex
        One window a series.
    forecasts : numpy.ndarray
        (S, L, Q), in the target's unit.

    Raises
    ------
    DataError
        If the future covariates do not reach over the horizon.
    InputError
        If the model cannot forecast so far.
    """
    steps = _reachable(model.settings, horizon)
    fresh = series.last_observed if fresh is None else fresh
    ends, index, windows, cut = _ends(model, series, steps, fresh)
    # No step of the horizon reads a later one, so what is cut off takes nothing with it.
    forecasts = forecast_adapted(model, windows, ends, index, np.maximum(fresh - cut, 0))[:, :steps]
    forecasts = forecasts.astype(np.float32)  # no more digits than the network has
    return ends, index, stand_in(ends, index, forecasts, model.settings.quantiles, model.scaling.target)


def sample_ahead(
    model: ForecastModel, series: SeriesSet, paths: int, seed: int, horizon: int | None = None
) -> tuple[SeriesSet, WindowIndex, Floats]:
    """Draw futures that go on from each series' last observed target.

    Each member of the model draws its share of them: together they are draws from the mixture of the members.

    S series, N paths, L steps ahead.

    Parameters
    ----------
    model : ForecastModel
        Trained, of one step (``decoding="paths"``).
    series : SeriesSet
        The series, with the known future of their covariates.
    paths : int
        N.
    seed : int
        The same one gives the same paths.
    horizon : int, optional
        L. Default: what the model was trained for.

    Returns
    -------
    series : SeriesSet
        Their ends, as long as a forecast looks back, and the horizon.
    index : WindowIndex
        One window a series.
    drawn : numpy.ndarray
        (S, N, L), in the target's unit.

    Raises
    ------
    DataError
        If the future covariates do not reach over the horizon.
    InputError
        If the model has no paths, or their number makes no sense.
    """
    settings = model.settings
    paths = require_whole("paths", paths, least=1)
    if settings.decoding != "paths":
        raise InputError(
            "paths are drawn step by step, and this model forecasts all steps at once: "
            "fit with decoding='paths', or leave paths out"
        )
    steps = _reachable(settings, horizon)
    ends, index, windows, _ = _ends(model, series, steps, series.last_observed)
    members = [cast(ForecastNetwork, member) for member in model.network.members]
    shares = [len(part) for part in np.array_split(np.arange(paths), len(members))]
    # What is drawn of a series is the same whatever stands beside it.
    seeds = [(seed, crc32(str(ends.names[code]).encode())) for code in index.series]
    with torch.inference_mode():
        parts: list[Tensor] = []
        size = max(1, PATHS_AT_ONCE // paths)
        codes, origins = (torch.from_numpy(part).to(model.device).split(size) for part in index)
        for place, part in enumerate(zip(codes, origins, strict=True)):
            batch = windows.gather(*part)
            own_seeds = seeds[place * size : (place + 1) * size]
            uniform = uniform_numbers(own_seeds, paths, steps).split(shares, dim=1)
            drawn = [
                sample_paths(member, batch, own)
                for member, own in zip(members, uniform, strict=True)
                if own.shape[1]
            ]
            parts.append(torch.cat(drawn, dim=1).cpu())
    whole = cast(Floats, torch.cat(parts).numpy())
    return ends, index, stand_in_paths(ends, index, whole, model.scaling.target, seeds)


def _reachable(settings: NetworkSettings, horizon: int | None) -> int:
    """Return how many steps to forecast; raise where the model cannot."""
    if horizon is None:
        return settings.horizon
    horizon = require_whole("horizon", horizon, least=1)
    if horizon > settings.horizon and settings.decoding == "direct":
        raise InputError(
            f"horizon is {horizon}, and this model forecasts {settings.horizon} steps, all at once: give at most "
            f"{settings.horizon}, fit with horizon={horizon}, or with decoding='paths', which goes on for any number"
        )
    return horizon


def _ends(
    model: ForecastModel, series: SeriesSet, steps: int, fresh: Integers
) -> tuple[SeriesSet, WindowIndex, Windows, Integers]:
    """Return the ends of series with some steps ahead, one window each, their rows, and how many steps were cut off."""
    settings = model.settings
    series.require_future(steps)
    whole = max(steps, settings.horizon) if settings.decoding == "direct" else steps
    kept = series.tail(steps_needed(model.network.reach, whole, series, fresh))
    ends = with_horizon(kept, whole)
    index = WindowIndex(np.arange(len(ends)), ends.offsets[:-1] + ends.last_observed)
    return ends, index, model.windows(ends, whole), series.last_observed - kept.last_observed
