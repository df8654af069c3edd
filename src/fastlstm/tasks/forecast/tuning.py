"""Which configurations of a forecaster are tried, and how they compare: on the validation part alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.errors import InputError
from fastlstm.tasks.forecast.defaults import LONGEST_CONTEXT, USUAL, default_network
from fastlstm.tasks.forecast.evaluation import LABELS, Evaluation, evaluate_windows
from fastlstm.tasks.forecast.fitting import Fitted, Prepared, fit_series
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import split_for
from fastlstm.tasks.forecast.starting import FitOptions
from fastlstm.tasks.tuning import (
    Between,
    Choice,
    Pruned,
    Space,
    completed,
    importances,
    left,
    open_study,
    parse_space,
    search,
    why_none,
)
from fastlstm.training.learner import pass_interrupt_on
from fastlstm.training.metrics import quantile_loss, scaled
from fastlstm.wording import many

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 30)  # of a season, as contexts
VALIDATED_WINDOWS = 256  # by which a trial is judged while it runs
LISTED = 10  # trials in the report
COMPARED = ("mae", "rmse", "mase", "quantile_loss")

__all__ = ["Pruned", "TuningReport", "default_space", "scaled_quantile_loss", "tune"]


@dataclass(frozen=True)
class TuningReport:
    """What a search found.

    Parameters
    ----------
    trials : polars.DataFrame
        One row a trial that was not pruned, the best first: ``trial``, ``loss`` and its configuration.
    pruned, failed : int
        How many trials were ended early, or could not be trained.
    importances : dict
        Name → share of the spread of the losses that it explains, the largest first.
    metrics : dict
        ``best``, ``defaults`` and the naive forecasts → their errors on the validation part.
    """

    trials: pl.DataFrame
    pruned: int
    failed: int
    importances: dict[str, float]
    metrics: dict[str, dict[str, float]]

    def summary(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds of it."""
        return {
            "trials": self.trials.height + self.pruned + self.failed,
            "pruned": self.pruned,
            "failed": self.failed,
            "best": self.trials.row(0, named=True),
            "importances": self.importances,
            "compared": self.metrics,
        }

    def __str__(self) -> str:
        """All of it, as text."""
        done = f"{many(self.trials.height, 'trial')}, {self.pruned} pruned, {self.failed} failed"
        columns = self.trials.columns
        rows = [[_cell(value) for value in row] for row in self.trials.head(LISTED).iter_rows()]
        widths = [max(map(len, column)) + 2 for column in zip(columns, *rows, strict=True)]
        table = [
            "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (columns, *rows)
        ]
        lines = [f"{done}; loss: quantile loss on the validation part, scaled as MASE is", *table]
        if self.importances:
            told = ", ".join(f"{name} {share:.0%}" for name, share in self.importances.items())
            lines += [f"what mattered: {told}"]
        header = "".join(name.rjust(15) for name in COMPARED)
        lines += ["", f"{'validation':16}{header}"]
        for name, row in self.metrics.items():
            lines.append(f"{name:16}" + "".join(f"{row[measure]:>15.4g}" for measure in COMPARED))
        if "defaults" in self.metrics:
            best, usual = self.metrics["best"]["quantile_loss"], self.metrics["defaults"]["quantile_loss"]
            if best == usual:
                lines.append("No trial did better than the defaults.")
            elif usual > 0:
                side = "below" if best < usual else "above"
                lines.append(
                    f"The best trial's quantile loss is {abs(1 - best / usual):.1%} {side} that of the defaults, "
                    "on the part that chose it."
                )
        return "\n".join(lines) + "\n"


