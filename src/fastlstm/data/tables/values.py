"""Cells into numbers or categories, the wrong ones named by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.tables.number_forms import count_foreign, find_form, foreign, may_be_either, to_numbers
from fastlstm.data.tables.table import Table
from fastlstm.errors import DataError

MISSING = ("", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?")

# A text column is one of numbers with mistakes, not one of categories, where this share of its cells are
# numbers.
MOSTLY_NUMBERS = 0.9

# The roles that columns of categories can play.
MAY_BE_CATEGORIES = ("past_covariates", "future_covariates", "static_covariates", "features", "static")

EITHER = "may have a decimal mark or one between thousands"
FLOAT32_MAX = float(np.finfo(np.float32).max)
UNKNOWN = re.compile(r"-?(99+|9+\.9+)")  # how numbers that mean unknown are mostly written
SQUARED = 1e18  # float32 holds squares up to this one's, and sums of them


def read_numbers(
    table: Table, column: str, role: str, *, largest: float = FLOAT32_MAX
) -> npt.NDArray[np.float64]:
    """Read a column as numbers.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.
    role : str
        The argument that named it, for messages.
    largest : float
        What no number may exceed.

    Returns
    -------
    numpy.ndarray
        (rows,) float64, NaN where the cell is empty, ``-``, ``NA``, ``nan`` or the like, or what the table's
        ``missing`` names.

    Raises
    ------
    DataError
        If a cell is not a number, is infinite, or too large for float32.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> read_numbers(read_table(pl.DataFrame({"y": ["1.5", "-", " 2"]})), "y", "target")
    array([1.5, nan, 2. ])
    """
    table.require(column, role)
    cells = table.frame[column]
    if cells.dtype == pl.String:
        cells = _text(cells)
        known = table.number_forms.get(column)
        numbers = to_numbers(cells, table.delimiter, known)
        wrong = numbers.is_null() & cells.is_not_null()
        if may_be_either(cells, table.delimiter, known):
            _refuse(
                table,
                column,
                role,
                cells,
                cells.str.contains(r"[,.]").fill_null(value=False),
                f"{EITHER}, and so may all the others",
                "write 1234 or 1.234",
            )
        _refuse_text(table, column, role, cells, wrong)
    elif cells.dtype.is_numeric() or cells.dtype == pl.Boolean or cells.dtype == pl.Null:
        numbers = cells.cast(pl.Float64)
    else:
        raise DataError(f"{table.name}: column {column!r} ({role}) holds {cells.dtype}, not numbers")
    values = without(numbers.fill_null(np.nan).to_numpy().astype(np.float64), table.missing)
    _refuse(table, column, role, cells, pl.Series(np.abs(values) > largest), "is infinite or too large")
    return values


def find_number_forms(table: Table, columns: Iterable[str]) -> dict[str, str]:
    """Return how columns write their numbers, for the tables that come later.

    Parameters
    ----------
    table : Table
        The table.
    columns : iterable of str
        Its columns of numbers; what it lacks, and what is no text, is passed over.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> find_number_forms(read_table(pl.DataFrame({"y": ["1.234,5", "87"], "n": [1, 2]})), ["y", "n", "z"])
    {'y': 'points between thousands'}
    """
    text = [name for name in columns if table.frame.schema.get(name) == pl.String]
    forms = {
        name: find_form(_text(table.frame[name]), table.delimiter, table.number_forms.get(name))
        for name in text
    }
    return {name: form for name, form in forms.items() if form is not None}


def without(numbers: npt.NDArray[np.float64], missing: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return numbers, those that mean unknown as NaN.

    Parameters
    ----------
    numbers : numpy.ndarray
        Any shape, float64.
    missing : sequence of float
        Numbers that mean unknown.

    Examples
    --------
    >>> without(np.array([-1.0, 5.0]), [-1])
    array([nan,  5.])
    """
    return np.where(np.isin(numbers, missing), np.nan, numbers) if len(missing) else numbers


def numbers_of(missing: float | Sequence[float]) -> tuple[float, ...]:
    """Return numbers that mean unknown as a tuple, where there may be a single one.

    Parameters
    ----------
    missing : float or sequence of float
        One, or several.
    """
    return tuple(np.atleast_1d(np.asarray(missing, np.float64)).tolist())


def read_categories(table: Table, column: str, role: str) -> pl.Series:
    """Read a column as categories.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.
    role : str
        The argument that named it, for messages.

    Returns
    -------
    polars.Series
        Text, null where the cell is empty.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> read_categories(read_table(pl.DataFrame({"sky": ["clear", ""]})), "sky", "past_covariates").to_list()
    ['clear', None]
    """
    table.require(column, role)
    cells = table.frame[column]
    if cells.dtype.is_float() and (cells.is_null() | cells.is_nan() | (cells == cells.round())).all():
        cells = cells.cast(pl.Int64, strict=False)
    if cells.dtype.is_nested() or cells.dtype in (pl.Duration, pl.Datetime):
        raise DataError(
            f"{table.name}: column {column!r} ({role}) holds {cells.dtype}, not numbers or categories"
        )
    # What was whole numbers with gaps is written 1.0 by some programs.
    return _text(cells.cast(pl.String)).str.replace(r"^(-?\d+)\.0+$", "$1")


