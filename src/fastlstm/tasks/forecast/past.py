"""The past of series: what there was to learn from before some moment, and nothing that was learnt later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastlstm.data.ragged import offsets_of
from fastlstm.data.series.schema import ROLES, Role, Schema
from fastlstm.data.series.series_set import SERIES_ARRAYS, STEP_ARRAYS, Integers, SeriesSet
from fastlstm.data.times.calendar import calendar_cycles


def series_before(series: SeriesSet, ends: Integers) -> SeriesSet:
    """Return what a table would have held before each series' end.

    Not only the rows from there on are gone: categories that came up later have no code, a year that was not
    over is no cycle of the calendar, and series that had not begun are not there.

    Parameters
    ----------
    series : SeriesSet
        The series.
    ends : numpy.ndarray
        (S,) int64, positions; 0 or less where nothing of a series is to be left.

    Returns
    -------
    SeriesSet
        Those with an observed target before their end.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> table = pl.DataFrame({"y": [1, 2, 3, 4], "sky": ["mist", "rain", "clear", "rain"]})
    >>> series = read_series(table, Columns(target=("y",), past_covariates=("sky",)))
    >>> before = series_before(series, np.array([2]))
    >>> before.schema.vocabularies, before.past_categories[:, 0], before.target[:, 0]
    ({'sky': ('mist', 'rain')}, array([1, 2]), array([1., 2.], dtype=float32))
    """
    lengths = np.clip(ends, 0, series.lengths)
    positions = series.positions
    codes = series.codes
    observed = ~np.isnan(series.target).all(axis=1) & (positions < lengths[codes])
    last = np.zeros(len(series), np.int64)
    np.maximum.at(last, codes[observed], positions[observed] + 1)
    there = last > 0
    lengths = np.where(there, lengths, 0)
    rows = positions < lengths[codes]
    axis = replace(series.axis, origins=series.axis.origins[there])
    before = replace(
        series,
        names=[name for name, kept in zip(series.names, there, strict=True) if kept],
        offsets=offsets_of(lengths[there]),
        last_observed=last[there],
        axis=axis,
        **{name: getattr(series, name)[rows] for name in STEP_ARRAYS},
        **{name: getattr(series, name)[there] for name in SERIES_ARRAYS},
    )
    return recode(before, _schema_of(before))


def _schema_of(series: SeriesSet) -> Schema:
    """Return the schema that the rows of these series alone would have given."""
    schema, axis = series.schema, series.axis
    vocabularies = categories_seen(schema, {role: getattr(series, f"{role}_categories") for role in ROLES})
    calendar = schema.calendar
    if calendar and len(series):
        ends = axis.frequency.ticks(axis.origins, series.lengths - 1, axis.day)
        span = int((ends - axis.origins).max())
        known = calendar_cycles(axis.frequency, span)
        calendar = tuple(cycle for cycle in calendar if cycle in known)
    return schema.model_copy(update={"vocabularies": vocabularies, "calendar": calendar})


def categories_seen(schema: Schema, codes: Mapping[Role, Integers]) -> dict[str, tuple[str, ...]]:
    """Return the categories that some rows hold.

    Parameters
    ----------
    schema : Schema
        What the codes stand for.
    codes : mapping
        Role → (rows, columns) int64, of its categorical covariates; code 0 is no category.

    Returns
    -------
    dict
        Covariate → those of its categories that are there, in the order of their codes.
    """
    vocabularies: dict[str, tuple[str, ...]] = {}
    for role, cells in codes.items():
        for column, name in enumerate(schema.categorical(role)):
            seen = np.unique(cells[:, column])
            vocabularies[name] = tuple(schema.vocabularies[name][code - 1] for code in seen if code)
    return vocabularies


def recode(series: SeriesSet, schema: Schema) -> SeriesSet:
    """Read series as another schema of the same columns would have: its categories, its calendar.

    Parameters
    ----------
    series : SeriesSet
        The series.
    schema : Schema
        The schema; a category that it does not have becomes code 0, unknown.

    Returns
    -------
    SeriesSet
        The same steps.
    """
    arrays: dict[str, Any] = {}
    for role in ROLES:
        old = getattr(series, f"{role}_categories")
        names = series.schema.categorical(role)
        columns = [
            _translation(series.schema.vocabularies[name], schema.vocabularies[name])[old[:, column]]
            for column, name in enumerate(names)
        ]
        arrays[f"{role}_categories"] = np.stack(columns, axis=1) if columns else old
    return replace(series, schema=schema, axis=replace(series.axis, cycles=schema.calendar), **arrays)


def _translation(old: tuple[str, ...], new: tuple[str, ...]) -> Integers:
    """Return the new code of each old one, by name."""
    codes: Mapping[str, int] = {name: code for code, name in enumerate(new, start=1)}
    return np.array([0, *(codes.get(name, 0) for name in old)], np.int64)
