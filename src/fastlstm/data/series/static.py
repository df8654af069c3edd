"""Static covariates: one value a series, which must not change within it."""

from __future__ import annotations

import numpy as np
import polars as pl

from fastlstm.data.series.rows import Floats, Integers, Rows, of_series
from fastlstm.data.series.schema import Schema
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import encode, read_categories, read_numbers
from fastlstm.errors import DataError


def static_numbers(table: Table, schema: Schema, rows: Rows) -> Floats:
    """Read the numeric static covariates.

    Parameters
    ----------
    table : Table
        The table.
    schema : Schema
        Its roles.
    rows : Rows
        Whose its rows are.

    Returns
    -------
    numpy.ndarray
        (S, columns) float32, NaN where a series has no value.

    Raises
    ------
    DataError
        If one changes within a series.
    """
    names = schema.numeric("static")
    columns = [
        one_a_series(
            table, rows, name, pl.Series(read_numbers(table, name, "static_covariates")).fill_nan(None)
        )
        for name in names
    ]
    filled = [column.fill_null(np.nan).to_numpy().astype(np.float32) for column in columns]
    return np.stack(filled, axis=1) if filled else np.empty((len(rows.names), 0), np.float32)


def static_categories(table: Table, schema: Schema, rows: Rows, unknown: dict[str, int]) -> Integers:
    """Read the static covariates that are categories.

    Parameters
    ----------
    table : Table
        The table.
    schema : Schema
        Its roles and vocabularies.
    rows : Rows
        Whose its rows are.
    unknown : dict
        Filled: column → how many series have a category outside the vocabulary.

    Returns
    -------
    numpy.ndarray
        (S, columns) int64, 0 where missing or unknown.

    Raises
    ------
    DataError
        If one changes within a series.
    """
    names = schema.categorical("static")
    columns = [
        one_a_series(table, rows, name, read_categories(table, name, "static_covariates")) for name in names
    ]
    codes = [encode(column, schema.vocabularies[name]) for name, column in zip(names, columns, strict=True)]
    for name, column, found in zip(names, columns, codes, strict=True):
        if strange := int(((found == 0) & column.is_not_null().to_numpy()).sum()):
            unknown[name] = strange
    return np.stack(codes, axis=1) if codes else np.empty((len(rows.names), 0), np.int64)


def one_a_series(
    table: Table,
    rows: Rows,
    name: str,
    cells: pl.Series,
    role: str = "static_covariates",
    mend: str = "give a column that changes as past_covariates or future_covariates",
) -> pl.Series:
    """Return the value of each series.

    Parameters
    ----------
    table : Table
        The table, for messages.
    rows : Rows
        Whose its rows are.
    name : str
        The column's name, for messages.
    cells : polars.Series
        Its cells, null where empty.
    role : str
        The argument that named it, for messages.
    mend : str
        What to do where it changes within a series.

    Returns
    -------
    polars.Series
        (S,), null where a series has none.

    Raises
    ------
    DataError
        If a series has two.

    Examples
    --------
    >>> from fastlstm.data.series.rows import read_rows
    >>> from fastlstm.data.series.schema import Columns
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"shop": ["b", "a", "b"], "size": [None, 3, 5]}))
    >>> rows = read_rows(table, Columns(target=(), series="shop"))
    >>> one_a_series(table, rows, "size", table.frame["size"]).to_list()
    [5, 3]
    """
    frame = pl.DataFrame({"code": rows.codes, "cell": cells}).with_row_index("row").drop_nulls("cell")
    frame = frame.with_columns(first=pl.col("cell").first().over("code"))
    changed = frame.filter(pl.col("cell") != pl.col("first"))
    if changed.height:
        row, _, cell, first = changed.row(0)
        whose = of_series(rows.names[int(rows.codes[row])])
        raise DataError(
            f"{table.where(row)}: {cell!r} in column {name!r} ({role}){whose}, "
            f"which was {first!r} before; {mend}"
        )
    series = pl.DataFrame({"code": np.arange(len(rows.names))})
    return series.join(frame.group_by("code").agg(pl.col("cell").first()), on="code", how="left").sort(
        "code"
    )["cell"]
