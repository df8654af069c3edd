"""A fitted forecaster into a run folder, and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.runs import NETWORK, Run
from fastlstm.tasks.forecast.adapting import steps_needed
from fastlstm.tasks.forecast.settings import ForecastSettings, Parameters
from fastlstm.tasks.forecast.unseen import fresh_from, limits
from fastlstm.tasks.saving import Contents

if TYPE_CHECKING:
    from fastlstm.tasks.forecast.fitted import FittedForecaster

# Parts of the tensors: the ends of the series, and from when on nothing was learnt.
SERIES, LEARNT = "series", "learnt"
SEASONS = 2  # that a run keeps, so that seasonal-naive forecasts what comes after it as it did before


def saved_forecaster(forecaster: FittedForecaster) -> Contents:
    """Return what a run folder is to hold.

    Parameters
    ----------
    forecaster : FittedForecaster
        Fitted or loaded.
    """
    series, network = forecaster.series_, forecaster.network_
    fresh = fresh_from(series, limits(series, forecaster.learnt_until_))
    needed = steps_needed(network.reach, network.settings.horizon, series, fresh)
    kept = series.tail(np.maximum(needed, SEASONS * forecaster.season_), season=forecaster.season_)
    settings = ForecastSettings(
        parameters=Parameters.check(forecaster.get_params()),
        network=network.settings,
        members=len(network.members),
        scaling=forecaster.scaling_,
        table=kept.schema,
        names=kept.names,
        kind=kept.kind,
        season=forecaster.season_,
    )
    tensors = {
        NETWORK: network.state_dict(),
        SERIES: {name: torch.from_numpy(array.copy()) for name, array in kept.arrays().items()},
        LEARNT: {"until": torch.from_numpy(forecaster.learnt_until_.copy())},
    }
    plots = {} if forecaster.report_ is None else forecaster.report_.plots()
    return Contents(settings, tensors, plots=plots)


def restore_forecaster(forecaster: FittedForecaster, run: Run, settings: ForecastSettings) -> None:
    """Give a forecaster what a run folder holds of forecasters alone.

    Parameters
    ----------
    forecaster : FittedForecaster
        With the run's configuration.
    run : fastlstm.runs.Run
        What ``load_run`` gives.
    settings : ForecastSettings
        The run's.
    """
    forecaster.network_ = run.weigh(ForecastEnsemble(settings.network, settings.members))
    forecaster.scaling_ = settings.scaling
    forecaster.series_ = SeriesSet.from_arrays(
        run.arrays(SERIES), settings.names, settings.table, settings.kind
    )
    forecaster.context_ = settings.network.context
    forecaster.season_ = settings.season
    forecaster.learnt_until_ = run.arrays(LEARNT)["until"]
    forecaster.loaded_ = True
