"""Which column plays which role, and what was learnt of them, so that new tables are read the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import numbers_of
from fastlstm.data.times.finding import called_time, find_parts, find_time
from fastlstm.data.times.parts import joined_name
from fastlstm.data.times.timestamps import TimeKind
from fastlstm.errors import DataError, InputError

Role = Literal["past", "future", "static"]
ROLES: tuple[Role, ...] = get_args(Role)
Names = str | Sequence[str]

STEP = "step"  # the time column's name in an answer, where the table has none


@dataclass(frozen=True)
class Columns:
    """Which column plays which role.

    Parameters
    ----------
    target : tuple of str
        What to forecast.
    time : str, optional
        Timestamps, or integers that count the steps; without it rows are one step apart, in their order.
    series : str, optional
        Which series a row belongs to; without it there is one.
    past_covariates, future_covariates, static_covariates : tuple of str
        Known up to now; known ahead; one value a series.
    categories : tuple of str
        Those of the covariates whose cells are categories though they may be numbers.
    time_parts : tuple of str
        The columns of which ``time`` is made, where there are several.
    wide : bool
        Whether the table has one column a series: ``series`` and ``target`` then name columns of the table that
        :func:`fastlstm.data.series.wide.to_long` makes of it.
    among : tuple of str
        The columns of a wide table that are series, where not all of numbers are.
    joint : bool
        Whether the columns of ``among`` are past covariates of every series too: ``past_covariates`` begins with them,
        and ``series`` is the only static covariate and the first of ``categories``.
    missing : tuple of float
        Numbers that mean unknown, in targets and covariates.
    """

    target: tuple[str, ...]
    time: str | None = None
    series: str | None = None
    past_covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    static_covariates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    time_parts: tuple[str, ...] = ()
    wide: bool = False
    among: tuple[str, ...] = ()
    joint: bool = False
    missing: tuple[float, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")

    def covariates(self, role: Role) -> tuple[str, ...]:
        """Return the covariates of a role.

        Parameters
        ----------
        role : {"past", "future", "static"}
            The role.
        """
        return {
            "past": self.past_covariates,
            "future": self.future_covariates,
            "static": self.static_covariates,
        }[role]

    @property
    def shown_time(self) -> str:
        """What the time column of an answer is called: as in the table, where it may have no name."""
        return STEP if self.time is None else self.time

    @property
    def read(self) -> tuple[str, ...]:
        """All columns of a long table that play a role."""
        alone = [name for name in (self.time, self.series) if name is not None]
        covariates = (*self.past_covariates, *self.future_covariates, *self.static_covariates)
        return (*self.target, *alone, *self.time_parts, *covariates)


class Schema(BaseModel):
    """All that reading a table settles, as ``config.json`` keeps it.

    Parameters
    ----------
    columns : Columns
        The roles.
    time_kind : {"row", "integer", "date", "timestamp"}
        What the time column holds.
    time_format : str, optional
        How a file writes its timestamps (``strftime``).
    time_forms : tuple of str
        How each of ``columns.time_parts`` is written.
    time_zone : str, optional
        The time zone of the time column.
    frequency : str
        The step, as :meth:`fastlstm.data.times.frequency.Frequency.parse` reads it.
    day : int
        Day of the month that steps of months fall on.
    calendar : tuple of str
        The calendar's features: keys of :data:`fastlstm.data.times.calendar.CYCLES`.
    vocabularies : dict
        The categories of each covariate that is not numeric; the first has code 1, code 0 is missing or
        unknown.
    whole_names : tuple of str
        The columns that a pandas frame calls by whole numbers.
    number_forms : dict
        How columns of text write their numbers: keys of :data:`fastlstm.data.tables.number_forms.FORMS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Columns
    time_kind: TimeKind
    time_format: str | None = None
    time_forms: tuple[str, ...] = ()
    time_zone: str | None = None
    frequency: str
    day: int = 1
    calendar: tuple[str, ...] = ()
    vocabularies: dict[str, tuple[str, ...]] = {}
    whole_names: tuple[str, ...] = ()
    number_forms: dict[str, str] = {}

    def numeric(self, role: Role) -> tuple[str, ...]:
        """Return the numeric covariates of a role, in the order of their array's columns.

        Parameters
        ----------
        role : {"past", "future", "static"}
            The role.
        """
        return tuple(name for name in self.columns.covariates(role) if name not in self.vocabularies)

    def categorical(self, role: Role) -> tuple[str, ...]:
        """Return the covariates of a role that are categories, in the order of their array's columns.

        Parameters
        ----------
        role : {"past", "future", "static"}
            The role.
        """
        return tuple(name for name in self.columns.covariates(role) if name in self.vocabularies)

    def category_sizes(self, role: Role) -> tuple[int, ...]:
        """How many codes each categorical covariate of a role has, with code 0.

        Parameters
        ----------
        role : {"past", "future", "static"}
            The role.

        Examples
        --------
        >>> columns = Columns(target=("y",), past_covariates=("sky",))
        >>> known = {"sky": ("clear", "mist")}
        >>> schema = Schema(columns=columns, time_kind="row", frequency="1", vocabularies=known)
        >>> schema.category_sizes("past")
        (3,)
        """
        return tuple(len(self.vocabularies[name]) + 1 for name in self.categorical(role))


def find_columns(
    table: Table,
    *,
    target: Names | None = None,
    time: Names | None = None,
    series: str | None = None,
    past_covariates: Names = (),
    future_covariates: Names = (),
    static_covariates: Names = (),
    categories: Names = (),
    missing: float | Sequence[float] = (),
    wide: bool = False,
) -> Columns:
    """Settle the roles: those given, checked, and those that can be told.

    Without ``target`` it is ``y``, or the only column that is left; without ``time`` it is ``ds``, or the only
    column of timestamps, or those of year, month, day and so on; without ``series`` it is ``unique_id`` where there is
    one. Several targets are the series of a wide table.

    Parameters
    ----------
    table : Table
        The table.
    target, time, series, past_covariates, future_covariates, static_covariates, categories : str or sequence of
    str, optional
        As :class:`Columns`; of a wide table ``target`` names the columns that are series.
    missing : float or sequence of float
        Numbers that mean unknown.
    wide : bool
        Whether there is one column a series.

    Raises
    ------
    DataError
        If a column is not there, has two roles, the target or the time cannot be told, or what is called as times are
        cannot be read.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data.tables.table import read_table
    >>> find_columns(read_table(pl.DataFrame({"unique_id": ["a"], "ds": [1], "y": [0.5]}))).series
    'unique_id'
    """
    named = {
        "target": several(target),
        "past_covariates": several(past_covariates),
        "future_covariates": several(future_covariates),
        "static_covariates": several(static_covariates),
    }
    if not named["target"] and not wide and "y" in table.columns:
        named["target"] = ("y",)
    parts, series = several(time), single(series, "series")
    roles = check_roles(table, {**named, "time": parts, "series": several(series)})
    covariates = {name for role, names in named.items() if role != "target" for name in names}
    for name in several(categories):
        table.require(name, "categories")
        if name not in covariates:
            raise DataError(
                f"{table.name}: column {name!r} is given as categories and is no covariate; "
                "give it as past_covariates, future_covariates or static_covariates too"
            )
    if len(named["target"]) > 1 and not wide:
        series = series or ("unique_id" if "unique_id" in table.columns else None)
        if series is not None:
            raise DataError(
                f"{table.name}: {len(named['target'])} targets are given beside the series column {series!r}, and a "
                f"row can have one: give one, or lay them one below the other as series of their own in {series!r}"
            )
        wide = True
    free = [name for name in table.columns if name not in roles]
    identity = series or ("unique_id" if "unique_id" in free else None)
    found = joined_name(parts) if parts else find_time(table, free)
    if found is None:
        parts = find_parts(table, free, identity)
        found = joined_name(parts) if parts else called_time(table, free, identity)
    parts = parts if len(parts) > 1 else ()
    if not named["target"] and not wide:
        left = [name for name in free if name not in (found, identity, *parts)]
        named["target"] = (_only_column(table, left),)
    if wide:
        columns = _wide_columns(table, named, several(categories), series, found, parts)
        return replace(columns, missing=numbers_of(missing))
    return Columns(
        target=named["target"],
        time=found,
        series=identity,
        past_covariates=named["past_covariates"],
        future_covariates=named["future_covariates"],
        static_covariates=named["static_covariates"],
        categories=several(categories),
        time_parts=parts,
        missing=numbers_of(missing),
    )


def _only_column(table: Table, left: Sequence[str]) -> str:
    """Return the target where it is not named: the only column without another role."""
    if len(left) == 1:
        return left[0]
    raise table.which("target", left)


def _wide_columns(
    table: Table,
    named: dict[str, tuple[str, ...]],
    categories: tuple[str, ...],
    series: str | None,
    time: str | None,
    parts: tuple[str, ...],
) -> Columns:
    """Return the roles of the long table that a wide one becomes."""
    for role, names in {
        "series": several(series),
        "static_covariates": named["static_covariates"],
    }.items():
        if names:
            raise DataError(
                f"{table.name}: column {names[0]!r} is given as {role}, which a wide table has no place for; "
                "leave it out, or leave wide out and give one row a series and time"
            )
    among = named["target"]
    series, target = (free_name(name, table.columns) for name in ("series", "value"))
    return Columns(
        target=(target,),
        series=series,
        time=time,
        past_covariates=named["past_covariates"],
        future_covariates=named["future_covariates"],
        categories=categories,
        time_parts=parts,
        wide=True,
        among=among,
    )


def check_roles(table: Table, named: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return each column's role.

    Parameters
    ----------
    table : Table
        The table.
    named : dict
        Role → columns.

    Raises
    ------
    DataError
        If a column is not there, or has two roles.
    """
    roles: dict[str, str] = {}
    for role, names in named.items():
        for name in names:
            table.require(name, role)
            if name in roles:
                raise DataError(
                    f"{table.name}: column {name!r} is given as {roles[name]} and as {role}; leave one out"
                )
            roles[name] = role
    return roles


def free_name(name: str, taken: Sequence[object]) -> str:
    """Return a name for a column that is made, with underlines behind it where a column has it already.

    Parameters
    ----------
    name : str
        The name.
    taken : sequence
        Those of the columns that are there.

    Examples
    --------
    >>> free_name("value", ["day", "value"])
    'value_'
    """
    while name in taken:
        name += "_"
    return name


def several(names: Names | None) -> tuple[str, ...]:
    """Return names as a tuple, where there may be a single one, or none.

    Parameters
    ----------
    names : str or sequence of str, optional
        One name, or several; a frame's columns may be called by numbers.
    """
    if names is None or (isinstance(names, str) and not names):
        return ()
    if isinstance(names, str) or not isinstance(names, Iterable):
        return (str(names),)
    return tuple(str(name) for name in names)


def single(names: Names | None, role: str) -> str | None:
    """Return a name where there is one, or none.

    Parameters
    ----------
    names : str, optional
        What was given for it.
    role : str
        What it is the column of.

    Raises
    ------
    InputError
        If there are several.

    Examples
    --------
    >>> single(["shop", "item"], "series")
    Traceback (most recent call last):
    fastlstm.errors.InputError: series are 2 columns, 'shop' and 'item', and it takes one: join them into one column
    """
    found = several(names)
    if len(found) > 1:
        told = " and ".join(map(repr, found))
        raise InputError(
            f"{role} are {len(found)} columns, {told}, and it takes one: join them into one column"
        )
    return found[0] if found else None
