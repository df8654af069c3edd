"""Frames of other libraries, in and out: pandas, polars, pyarrow."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import narwhals as nw
import numpy as np
import polars as pl

from fastlstm.data.tables.offsets import in_zone, offset_of
from fastlstm.data.tables.periods import read_periods
from fastlstm.errors import DataError

Kind = Literal["file", "pandas", "polars", "pyarrow"]

UNNAMED = "y"  # what a single column is called that has no name
TIMES_OF_PANDAS = ("datetime64", "datetime", "date", "period")  # as an index calls its type


def take_frame(source: Any) -> tuple[pl.DataFrame, Kind]:
    """Take a frame of any of the libraries, lazy or not, or what is one by another name.

    Parameters
    ----------
    source : DataFrame, Series, mapping or array
        Of pandas, polars or pyarrow. An index of pandas that says something becomes columns. A mapping of columns is
        a frame too, and a single column, or an array or a list of numbers, one of one column, ``y`` if it has no name.

    Returns
    -------
    columns : polars.DataFrame
        The same.
    kind : {"pandas", "polars", "pyarrow"}
        Which it was.

    Raises
    ------
    DataError
        If it is none of these, or two of its columns have one name.

    Examples
    --------
    >>> import pandas
    >>> columns, kind = take_frame(pandas.DataFrame({"y": [1.5]}, index=pandas.to_datetime(["2024-01-01"])))
    >>> columns.columns, kind
    (['index', 'y'], 'pandas')
    >>> take_frame([3, 1.5])[0]["y"].to_list()
    [3.0, 1.5]
    """
    made = _of_python_values(source)
    if made is not None:
        return made, "pandas"
    frame = nw.from_native(_plain_pandas(_named_frame(source)), pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        raise DataError(
            f"data is a {type(source).__name__}: give the path of a file, or a pandas, polars or pyarrow frame; the "
            "numbers of a single series, texts, sequences and recordings also as a list"
        )
    kind: Kind = "polars"
    if frame.implementation.is_pandas():
        kind = "pandas"
    elif frame.implementation.is_pyarrow():
        kind = "pyarrow"
    return read_periods(
        pl.DataFrame({name: _to_polars(frame[name]) for name in frame.columns}), "the frame"
    ), kind


def whole_names(source: Any) -> tuple[str, ...]:
    """Return the names of the columns of a pandas frame that are whole numbers there, as text.

    Parameters
    ----------
    source : object
        What ``take_frame`` takes.
    """
    frame = _named_frame(source)
    names = frame.columns if nw.dependencies.is_pandas_dataframe(frame) else ()
    return tuple(
        str(name) for name in names if isinstance(name, int | np.integer) and not isinstance(name, bool)
    )


def has_idle_index(source: Any) -> bool:
    """Whether a pandas frame has an index of whole numbers that are not those of its rows, and that is not read.

    Parameters
    ----------
    source : object
        What ``take_frame`` takes.
    """
    if not (nw.dependencies.is_pandas_dataframe(source) or nw.dependencies.is_pandas_series(source)):
        return False
    index = source.index
    return not _tells(index) and index.inferred_type == "integer" and list(index) != list(range(len(index)))


def give_back(
    frame: pl.DataFrame, kind: Kind, *, whole: Collection[str] = (), rows_of: Any = None, rows: Any = None
) -> Any:
    """Turn a polars frame into the kind that the user gave.

    Parameters
    ----------
    frame : polars.DataFrame
        The answer.
    kind : {"file", "pandas", "polars", "pyarrow"}
        What the question came as. A file is answered with a pandas frame where pandas is installed, otherwise
        with a polars frame.
    whole : collection of str
        The columns whose names are whole numbers in a pandas frame.
    rows_of : DataFrame, optional
        What has the same rows: if it is of pandas, its index is the answer's.
    rows : numpy.ndarray, optional
        (n,) int64, which of them each row of the answer is of. Default: they are the same.

    Returns
    -------
    DataFrame
        The same columns and rows.

    Examples
    --------
    >>> give_back(pl.DataFrame({"y": [1.5]}), "pandas")
         y
    0  1.5
    """
    if kind == "polars":
        return frame
    if kind == "pyarrow":
        return frame.to_arrow()
    try:
        import pandas
    except ImportError:
        return frame
    answer = pandas.DataFrame({column.name: _to_pandas(column) for column in frame})
    if kind == "pandas" and whole:
        answer.columns = [int(name) if name in whole else name for name in frame.columns]
    if isinstance(rows_of, pandas.DataFrame | pandas.Series):
        answer.index = rows_of.index if rows is None else rows_of.index[rows]
        # A name that a column has too would be of neither.
        answer.index.names = [None if name in answer else name for name in answer.index.names]
    return answer


def _to_pandas(column: pl.Series) -> Any:
    """One column for pandas; polars' own conversion would ask for pyarrow."""
    import pandas

    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        zone = column.dtype.time_zone
        naive = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
        return pandas.Series(naive).dt.tz_localize("UTC").dt.tz_convert(offset_of(zone))
    if column.dtype == pl.String:
        return column.to_list()
    return column.to_numpy()


