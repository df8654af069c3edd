"""Periods of pandas in Parquet files and Arrow tables, which hold them as numbers of a type of their own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl

from fastlstm.errors import DataError

PERIOD = "pandas.period"


def read_periods(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Put the timestamps at which periods begin in their place.

    Parameters
    ----------
    frame : polars.DataFrame
        The columns.
    name : str
        What messages call the table.

    Raises
    ------
    DataError
        If there are periods, and no pandas to say when they begin.
    """
    kinds: dict[str, Any] = {column.name: column.dtype for column in frame}
    periods = [column for column, kind in kinds.items() if getattr(kind, "ext_name", str)() == PERIOD]
    return frame.with_columns(_beginnings(frame[column], name) for column in periods)


def _beginnings(column: pl.Series, name: str) -> pl.Series:
    try:
        import pandas
    except ImportError:
        raise DataError(
            f"{name}: column {column.name!r} holds periods of pandas: install pandas, or write it as timestamps"
        ) from None
    kind: Any = column.dtype
    index: Any = pandas.PeriodIndex  # its stubs lack what follows
    numbers = column.to_physical().fill_null(np.iinfo(np.int64).min).to_numpy()  # which pandas takes for none
    periods = index.from_ordinals(numbers, freq=json.loads(kind.ext_metadata())["freq"])
    return pl.Series(column.name, periods.to_timestamp().to_numpy().astype("M8[us]"))