def encode(categories: pl.Series, vocabulary: Sequence[str]) -> npt.NDArray[np.int64]:
    """Categories as codes.

    Parameters
    ----------
    categories : polars.Series
        Text, null where missing.
    vocabulary : sequence of str
        The known categories; the first has code 1.

    Returns
    -------
    numpy.ndarray
        (rows,) int64, 0 where missing or not in the vocabulary.

    Examples
    --------
    >>> encode(pl.Series(["mist", None, "clear", "hail"]), ["clear", "mist"])
    array([2, 0, 1, 0])
    """
    codes = categories.replace_strict(
        list(vocabulary), range(1, len(vocabulary) + 1), default=0, return_dtype=pl.Int64
    )
    encoded: npt.NDArray[np.int64] = codes.to_numpy().astype(np.int64)
    return encoded


def holds_numbers(table: Table, column: str) -> bool:
    """Whether a column is one of numbers rather than of categories.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.

    Returns
    -------
    bool
        True where at least nine in ten of the cells that are not empty are numbers, though some of them with a currency
        or a percent sign; then the others, and those, are mistakes, which ``read_numbers`` names.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"wind": ["3", "NA"], "sky": ["clear", "mist"]}))
    >>> holds_numbers(table, "wind"), holds_numbers(table, "sky")
    (True, False)
    """
    cells = table.frame[column]
    if cells.dtype != pl.String:
        return cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null)
    cells = _text(cells).drop_nulls()
    known = table.number_forms.get(column)
    numbers, enough = to_numbers(cells, table.delimiter, known).count(), MOSTLY_NUMBERS * len(cells)
    return numbers >= enough or numbers + count_foreign(cells) >= enough


def count_unresolved(values: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> int:
    """Count the series that float32 cannot hold well: large numbers that vary little.

    A float32 has 24 binary digits. Where half of the last one is more than a hundredth of a series' standard
    deviation, a forecast of the series is coarse.

    Parameters
    ----------
    values : numpy.ndarray
        (rows,) NaN where missing.
    codes : numpy.ndarray
        (rows,) which series.

    Returns
    -------
    int
        How many series; one that is constant is held well enough.

    Examples
    --------
    >>> count_unresolved(np.array([1e9, 1e9 + 1, 1e9, 2e9]), np.array([0, 0, 1, 1]))
    1
    """
    known = ~np.isnan(values)
    values, codes = values[known], codes[known]
    count = np.maximum(np.bincount(codes), 1)
    deviations = values - (np.bincount(codes, values) / count)[codes]
    spread = np.sqrt(np.bincount(codes, np.square(deviations)) / count)
    largest = np.zeros_like(spread)
    np.maximum.at(largest, codes, np.abs(values))
    coarse = largest * 2.0**-24 > 0.01 * spread
    return int((coarse & (spread > 1e-12 * largest)).sum())


def far_value(values: npt.NDArray[np.float64]) -> tuple[float, int] | None:
    """Return the value that many cells hold far from all others, as one that means unknown does, and how many do.

    It is the least or the greatest, held by at least five cells or one in a hundred, and not by most. One written as
    unknown often is (-999, 99.9) is far where it lies a tenth of the others' range outside it, any other but 0 where
    it lies ten times their range away.

    Parameters
    ----------
    values : numpy.ndarray
        (rows,) NaN where missing.

    Examples
    --------
    >>> far_value(np.array([5.0, -999, 7, 6, -999, 9])), far_value(np.array([0.0, 1, 0, 1, 1]))
    ((-999.0, 2), None)
    """
    known = values[~np.isnan(values)]
    for end in (known.min(), known.max()) if len(known) else ():
        others = known[known != end]
        count = len(known) - len(others)
        if count < max(2, min(5, 0.01 * len(known))) or count > len(others):
            continue
        low, high = others.min(), others.max()
        distance = max(low - end, end - high)
        usual = UNKNOWN.fullmatch(f"{end:.15g}") is not None
        if (usual and distance > 0.1 * (high - low)) or (end and distance > 10 * (high - low) > 0):
            return float(end), count
    return None


def coarse_notes(columns: Iterable[tuple[str, npt.NDArray[np.float64]]], source: str) -> list[str]:
    """Say which columns float32 cannot hold well, one line each.

    Parameters
    ----------
    columns : iterable of tuple
        Their names and values, NaN where missing.
    source : str
        What to call the data.

    Examples
    --------
    >>> coarse_notes([("seconds", 1.7e9 + np.arange(9.0)), ("x", np.arange(9.0))], "a.csv")
    ["a.csv: 'seconds' is large and differs too little for float32: subtract a constant"]
    """
    return [
        f"{source}: {name!r} is large and differs too little for float32: subtract a constant"
        for name, values in columns
        if count_unresolved(values, np.zeros(len(values), np.int64))
    ]


def _text(cells: pl.Series) -> pl.Series:
    cells = cells.str.strip_chars()
    return cells.set(cells.str.to_lowercase().is_in(MISSING), None)


def _refuse_text(table: Table, column: str, role: str, cells: pl.Series, wrong: pl.Series) -> None:
    """Raise for the first cell that is no number; where it is one in a way that is not read, with that way."""
    form = foreign(cells[wrong.arg_max() or 0]) if wrong.any() else None
    if form is None:
        _refuse(table, column, role, cells, wrong, "is not a number")
        return
    mend = f"{form.mend}, or give the column as categories too" if role in MAY_BE_CATEGORIES else form.mend
    _refuse(table, column, role, cells, wrong, f"is not a number alone: it {form.told}", mend)


def _refuse(
    table: Table,
    column: str,
    role: str,
    cells: pl.Series,
    wrong: pl.Series,
    why: str,
    mend: str = "correct it, or leave the cell empty",
) -> None:
    row = wrong.arg_max() if wrong.any() else None
    if row is not None:
        raise DataError(
            f"{table.where(row)}: {str(cells[row])!r} in column {column!r} ({role}) {why}; {table.mend(row, mend)}"
        )