def _named_frame(source: Any) -> Any:
    """Make a frame of what has columns, or is one, and is no frame; all else stays as it is."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(source, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([source])
    if nw.dependencies.is_pandas_series(source):
        return source.to_frame(UNNAMED if source.name is None else source.name)
    if isinstance(source, pl.Series):
        return source.to_frame(source.name or UNNAMED)
    return source


def _of_python_values(source: Any) -> pl.DataFrame | None:
    """Make a frame of a mapping of columns, or of numbers one after the other; None of anything else."""
    if isinstance(source, Mapping) and source:
        columns = [series_of(str(name), values) for name, values in source.items() if _is_column(values)]
        even = len({len(column) for column in columns}) == 1
        return pl.DataFrame(columns) if even and len(columns) == len(source) else None
    if isinstance(source, list | tuple | np.ndarray) and _is_column(source) and len(source):
        column = series_of(UNNAMED, source)
        if column.dtype == pl.Null:  # nothing is known of any, which whoever reads the numbers says
            column = column.cast(pl.Float64)
        return column.to_frame() if column.dtype.is_numeric() else None
    return None


def _is_column(values: Any) -> bool:
    return isinstance(values, list | tuple) or getattr(values, "ndim", 0) == 1


def _plain_pandas(source: Any) -> Any:
    """Make an index that says something a column, and names text; what is no pandas frame stays as it is."""
    if not nw.dependencies.is_pandas_dataframe(source):
        return source
    if source.columns.nlevels > 1:
        raise DataError(
            f"the frame's columns have {source.columns.nlevels} levels of names: give them one each, for instance "
            'by frame.columns = ["_".join(map(str, names)) for names in frame.columns]'
        )
    source = source.rename(columns=str)
    if _tells(source.index):
        source = _with_index(source)
    refuse_twins("the frame", source.columns)
    periods = [name for name in source.columns if str(source[name].dtype).startswith("period")]
    return source.assign(**{name: source[name].dt.to_timestamp() for name in periods})


def _with_index(source: Any) -> Any:
    """Make the levels of a pandas index the first columns, but for those that stand in columns already."""
    index = source.index
    names = ["index"]
    if list(index.names) != [None]:
        names = [f"level_{place}" if name is None else str(name) for place, name in enumerate(index.names)]
    counted = index.nlevels == 1 and index.inferred_type == "integer"
    levels, columns = index.to_frame(index=False), source.reset_index(drop=True)
    levels.columns = names
    for place, name in enumerate(names):
        there = name in columns
        if there and (counted or columns[name].equals(levels[name])):
            continue
        columns.insert(place, f"{name}_index" if there else name, levels[name])
    return columns


def _tells(index: Any) -> bool:
    """Whether a pandas index says more than how many rows there are: names, times, or several levels."""
    if index.nlevels > 1 or any(name is not None for name in index.names):
        return True
    kind = index.inferred_type
    return kind in TIMES_OF_PANDAS or (kind == "string" and bool(index.str.match(r"\d{1,4}[-/.]\d").all()))


def is_missing(value: Any) -> bool:
    """Tell whether a value of a list or an object column is none: None, NaN, NaT, or pandas.NA.

    Parameters
    ----------
    value : object
        The value.

    Examples
    --------
    >>> [is_missing(value) for value in (None, float("nan"), "", 0)]
    [True, True, False, False]
    """
    if getattr(value, "ndim", 0):  # an array or a tensor
        return False
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither like itself nor unlike
        return True
    except ValueError:  # something else that holds several
        return False


def series_of(name: str, values: Iterable[Any]) -> pl.Series:
    """Make a column of values of any kind, as they are; what is missing is null, and several kinds are text.

    Parameters
    ----------
    name : str
        The column's name.
    values : iterable
        Its cells, numpy's and pandas' own among them.

    Examples
    --------
    >>> [series_of("x", cells).to_list() for cells in ([1, float("nan")], [1, 2.5], ["a", 1, None])]
    [[1, None], [1.0, 2.5], ['a', '1', None]]
    """
    cells = [None if is_missing(value) else _of_python(value) for value in values]
    if {type(cell) for cell in cells if cell is not None} == {int, float}:
        cells = [None if cell is None else float(cell) for cell in cells]
    try:
        found = pl.Series(name, cells)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        found = None
    if found is None or found.dtype in (pl.Object, pl.UInt64):  # whole numbers past 2⁶³ would lose digits
        return pl.Series(name, [None if cell is None else str(cell) for cell in cells], pl.String)
    return found


def _of_python(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()
    return value.item() if isinstance(value, np.generic) else value


def _to_polars(column: nw.Series[Any]) -> pl.Series:
    """Return a column for polars.

    Raises
    ------
    DataError
        If some of its times have a zone and some have none.
    """
    if column.dtype == nw.Object:
        zoned = {
            cell.tzinfo is not None for cell in column if isinstance(cell, datetime) and not is_missing(cell)
        }
        if len(zoned) > 1:
            raise DataError(
                f"the frame: column {column.name!r} holds times with a time zone and times without: give all of them "
                "one, or none"
            )
    try:
        return column.to_polars()
    except pl.exceptions.ComputeError:  # an offset from UTC that has no name, +05:30 for instance
        offset = str(column.dtype.time_zone)[-len("+05:30") :].replace(":", "")  # type: ignore[attr-defined]  # of times
        return in_zone(column.dt.convert_time_zone("UTC").to_polars(), offset)
    except (ImportError, TypeError, ValueError, NotImplementedError):
        # pandas goes to polars by way of pyarrow, which may be absent, and takes neither objects of several types nor
        # all of numpy's.
        return series_of(column.name, column.to_list())


def refuse_twins(name: str, columns: Iterable[str]) -> None:
    """Raise where two columns have one name.

    Parameters
    ----------
    name : str
        The table, for the message.
    columns : iterable of str
        The names.
    """
    names = list(columns)
    twins = [column for column, count in Counter(names).items() if count > 1]
    if twins and sum(_is_number(column) for column in names) > len(names) / 2:
        raise DataError(
            f"{name}: {twins[0]!r} and most others are numbers, no names; add a line with the columns' names"
        )
    if twins:
        raise DataError(f"{name}: two columns are called {twins[0]!r}; rename one")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