def default_space(
    parameters: Parameters, series: SeriesSet, season: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settle what is worth trying, and where the defaults lie in it.

    Contexts are whole seasons (or horizons, where there is no season), no longer than the training part.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        The series.
    season : int
        In steps.

    Returns
    -------
    space : dict
        Name → :class:`fastlstm.tasks.tuning.Choice` or ``Between``, for every part of the configuration.
    first : dict
        Name → what it is by default.
    """
    split = split_for(parameters, series)
    network = default_network(parameters, series, split, season)
    unit = season if season > 1 else parameters.horizon
    longest = min(max(LONGEST_CONTEXT, parameters.horizon), int(split.training.max()))
    contexts = {multiple * unit for multiple in MULTIPLES if multiple * unit <= longest}
    first = {
        "context": network.context,
        "hidden_size": network.hidden_size,
        "num_layers": parameters.num_layers,
        "learning_rate": parameters.learning_rate or USUAL[network.trunk].learning_rate,
        "dropout": parameters.dropout,
        "batch_size": parameters.batch_size or USUAL[network.trunk].batch_size,
        "trunk": network.trunk,
    }
    space = {
        "context": Choice(tuple(sorted(contexts | {network.context}))),
        "hidden_size": Choice(tuple(sorted({32, 64, 128, network.hidden_size}))),
        "num_layers": Between(1, 3),
        "learning_rate": Between(5e-4, 2e-2, log=True),
        "dropout": Between(0.0, 0.5),
        "batch_size": Choice(tuple(sorted({16, 32, 64, 128, first["batch_size"]}))),
        "trunk": Choice(("points", "segments")),
    }
    if parameters.decoding == "paths":  # which are of points
        del space["trunk"], first["trunk"]
    return space, first


def scaled_quantile_loss(evaluation: Evaluation) -> float:
    """Compute the loss that trials are compared by: the quantile loss of each window over the denominator of its MASE.

    It has no unit, so that series of all sizes count alike, and does not depend on the context. Windows without a
    denominator (of constant series) are left out; where no window has one, it is the quantile loss itself.

    Parameters
    ----------
    evaluation : Evaluation
        Forecasts of the validation part.
    """
    loss = quantile_loss(evaluation.truth, evaluation.forecasts["model"], evaluation.quantiles)
    relative = scaled(loss, evaluation.scale)
    chosen = relative if np.isfinite(relative).any() else loss
    return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else math.nan


def tune(
    parameters: Parameters,
    given: Mapping[str, Any],
    series: SeriesSet,
    season: int,
    *,
    trials: int,
    timeout: float | None,
    space: Sequence[str] | Mapping[str, Any] | None,
    storage: str | Path | None,
) -> tuple[Parameters | None, Fitted | None, TuningReport | None, bool]:
    """Search for the best configuration.

    Parameters
    ----------
    parameters : Parameters
        The configuration to start from.
    given : mapping
        The parts of it that the user settled: they stay as they are.
    series : SeriesSet
        The series.
    season : int
        In steps.
    trials, timeout, space, storage
        As for :meth:`fastlstm.Forecaster.tune`.

    Returns
    -------
    tuple
        The best configuration, its fit where this call made it, the report, and whether it was interrupted; None of
        the first three where it was so before a trial was done.

    Raises
    ------
    InputError
        If the space or the storage cannot be used, or no trial could be done.
    """
    whole, first = default_space(parameters, series, season)
    chosen = _chosen(space, whole, given)
    shared = parameters.model_dump(mode="json")
    for name in (*chosen, "progress", "device", "members"):
        shared.pop(name, None)
    written = {
        name: list(part.values) if isinstance(part, Choice) else [part.low, part.high, part.log]
        for name, part in chosen.items()
    }
    setting = {"data": series.fingerprint(), "season": season, **shared, "space": written}
    inside = {name: value for name, value in first.items() if name in chosen and _holds(chosen[name], value)}
    study = open_study(storage, setting, inside, default=len(inside) == len(chosen))
    kept: list[Fitted] = []
    best = math.inf
    alone = parameters.model_copy(update={"members": 1})

    def evaluate(values: dict[str, Any], report: Any) -> tuple[float, dict[str, Any]]:
        nonlocal best
        tried = Parameters.check({**alone.model_dump(), **values})
        look = _Look(series, season, report)
        fitted = fit_series(tried, series, season, FitOptions(validated=look, test=False))
        pass_interrupt_on(fitted.report.training)
        validation = fitted.report.validation
        loss = scaled_quantile_loss(validation)
        if loss < best:
            best = loss
            kept[:] = [fitted]
        return loss, {"metrics": {name: dict(row) for name, row in validation.metrics.items()}}

    interrupted = search(study, chosen, evaluate, trials=trials, timeout=timeout, seed=parameters.seed)
    done = completed(study)
    if not done:
        if not interrupted:
            raise InputError(why_none(study))
        return None, None, None, interrupted
    found = Parameters.check({**parameters.model_dump(), **done[0].params})
    fitted = next((fit for fit in kept if scaled_quantile_loss(fit.report.validation) == done[0].value), None)
    return found, fitted, _report(study, done, parameters.seed), interrupted


class _Look:
    """Judges a trial at each validation, on the same windows and scale whatever its configuration."""

    def __init__(self, series: SeriesSet, season: int, report: Any) -> None:
        self.series, self.season, self.report = series, season, report

    def __call__(self, prepared: Prepared) -> None:
        model = prepared.model
        windows = prepared.split.validation_windows(self.series, model.settings.horizon)
        model.network.eval()
        evaluation = evaluate_windows(model, self.series, windows.thinned(VALIDATED_WINDOWS), self.season)
        model.network.train()
        self.report(scaled_quantile_loss(evaluation))


def _chosen(space: Sequence[str] | Mapping[str, Any] | None, whole: Space, given: Mapping[str, Any]) -> Space:
    """Return what to try: what was asked for, or all that the user did not settle."""
    if isinstance(space, Mapping):
        asked = parse_space(space)
        unknown = [name for name in asked if name not in Parameters.model_fields or name in UNTUNED]
        if unknown:
            raise InputError(f"space has {unknown[0]!r}, which is nothing to tune: give {', '.join(whole)}")
        return asked
    names = [space] if isinstance(space, str) else list(space or ())
    for name in names:
        if name not in whole:
            raise InputError(f"space has {name!r}, which is nothing to tune: give {', '.join(whole)}")
    found = {name: part for name, part in whole.items() if (name in names if names else name not in given)}
    if not found:
        raise InputError(f"there is nothing left to tune: leave out one of {', '.join(whole)}")
    return found


UNTUNED = (
    "horizon",
    "quantiles",
    "members",
    "validation_windows",
    "test_windows",
    "device",
    "seed",
    "progress",
)


def _holds(part: Choice | Between, value: Any) -> bool:
    if isinstance(part, Choice):
        return value in part.values
    return bool(part.low <= value <= part.high)


def _report(study: Any, done: list[FrozenTrial], seed: int) -> TuningReport:
    rows = [{"trial": trial.number, "loss": trial.value, **trial.params} for trial in done]
    metrics = dict(done[0].user_attrs["metrics"])
    compared = {"best": metrics.pop("model")}
    usual = next((trial for trial in done if trial.user_attrs.get("default")), None)
    if usual is not None:
        compared["defaults"] = usual.user_attrs["metrics"]["model"]
    compared |= {LABELS[name]: row for name, row in metrics.items()}
    states = [trial.state.name for trial in study.get_trials(deepcopy=False) if not left(trial)]
    return TuningReport(
        trials=pl.DataFrame(rows),
        pruned=states.count("PRUNED"),
        failed=states.count("FAIL"),
        importances=importances(study, seed),
        metrics=compared,
    )


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
