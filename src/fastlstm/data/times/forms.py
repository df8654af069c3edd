"""The forms in which people write times, as ``strftime`` patterns that polars reads and writes.

Two directives are read here rather than there: ``%q``, the quarter, and forms without a day, which stand for the
first one of their month, quarter or week.
"""

from __future__ import annotations

import re

import polars as pl

from fastlstm.data.times.frequency import Frequency

CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
ZONES = (" %H:%M:%S%.f%#z", " %H:%M%#z")
DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%a %d %b %Y",
    "%a, %d %b %Y",
    "%a %b %d %Y",
    "%a, %b %d, %Y",
    "%A %d %B %Y",
    "%A, %d %B %Y",
    "%A, %B %d, %Y",
    "%a %Y-%m-%d",
)
MONTHS = (
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%m-%Y",
    "%m.%Y",
    "%YM%m",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%B-%Y",
    "%b-%y",
    "%b %y",
    "%Y-%b",
    "%Y %b",
)
QUARTERS = ("%Y-Q%q", "%YQ%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y")
WEEKS = ("%G-W%V-%u", "%G-W%V", "%GW%V", "%GW%V%u")
FORMS = (
    *MONTHS,
    *QUARTERS,
    *WEEKS,
    *(DATES[0] + zone for zone in ZONES),
    *(date + clock for date in DATES for clock in CLOCKS),
)

# Of each pair, days and months have changed places.
SWAPPED = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y", "%d/%m/%y": "%m/%d/%y"}
SWAPPED |= {second: first for first, second in SWAPPED.items()}

# Directives, and the shortest step that they tell apart.
GRAINS = {
    "f": "1us",
    "S": "1s",
    "M": "1min",
    "HI": "1h",
    "du": "1d",
    "V": "1w",
    "mbB": "1mo",
    "q": "1q",
    "YyG": "1y",
}

DAY_END = r"[ T]24:00(?::00(?:\.0+)?)?(?:[^\d:.].*)?$"  # the midnight that ends a day
FIRST_MONTHS = {f"Q{quarter}": f"M{3 * quarter - 2:02}" for quarter in range(1, 5)}


def parse(cells: pl.Series, form: str) -> pl.Series:
    """Read times of one form.

    Parameters
    ----------
    cells : polars.Series
        Text.
    form : str
        The form: one of ``FORMS``, or what ``as_written`` made of one.

    Returns
    -------
    polars.Series
        Timestamps, null where a cell is not of the form.

    Examples
    --------
    >>> parse(pl.Series(["2011-Q3", "2011-Q5", "11-Q3"]), "%Y-Q%q").dt.date().to_list()
    [datetime.date(2011, 7, 1), None, None]
    >>> parse(pl.Series(["2011-12-31 24:00"]), "%Y-%m-%d %H:%M").to_list()
    [datetime.datetime(2012, 1, 1, 0, 0)]
    """
    if "%Y" in form:  # %Y alone would read the year 11
        cells = pl.select(pl.when(cells.str.contains(r"\d{4}")).then(cells)).to_series()
    if "%H:%M" in form and (ended := cells.str.contains(DAY_END)).any():
        begun = parse(cells.str.replace("24:00", "00:00", literal=True), form)
        others = parse(pl.select(pl.when(~ended).then(cells)).to_series(), form)
        return others.fill_null(pl.select(pl.when(ended).then(begun.dt.offset_by("1d"))).to_series())
    if "%q" in form:
        cells = cells.str.to_uppercase().str.replace_many(list(FIRST_MONTHS), list(FIRST_MONTHS.values()))
        form = form.replace("Q%q", "M%m")
    if "%V" in form and "%u" not in form:
        cells, form = cells + " 1", form + " %u"
    elif "%d" not in form and "%V" not in form:
        cells, form = cells + " 01", form + " %d"
    read = re.sub(r" ?(?:Z|UTC|GMT)$|%:?z$", "%#z", form.replace("T%H", " %H"))
    read = re.sub(r"%\.\df", "%.f", read.replace("%-", "%").replace("%P", "%p"))
    if "%S%.f" not in read:
        read = read.replace("%S", "%S%.f")
    times = cells.str.to_datetime(read, time_unit="us", strict=False, exact=True)
    return times.set(times.dt.year() < 1, None)  # a dash is no sign: Jan-2011 is not of the year -2011


