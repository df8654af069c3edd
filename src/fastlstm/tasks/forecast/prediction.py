"""Forecasts past the end of series."""

from __future__ import annotations

import numpy as np

from fastlstm.data.scaling import Floats
from fastlstm.data.series import SeriesSet
from fastlstm.data.windows import CovariateScaling, WindowIndex, Windows, with_horizon
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.tasks.forecast.fallback import stand_in
from fastlstm.tasks.forecast.learning import forecast_windows


def forecast_ahead(
    network: ForecastEnsemble, series: SeriesSet, scaling: CovariateScaling
) -> tuple[SeriesSet, WindowIndex, Floats]:
    """Forecast the horizon after each series' last observed target.

    S series, L steps ahead, Q quantiles.

    Parameters
    ----------
    network : ForecastEnsemble
        The model.
    series : SeriesSet
        The series, with the known future of their covariates.
    scaling : CovariateScaling
        Of the covariates.

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
    """
    context, horizon = network.settings.context, network.settings.horizon
    series.require_future(horizon)
    ends = with_horizon(series.tail(network.reach), horizon)
    device = next(network.parameters()).device
    lag = network.settings.layout.lag
    windows = Windows(ends, scaling, context=context, horizon=horizon, lag=lag, device=device)
    index = WindowIndex(np.arange(len(ends)), ends.offsets[:-1] + ends.last_observed)
    forecasts = forecast_windows(network, windows, index)
    return ends, index, stand_in(ends, index, forecasts, network.settings.quantiles, scaling.target)
