"""Categories are learnt from the training part alone, as weights and scalers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastlstm.data.series.schema import Role
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.tasks.forecast.past import categories_seen, recode


def keep_training_categories(series: SeriesSet, ends: Integers) -> SeriesSet:
    """Make the categories that come up only after the training part unknown ones, code 0.

    Parameters
    ----------
    series : SeriesSet
        The series.
    ends : numpy.ndarray
        (S,) int64, the position just past each series' last training row.

    Returns
    -------
    SeriesSet
        The same steps; the schema has the categories of the training rows alone, and the report counts the others.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> table = pl.DataFrame({"y": [1, 2, 3, 4], "sky": ["mist", "rain", "clear", "rain"]})
    >>> series = read_series(table, Columns(target=("y",), past_covariates=("sky",)))
    >>> kept = keep_training_categories(series, np.array([2]))
    >>> kept.schema.vocabularies, kept.past_categories[:, 0], kept.report.unknown
    ({'sky': ('mist', 'rain')}, array([1, 2, 0, 2]), {'sky': 1})
    """
    training = series.positions < np.repeat(ends, series.lengths)
    parts: dict[Role, Integers] = {
        "past": series.past_categories[training],
        "future": series.future_categories[training],
        "static": series.static_categories[ends > 0],
    }
    vocabularies = categories_seen(series.schema, parts)
    if vocabularies == series.schema.vocabularies:
        return series
    kept = recode(series, series.schema.model_copy(update={"vocabularies": vocabularies}))
    unknown = dict(series.report.unknown)
    for role in parts:
        before, after = (getattr(one, f"{role}_categories") for one in (series, kept))
        for column, name in enumerate(series.schema.categorical(role)):
            lost = int(((before[:, column] > 0) & (after[:, column] == 0)).sum())
            if lost:
                unknown[name] = unknown.get(name, 0) + lost
    return replace(kept, report=replace(kept.report, unknown=unknown))
