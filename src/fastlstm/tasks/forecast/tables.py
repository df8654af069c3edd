"""The table to fit to, read: its roles settled, its categories those of the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastlstm.checks import require_whole
from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns, find_columns
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.wide import read_jointly
from fastlstm.data.tables.table import read_table
from fastlstm.errors import InputError
from fastlstm.tasks.forecast.defaults import default_season
from fastlstm.tasks.forecast.frames import refuse_own_names
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import split_for
from fastlstm.tasks.forecast.starting import Start, read_alike
from fastlstm.tasks.forecast.vocabulary import keep_training_categories
from fastlstm.wording import many


def read_to_fit(
    parameters: Parameters,
    data: Any,
    *,
    target: str | Sequence[str] | None = None,
    time: str | Sequence[str] | None = None,
    series: str | None = None,
    past_covariates: Sequence[str] = (),
    future_covariates: Sequence[str] = (),
    static_covariates: Sequence[str] = (),
    categories: Sequence[str] = (),
    missing: float | Sequence[float] = (),
    wide: bool = False,
    joint: bool = False,
    frequency: str | None = None,
    season: int | None = None,
    start: Start | None = None,
) -> tuple[SeriesSet, int]:
    """Read a table to fit to.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    data : path or DataFrame
        The table.
    target, time, series, past_covariates, future_covariates, static_covariates, categories
        As for :meth:`fastlstm.Forecaster.fit`.
    missing, wide, joint, frequency, season
        As for :meth:`fastlstm.Forecaster.fit`.
    start : Start, optional
        A trained network to start from; its categories, steps and season are kept.

    Returns
    -------
    tuple
        The series, and the season in steps.

    Raises
    ------
    InputError
        If an argument or the table cannot be used.
    """
    if season is not None:
        season = require_whole("season", season, least=1)
    table = read_table(data)
    columns = find_columns(
        table,
        target=target,
        time=time,
        series=series,
        past_covariates=past_covariates,
        future_covariates=future_covariates,
        static_covariates=static_covariates,
        categories=categories,
        missing=missing,
        wide=wide,
    )
    if joint:
        columns = read_jointly(table, columns)
    if start is not None:
        read = read_alike(table, columns, start.table, frequency)
    else:
        read = read_series(table, columns, frequency=frequency)
        read = keep_training_categories(read, split_for(parameters, read).training)
    refuse_own_names(read, parameters.quantiles)
    if season is not None and season >= (longest := int(read.last_observed.max())):
        raise InputError(
            f"season is {many(season, 'step')}, and the longest series has {longest:,}: give the length of a season "
            "that the table holds more than once"
        )
    if season is None:
        season = start.season if start else default_season(parameters, read)
    return read, season


def roles_of(columns: Columns) -> Mapping[str, Any]:
    """Return the arguments of ``fit`` that give these roles.

    Parameters
    ----------
    columns : Columns
        The roles.
    """
    target: Any = columns.among or None
    if not columns.wide:
        target = columns.target[0] if len(columns.target) == 1 else columns.target
    return {
        "target": target,
        "time": columns.time_parts or columns.time,
        "series": None if columns.wide else columns.series,
        "past_covariates": columns.past_covariates[len(columns.among) if columns.joint else 0 :],
        "future_covariates": columns.future_covariates,
        "static_covariates": () if columns.joint else columns.static_covariates,
        "categories": columns.categories[int(columns.joint) :],
        "missing": columns.missing,
        "wide": columns.wide,
        "joint": columns.joint,
    }
