"""A fitted forecaster into a run folder, and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.runs import Run, save_run
from fastlstm.runs.checkpoint import CHECKPOINT
from fastlstm.runs.plots import learning_curve
from fastlstm.tasks.forecast.adapting import steps_needed
from fastlstm.tasks.forecast.settings import ForecastSettings, Parameters
from fastlstm.tasks.forecast.unseen import fresh_from, learnt_from, limits
from fastlstm.tasks.tuning import STUDY, study_at_rest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastlstm.tasks.forecast.fitted import FittedForecaster

SEASONS = 2  # that a run keeps, so that seasonal-naive forecasts what comes after it as it did before


def save_forecaster(forecaster: FittedForecaster, path: str | Path) -> None:
    """Write a run folder, whole or not at all.

    Parameters
    ----------
    forecaster : FittedForecaster
        Fitted or loaded.
    path : str or Path
        The folder to make. The checkpoint of a training that was interrupted stays in it, and a study of trials.
    """
    series, network = forecaster.series_, forecaster.network_
    fresh = fresh_from(series, limits(series, forecaster.learnt_until_))
    needed = steps_needed(network.reach, network.settings.horizon, series, fresh)
    kept = series.tail(np.maximum(needed, SEASONS * forecaster.season_), season=forecaster.season_)
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    ends = {f"series.{name}": torch.from_numpy(array.copy()) for name, array in kept.arrays().items()}
    learnt = {"learnt.until": torch.from_numpy(forecaster.learnt_until_.copy())}
    plots: dict[str, Figure | bytes] = {
        **forecaster.pictures_,
        "learning_curve": learning_curve(forecaster.history_),
    }
    if forecaster.report_ is not None:
        plots |= forecaster.report_.plots()
    with study_at_rest(path):
        save_run(
            path,
            task=forecaster.task,
            settings=ForecastSettings(
                parameters=Parameters.check(forecaster.get_params()),
                network=network.settings,
                scaling=forecaster.scaling_,
                table=kept.schema,
                names=kept.names,
                kind=kept.kind,
                season=forecaster.season_,
            ),
            tensors={**weights, **ends, **learnt},
            history=forecaster.history_,
            metrics=forecaster.metrics_,
            plots=plots,
            keep=(STUDY, CHECKPOINT) if forecaster.interrupted_ else (STUDY,),
        )


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
    weights = run.part("network")
    members = len({name.split(".")[1] for name in weights if name.startswith("members.")})
    network = ForecastEnsemble(settings.network, members)
    network.load_state_dict(weights)
    forecaster.network_ = network.eval()
    forecaster.scaling_ = settings.scaling
    forecaster.series_ = SeriesSet.from_arrays(
        {name: tensor.numpy() for name, tensor in run.part("series").items()},
        settings.names,
        settings.table,
        settings.kind,
    )
    forecaster.context_ = settings.network.context
    forecaster.season_ = settings.season
    held_back = settings.parameters.test_windows * settings.network.horizon
    until = run.part("learnt").get("until")
    forecaster.learnt_until_ = (
        learnt_from(forecaster.series_, held_back) if until is None else until.numpy().copy()
    )
    forecaster.loaded_ = True