def normal(cells: pl.Series) -> pl.Series:
    """Write what means the same alike: ISO's ``T`` as a blank, an hour alone with its minutes, UTC as an offset.

    Parameters
    ----------
    cells : polars.Series
        Text.

    Examples
    --------
    >>> normal(pl.Series(["2013-01-31T14:05Z", "2013-01-31 14", "2013-01-31 14:05 UTC"])).to_list()
    ['2013-01-31 14:05Z', '2013-01-31 14:00', '2013-01-31 14:05Z']
    """
    if cells.str.contains(r"[TCG]").any():
        cells = cells.str.replace(r"^(\d{4}-\d{2}-\d{2})T", "$1 ").str.replace(r" ?(?:UTC|GMT)$", "Z")
    return cells.str.replace(r"^(\S+ \d{1,2})$", "$1:00")


def grain(form: str) -> Frequency:
    """Return the shortest step that times of a form tell apart.

    Parameters
    ----------
    form : str
        The form.

    Examples
    --------
    >>> [str(grain(form)) for form in ("%d.%m.%Y %H:%M", "%Y-%m-%d", "%b %Y", "%Y-Q%q")]
    ['1min', '1d', '1mo', '1q']
    """
    told = set(re.findall(r"%[-.:\d]*([A-Za-z])", form))
    return Frequency.parse(next(step for directives, step in GRAINS.items() if told & set(directives)))


def split(form: str) -> tuple[str, str]:
    """Split a form into its date and its clock.

    Parameters
    ----------
    form : str
        The form.

    Examples
    --------
    >>> split("%d.%m.%Y %H:%M"), split("%b %d, %Y")
    (('%d.%m.%Y', ' %H:%M'), ('%b %d, %Y', ''))
    """
    for mark in (" %H", " %I"):
        date, found, clock = form.partition(mark)
        if found:
            return date, found + clock
    return form, ""


def as_written(form: str, cells: pl.Series) -> str:
    """Return the form in which times are written back: as they came, to the zeros before and behind their numbers.

    Parameters
    ----------
    form : str
        One of ``FORMS``.
    cells : polars.Series
        The text before ``normal``.

    Examples
    --------
    >>> as_written("%Y-%m-%d %H:%M%#z", pl.Series(["2013-01-31T14:05Z"]))
    '%Y-%m-%dT%H:%MZ'
    >>> as_written("%m/%d/%Y %I:%M %p", pl.Series(["1/31/2013 2:05 pm"]))
    '%-m/%-d/%Y %-I:%M %P'
    """
    digits = cells.str.extract(r":\d+\.(\d+)").str.len_chars()
    if not digits.null_count():
        form = form.replace(
            "%.f", "%.3f" if (digits <= 3).all() else "%.6f" if (digits <= 6).all() else "%.9f"
        )
    elif digits.null_count() == len(digits):
        form = form.replace("%.f", "")
    if cells.str.contains(r"^\d{4}-\d{2}-\d{2}T").all():
        form = form.replace(" %H", "T%H")
    if "%p" in form:
        form = form.replace(" %p", " %p" if cells.str.contains(r" [AaPp]\.?[Mm]").any() else "%p")
        form = form.replace("%p", "%P" if cells.str.contains(r"[ap]m").any() else "%p")
    if cells.str.contains(r"(?:^|\D)\d(?:\D|$)").any():
        form = _without_zeros(form, cells)
    return form.replace("%#z", _zone_of(cells)) if "%#z" in form else form


def _without_zeros(form: str, cells: pl.Series) -> str:
    """Return the form without the zeros that other files have before numbers of one digit."""
    runs = re.findall(r"(?:%[A-Za-z])+", re.sub("%[aAbBp]", "", form))
    numbers = cells.str.extract_all(r"\d+")
    told = {
        run: numbers.list.get(place, null_on_oob=True)
        for place, run in enumerate(runs)
        if run in ("%m", "%d", "%H", "%I")
    }
    if any((digits.str.len_chars() == 1).any() for digits in told.values()):
        for run, digits in told.items():
            form = form if digits.str.contains(r"^0\d").any() else form.replace(run, f"%-{run[1]}")
    return form


def _zone_of(cells: pl.Series) -> str:
    """Return how all cells name UTC, else the form of their offsets from it."""
    named = cells.str.extract(r"( ?(?:Z|UTC|GMT))$").unique()
    if len(named) == 1 and named[0] is not None:
        return str(named[0])
    return "%z" if cells.str.contains(r"[+-]\d{4}$").all() else "%:z"
