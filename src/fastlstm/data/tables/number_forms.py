"""Numbers as people write them: what a point and a comma mean is told by the whole column."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl


class Form(NamedTuple):
    """A way to write numbers.

    Attributes
    ----------
    pattern : str
        What a cell looks like.
    dropped : str
        The marks between thousands.
    decimal : str
        The decimal mark.
    """

    pattern: str
    dropped: str
    decimal: str


DECIMAL_COMMA = Form(r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$", "", ",")
POINT_GROUPS = Form(r"^[+-]?(\d{1,3}(\.\d{3})*|\d+)(,\d+)?$", ".", ",")
COMMA_GROUPS = Form(r"^[+-]?(\d{1,3}(,\d{3})*|\d+)(\.\d+)?$", ",", ".")
BLANK_GROUPS = Form(r"^[+-]?(\d{1,3}([ '’_\x{a0}\x{202f}]\d{3})*|\d+)([.,]\d+)?$", " '’_\u00a0\u202f", ",")
FORMS = (DECIMAL_COMMA, POINT_GROUPS, COMMA_GROUPS, BLANK_GROUPS)

MINUS = "\u2212"  # typographers' own, which means what the hyphen does

_BODY = r"\d[\d.,'’_ \x{a0}\x{202f}]*"
_CURRENCY = r"[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY)"


class Foreign(NamedTuple):
    """A way to write numbers that is told rather than read.

    Attributes
    ----------
    pattern : str
        What a cell looks like.
    told : str
        What is said of it.
    mend : str
        How to write it instead.
    """

    pattern: str
    told: str
    mend: str


FOREIGN = (
    Foreign(
        rf"^[+-]?(?:(?:{_CURRENCY})\s*[+-]?{_BODY}|{_BODY}(?:{_CURRENCY}))$",
        "has a currency beside it",
        "write the number alone",
    ),
    Foreign(
        rf"^[+-]?{_BODY}%$", "is a percentage", "write the number alone, in all cells as 12 or in all as 0.12"
    ),
    Foreign(
        rf"^\((?:{_CURRENCY})?\s*{_BODY}\)$",
        "stands in brackets, as if below zero",
        "write it with a minus before it",
    ),
    Foreign(rf"^{_BODY}[-{MINUS}–]$", "has its minus behind it", "write it with a minus before it"),
    Foreign(rf"^[–—]\s?{_BODY}$", "has a dash before it", "write it with a minus before it"),
)
UNIT = Foreign(rf"^[+-]?{_BODY}[\p{{L}}µ°][^\d,;]*[²³\d]?$", "has a unit behind it", "write the number alone")

TRUTH = {"true": 1.0, "false": 0.0}


def to_numbers(cells: pl.Series, delimiter: str | None = None) -> pl.Series:
    """Read text as numbers, in the form that fits the most cells; plain numbers where several fit as many.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.
    delimiter : str, optional
        What separates the cells of the file. Where it is ``;`` a comma is the decimal mark, if it may be.

    Returns
    -------
    polars.Series
        Float64, null where a cell is no number of that form.

    Examples
    --------
    >>> to_numbers(pl.Series(["1,234.5", "87"])).to_list(), to_numbers(pl.Series(["1.234,5", "87"])).to_list()
    ([1234.5, 87.0], [1234.5, 87.0])
    >>> to_numbers(pl.Series(["987", "1,013"])).to_list(), to_numbers(pl.Series(["987", "1,013"]), ";").to_list()
    ([987.0, 1013.0], [987.0, 1.013])
    """
    cells = _with_hyphens(cells)
    best = cells.cast(pl.Float64, strict=False)
    if best.null_count() == cells.null_count():
        return best
    if (truth := cells.str.to_lowercase().replace_strict(TRUTH, default=None)).count() > best.count():
        best = truth
    unsure = delimiter != ";" and _groups_of_three(cells)
    for form in FORMS:
        if unsure and not (form is COMMA_GROUPS and _told_by_small_ones(cells)):
            continue
        numbers = _read(cells, form)
        if numbers.count() > best.count():
            best = numbers
    return best


def may_be_either(cells: pl.Series, delimiter: str | None = None) -> bool:
    """Whether nothing tells a decimal comma from one between thousands, as where all cells are like 1,234.

    In a file of ``;`` the comma is decimal, unless numbers below a thousand alone lack it, as thousands do; a point
    there may stand between thousands then, too.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.
    delimiter : str, optional
        What separates the cells of the file.

    Examples
    --------
    >>> [may_be_either(pl.Series(cells)) for cells in (["1,234", "5,678"], ["1,234", "5,67"], ["987", "1,013"])]
    [True, False, False]
    >>> [may_be_either(pl.Series(cells), ";") for cells in (["1,234", "5,678"], ["987", "1,013"], ["987", "1.013"])]
    [False, True, True]
    """
    cells = _with_hyphens(cells)
    if delimiter == ";":
        return any(_groups_of_three(cells, mark) and _told_by_small_ones(cells, mark) for mark in ",.")
    return _groups_of_three(cells) and not _told_by_small_ones(cells)


def foreign(cell: str) -> Foreign | None:
    """Return the way in which a cell that is read as no number is written as one, if it is.

    Parameters
    ----------
    cell : str
        Its text.

    Examples
    --------
    >>> [found and found.told for found in map(foreign, ("$1,234.50", "12 %", "(45)", "9-", "3 kWh", "north"))]
    ['has a currency beside it', 'is a percentage', 'stands in brackets, as if below zero', 'has its minus behind it', \
'has a unit behind it', None]
    """
    text = pl.Series([cell])
    return next((form for form in (*FOREIGN, UNIT) if text.str.contains(form.pattern).item()), None)


def count_foreign(cells: pl.Series) -> int:
    """Count the cells that are numbers in a way that is told rather than read; one with a unit may be a category.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.

    Examples
    --------
    >>> count_foreign(pl.Series(["$5", "12 %", "3 months", "5", None]))
    2
    """
    return int(cells.str.contains("|".join(form.pattern for form in FOREIGN)).sum())


def _with_hyphens(cells: pl.Series) -> pl.Series:
    return cells.str.replace(f"^{MINUS}", "-")


def _read(cells: pl.Series, form: Form) -> pl.Series:
    fitting = pl.select(pl.when(cells.str.contains(form.pattern)).then(cells)).to_series()
    fitting = (
        fitting.str.replace_many(list(form.dropped), [""] * len(form.dropped)) if form.dropped else fitting
    )
    if form.decimal != ".":
        fitting = fitting.str.replace(form.decimal, ".", literal=True)
    return fitting.cast(pl.Float64, strict=False)


def _groups_of_three(cells: pl.Series, mark: str = ",") -> bool:
    """Whether every such mark stands before three digits, none follows another, and nothing is told by the other."""
    other = "." if mark == "," else ","
    marked = cells.filter(cells.str.contains(mark, literal=True))
    if not len(marked) or cells.str.contains(other, literal=True).any():
        return False
    return bool(marked.str.contains(rf"^[+-]?[1-9]\d{{0,2}}[{mark}]\d{{3}}$").all())


def _told_by_small_ones(cells: pl.Series, mark: str = ",") -> bool:
    """Whether the numbers below a thousand have no such mark, and only they."""
    plain = cells.filter(~cells.str.contains(mark, literal=True)).cast(pl.Float64, strict=False).drop_nulls()
    return bool(len(plain)) and bool((plain.abs() < 1000).all())
