"""Where fitting stands, kept in a run folder so that it can go on exactly from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Schema
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import CovariateScaling
from fastlstm.errors import InputError
from fastlstm.model.forecaster import NetworkSettings
from fastlstm.runs import drop_checkpoint
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.starting import FitOptions, Start
from fastlstm.tasks.resuming import FitRecord, keep_fit, read_fit

TASK = "forecast"


class ForecastRecord(FitRecord):
    """What is being fitted to which table, and from where it started.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    table : Schema
        How the table was read.
    season : int
        In steps.
    network, scaling : NetworkSettings and CovariateScaling, optional
        Those of the model that fitting started from, where there was one.
    learnt : dict
        From when on it had learnt nothing of each series, as ``Start`` holds it.
    """

    parameters: Parameters
    table: Schema
    season: PositiveInt
    network: NetworkSettings | None = None
    scaling: CovariateScaling | None = None
    learnt: dict[str, int] = Field(default_factory=dict)


def kept_in(
    folder: str | Path,
    parameters: Parameters,
    series: SeriesSet,
    season: int,
    source: Any,
    options: FitOptions,
) -> FitOptions:
    """Let a fit keep where it stands in a run folder.

    Parameters
    ----------
    folder : str or Path
        The run folder; a checkpoint that is there of another fit is removed.
    parameters : Parameters
        The configuration.
    series : SeriesSet
        The series.
    season : int
        In steps.
    source : path or DataFrame
        Where they come from.
    options : FitOptions
        How the fit starts.
    """
    if options.resume is None:
        drop_checkpoint(folder)
    start = options.start
    record = ForecastRecord(
        task=TASK,
        parameters=parameters,
        table=series.schema,
        season=season,
        source=str(Path(source).absolute()) if isinstance(source, str | Path) else None,
        fingerprint=series.fingerprint(),
        network=start.settings if start else None,
        scaling=start.scaling if start else None,
        learnt=dict(start.learnt) if start else {},
    )
    return replace(options, checkpoint=keep_fit(folder, record))


def take_up(folder: str | Path, data: Any | None) -> tuple[ForecastRecord, SeriesSet, FitOptions, Any]:
    """Return all that it takes to go on with the fit of a run folder.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    data : path or DataFrame, optional
        The table that was fitted. Default: the file that it came from.

    Returns
    -------
    tuple
        What was fitted, its series, where to go on, and where the series come from.

    Raises
    ------
    InputError
        If the data is not what was fitted.
    RunError
        If there is no checkpoint, or it is of another task or version.
    """
    record, state = read_fit(folder, ForecastRecord, TASK)
    source = record.source if data is None else data
    if source is None:
        raise InputError(f"{folder} was fitted to a frame, which no checkpoint keeps: give it as data")
    series = read_series(source, record.table.columns, schema=record.table)
    if series.fingerprint() != record.fingerprint:
        raise InputError(
            f"{series.source} is not the table that {folder} was being fitted to: give that one, or train anew"
        )
    start = None
    if record.network is not None and record.scaling is not None:
        start = Start(record.network, record.scaling, learnt=record.learnt)
    return record, series, FitOptions(start=start, resume=state), source
