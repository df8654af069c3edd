"""What was found, as a table."""

from __future__ import annotations

import numpy as np
import polars as pl

from fastlstm.data.series.placing import grid_ticks
from fastlstm.data.series.schema import Columns
from fastlstm.data.tables.table import refuse_names
from fastlstm.tasks.detect.judging import Verdicts
from fastlstm.tasks.detect.reading import DetectionTable


def verdict_frame(table: DetectionTable, verdicts: Verdicts) -> pl.DataFrame:
    """Put what was found beside the rows.

    Parameters
    ----------
    table : DetectionTable
        n rows.
    verdicts : Verdicts
        Of the rows.

    Returns
    -------
    polars.DataFrame
        (n rows) series, time, targets, ``score``, ``anomaly``, and ``NAME_score`` of several channels.
    """
    schema, given = table.series.schema, table.table.frame
    columns = schema.columns
    found: dict[str, pl.Series] = {}
    if columns.series is not None:
        found[columns.series] = given[columns.series]
    if columns.time_parts:
        found |= {name: given[name] for name in columns.time_parts}
    elif columns.time is not None:
        ticks = grid_ticks(table.table, table.rows.times, schema)
        read = table.table.kind == "file" and given[columns.time].dtype == pl.String
        found[columns.time] = table.series.axis.as_stamps(ticks) if read else given[columns.time]
    for place, name in enumerate(columns.target):
        read = given[name].dtype == pl.String
        values = pl.Series(table.values[:, place], nan_to_null=True)
        found[name] = values if read else given[name]
    found["score"] = pl.Series(verdicts.score, nan_to_null=True)
    found["anomaly"] = pl.Series(verdicts.anomalous.astype(np.int64))
    if len(columns.target) > 1:
        for place, name in enumerate(columns.target):
            found[f"{name}_score"] = pl.Series(verdicts.channels[:, place], nan_to_null=True)
    return pl.DataFrame({name: values.alias(name) for name, values in found.items()})


def refuse_own_names(columns: Columns, name: str) -> None:
    """Raise where a column is called as one of those that ``predict`` adds.

    Parameters
    ----------
    columns : Columns
        The roles.
    name : str
        The table, for the message.
    """
    roles = [*columns.target, *columns.time_parts, columns.series, columns.time]
    of_channels = [f"{target}_score" for target in columns.target] if len(columns.target) > 1 else []
    refuse_names(name, roles, ["score", "anomaly", *of_channels])
