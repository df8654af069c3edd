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
PLAIN = "plain"  # 1234.5
GROUP_OF_THREE = r"^[+-]?[1-9]\d{{0,2}}[{}]\d{{3}}$"  # 1,234 with a comma in the place of the braces
FORMS = {
    "decimal comma": DECIMAL_COMMA,
    "points between thousands": POINT_GROUPS,
    "commas between thousands": COMMA_GROUPS,
    "blanks between thousands": BLANK_GROUPS,
}

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


def to_numbers(cells: pl.Series, delimiter: str | None = None, known: str | None = None) -> pl.Series:
    """Read text as numbers, in the form that fits the most cells; plain numbers where several fit as many.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.
    delimiter : str, optional
        What separates the cells of the file. Where it is ``;`` a comma is the decimal mark, if it may be.
    known : str, optional
        The form of an earlier table, from ``find_form``: it is taken where no other fits more cells.

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
    return _fitting(cells, delimiter, known)[0]


def find_form(cells: pl.Series, delimiter: str | None = None, known: str | None = None) -> str | None:
    """Return the form in which text is read as numbers, to read other tables likewise.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.
    delimiter, known : str, optional
        As for ``to_numbers``.

    Returns
    -------
    str or None
        None where nothing tells it: numbers without any mark.

    Examples
    --------
    >>> [find_form(pl.Series(cells)) for cells in (["1.234,5", "87"], ["1.5", "87"], ["87"])]
    ['points between thousands', 'plain', None]
    """
    numbers, form = _fitting(cells, delimiter, known)
    if form == PLAIN and known is None and not cells.str.contains(".", literal=True).any():
        return None
    return form if numbers.count() else None


def may_be_either(cells: pl.Series, delimiter: str | None = None, known: str | None = None) -> bool:
    """Whether nothing tells a decimal comma from one between thousands, as where all cells are like 1,234.

    In a file of ``;`` the comma is decimal, unless numbers below a thousand alone lack it, as thousands do; a point
    there may stand between thousands then, too.

    Parameters
    ----------
    cells : polars.Series
        Text, null where a cell is empty.
    delimiter : str, optional
        What separates the cells of the file.
    known : str, optional
        The form of an earlier table, which tells it where it fits.

    Examples
    --------
    >>> [may_be_either(pl.Series(cells)) for cells in (["1,234", "5,678"], ["1,234", "5,67"], ["987", "1,013"])]
    [True, False, False]
    >>> [may_be_either(pl.Series(cells), ";") for cells in (["1,234", "5,678"], ["987", "1,013"], ["987", "1.013"])]
    [False, True, True]
    """
    cells = _with_hyphens(cells)
    if known is not None and _read(cells, known).null_count() == cells.null_count():
        return False
    if delimiter == ";":
        return any(_groups_of_three(cells, mark) and _told_by_small_ones(cells, mark) for mark in ",.")
    return _groups_of_three(cells) and not _told_by_small_ones(cells)


def points_may_part_thousands(frame: pl.DataFrame, delimiter: str | None = None) -> set[str]:
    """Return the columns of plain numbers of which ``may_be_either`` is to be asked: all points stand as for thousands.

    They are found in one pass, for tables of very many columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns of text, and others, which are passed over.
    delimiter : str, optional
        What separates the cells of the file. A point may only be one between thousands where it is ``;``.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["987", "1.013"], "b": ["987", "1.01"]})
    >>> points_may_part_thousands(frame, ";"), points_may_part_thousands(frame, ",")
    ({'a'}, set())
    """
    if delimiter != ";":
        return set()
    text = pl.col(pl.String).str.strip_chars()
    pointed = frame.select(text.str.contains(".", literal=True).sum())
    grouped = frame.select(text.str.contains(GROUP_OF_THREE.format(".")).sum())
    counts = zip(pointed.columns, *pointed.rows(), *grouped.rows(), strict=True)
    return {name for name, points, groups in counts if 0 < points == groups}


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
    # Looked for first: hardly a column has one, and putting others in their place takes longer than reading numbers.
    return cells.str.replace(f"^{MINUS}", "-") if cells.str.starts_with(MINUS).any() else cells


def _fitting(cells: pl.Series, delimiter: str | None, known: str | None) -> tuple[pl.Series, str | None]:
    """Return the numbers, and their form; None where they are truth values."""
    cells = _with_hyphens(cells)
    best, found = _best(cells, delimiter)
    if known is not None and known != found and (numbers := _read(cells, known)).count() >= best.count():
        return numbers, known
    return best, found


def _best(cells: pl.Series, delimiter: str | None) -> tuple[pl.Series, str | None]:
    found: str | None = PLAIN
    best = _read(cells, PLAIN)
    if best.null_count() == cells.null_count():
        return best, found
    if (truth := cells.str.to_lowercase().replace_strict(TRUTH, default=None)).count() > best.count():
        best, found = truth, None
    unsure = delimiter != ";" and _groups_of_three(cells)
    for name, form in FORMS.items():
        if unsure and not (form is COMMA_GROUPS and _told_by_small_ones(cells)):
            continue
        numbers = _read(cells, name)
        if numbers.count() > best.count():
            best, found = numbers, name
    return best, found


def _read(cells: pl.Series, name: str) -> pl.Series:
    if name == PLAIN:
        return cells.cast(pl.Float64, strict=False)
    form = FORMS[name]
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
    return bool(marked.str.contains(GROUP_OF_THREE.format(mark)).all())


def _told_by_small_ones(cells: pl.Series, mark: str = ",") -> bool:
    """Whether the numbers below a thousand have no such mark, and only they."""
    plain = cells.filter(~cells.str.contains(mark, literal=True)).cast(pl.Float64, strict=False).drop_nulls()
    return bool(len(plain)) and bool((plain.abs() < 1000).all())
