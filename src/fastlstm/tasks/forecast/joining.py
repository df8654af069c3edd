"""New rows of series whose end is known: put behind it, or into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.data.ragged import offsets_of, ranges
from fastlstm.data.series.placing import are_sparse
from fastlstm.data.series.reading import where_in
from fastlstm.data.series.rows import of_series
from fastlstm.data.series.schema import Role
from fastlstm.data.series.series_set import SERIES_ARRAYS, STEP_ARRAYS, Integers, SeriesSet
from fastlstm.errors import DataError
from fastlstm.tasks.forecast.strangers import of_one_kind, refuse_other_spellings
from fastlstm.wording import many

RECOGNISED, FEWEST_RECOGNISED = 16, 4  # rows by which a table without times is known again
BESIDE = 0.1  # of a step, by which timestamps may begin beside one, as those of a clock that is not exact do
STATIC = ("static", "static_categories")
COLUMNS: dict[str, tuple[Role, bool]] = {
    "past": ("past", False),
    "future": ("future", False),
    "static": ("static", False),
    "past_categories": ("past", True),
    "future_categories": ("future", True),
    "static_categories": ("static", True),
}


def place_in_known(known: SeriesSet, new: SeriesSet) -> tuple[Integers, Integers]:
    """Find series among known ones, by name, and where on their grid they begin.

    S series of ``new``.

    Parameters
    ----------
    known, new : SeriesSet
        Read with the same schema.

    Returns
    -------
    source : numpy.ndarray
        (S,) int64, which of the known series each one is, -1 where it is none of them.
    positions : numpy.ndarray
        (S,) int64, the position in that series of each one's first row, negative before its start; 0 where it is
        not known. Without a time column rows follow the last observed one, unless the last known ones are among
        them.

    Raises
    ------
    DataError
        If rows do not lie on the steps of the known ones.
    """
    codes = {str(name): code for code, name in enumerate(known.names)}
    source = np.array([codes.get(str(name), -1) for name in new.names], np.int64)
    positions = np.zeros(len(new), np.int64)
    there = np.flatnonzero(source >= 0)
    if new.axis.kind == "row":
        for series in there.tolist():
            end = int(known.last_observed[source[series]])
            tail = known.target[known.offsets[source[series]] :][max(end - RECOGNISED, 0) : end]
            rows = new.target[new.offsets[series] : new.offsets[series + 1]]
            positions[series] = end - _past_repeated(tail, rows)
        return source, positions
    frequency, origins = known.axis.frequency, known.axis.origins[source[there]]
    positions[there], moved = frequency.positions(new.axis.origins[there], origins)
    beside = moved & ~_nearly_on_steps(known, new.axis.origins[there], origins, positions[there])
    if beside.any():
        series = int(there[beside.argmax()])
        raise DataError(
            f"{new.source}: the rows{of_series(new.names[series])} begin at {new.when(series, 0)}, which is not a "
            f"whole number of steps of {frequency} after {known.when(int(source[series]), 0)}: give rows that are"
        )
    return source, positions


def _nearly_on_steps(
    known: SeriesSet, firsts: Integers, origins: Integers, positions: Integers
) -> npt.NDArray[np.bool_]:
    """Return which first ticks lie beside their steps by no more than a clock that is not exact is wrong."""
    axis = known.axis
    if axis.kind != "timestamp" or axis.frequency.kind != "duration":
        return np.zeros(len(firsts), np.bool_)
    beside = np.abs(firsts - axis.frequency.ticks(origins, positions, axis.day))
    near: npt.NDArray[np.bool_] = beside <= BESIDE * axis.frequency.size
    return near


def _past_repeated(tail: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]) -> int:
    """Return the place in rows just past those that repeat a tail, the last of such places; 0 where none do.

    What is the same throughout, or too short, is not known again.
    """
    length = len(tail)
    if length < FEWEST_RECOGNISED or (tail == tail[0]).all():
        return 0
    tail, rows = np.nan_to_num(tail, nan=np.inf), np.nan_to_num(rows, nan=np.inf)  # values are finite
    ends = np.flatnonzero((rows[length - 1 :] == tail[-1]).all(axis=1))[::-1]
    return next((int(end) + length for end in ends if (rows[end : end + length] == tail).all()), 0)


def describe_rows(known: SeriesSet, new: SeriesSet) -> list[str]:
    """Say where rows go whose time no column tells, or which lie beside the known steps.

    Parameters
    ----------
    known, new : SeriesSet
        As for ``place_in_known``.
    """
    source, positions = place_in_known(known, new)
    there = source >= 0
    if new.axis.kind != "row":
        frequency = known.axis.frequency
        _, moved = frequency.positions(new.axis.origins[there], known.axis.origins[source[there]])
        lie = "series lies" if moved.sum() == 1 else "series lie"
        beside = f"{moved.sum():,} {lie} beside the known steps of {frequency}: moved to the nearest"
        return [beside] if moved.any() else []
    follow = int((positions[there] == known.last_observed[source[there]]).sum())
    rows = "the rows are" if len(new) == 1 else f"the rows of {follow:,} series are"
    return [f"there is no time column: {rows} taken to follow those that are known"] if follow else []


def describe_left_out(known: SeriesSet, new: SeriesSet) -> list[str]:
    """Say how many steps of new rows lie before the known ones, which takes them nowhere.

    Parameters
    ----------
    known, new : SeriesSet
        As for ``place_in_known``.
    """
    source, positions = place_in_known(known, new)
    before = int(np.minimum(np.maximum(-positions, 0), new.lengths)[source >= 0].sum())
    return [f"{many(before, 'step')} before the first that is known: left out"] if before else []


def describe_missing(known: SeriesSet, new: SeriesSet) -> list[str]:
    """Say how many steps from the known end of series to their last new value have none.

    Parameters
    ----------
    known, new : SeriesSet
        As for ``place_in_known``.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> columns = Columns(target=("y",), time="t")
    >>> known = read_series(pl.DataFrame({"t": [1, 2, 3], "y": [5, 6, 7]}), columns)
    >>> new = read_series(pl.DataFrame({"t": [6, 8], "y": [7, 9]}), columns, schema=known.schema)
    >>> describe_missing(known, new)
    ['3 steps after those that are known have no value (masked, not filled in)']
    """
    source, positions = place_in_known(known, new)
    codes, steps = _steps_in_known(new, positions)
    ends = np.where(source >= 0, known.last_observed[source], 0)
    settled = (steps < ends[codes]) | (new.positions >= new.last_observed[codes])
    missing = int((np.isnan(new.target).all(axis=1) & ~settled).sum())
    missing += int(np.maximum(positions - ends, 0)[new.last_observed > 0].sum())
    have = "has" if missing == 1 else "have"
    return (
        [f"{many(missing, 'step')} after those that are known {have} no value (masked, not filled in)"]
        if missing
        else []
    )


def extend_series(
    known: SeriesSet, new: SeriesSet, *, replaced: bool = False, table: Any | None = None
) -> SeriesSet:
    """Put new rows behind the known ones, and what comes late into their gaps.

    Steps between the two for which there is no row are missing. What was only known ahead, the future of the
    covariates, gives way to what came. Series that were not known are added.

    Parameters
    ----------
    known, new : SeriesSet
        Read with the same schema. Rows before the start of a known series are left out.
    replaced : bool
        Whether new values take the place of known ones that are different, up to the last known target.
    table : path or DataFrame, optional
        The table that ``new`` was read from, whose lines messages tell.

    Returns
    -------
    SeriesSet
        The known series in their order, then the others.

    Raises
    ------
    DataError
        If a value differs from the known one and ``replaced`` is not given, rows lie too far off, or a known series
        comes under another spelling of its number.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> columns = Columns(target=("y",), time="t")
    >>> known = read_series(pl.DataFrame({"t": [1, 2, 3], "y": [5, 6, 7]}), columns)
    >>> new = read_series(pl.DataFrame({"t": [3, 6], "y": [7, 9]}), columns, schema=known.schema)
    >>> extend_series(known, new).target[:, 0]
    array([ 5.,  6.,  7., nan, nan,  9.], dtype=float32)
    """
    refuse_other_spellings(known, new)
    source, positions = place_in_known(known, new)
    ends = positions + new.lengths
    far = ends - np.where(source >= 0, known.lengths[source], 0) - new.lengths
    if far.size and are_sparse(int(far.max()), int(new.lengths[far.argmax()])):
        series = int(far.argmax())
        raise DataError(
            f"{new.source}: the rows{of_series(new.names[series])} begin at {new.when(series, 0)}, {far.max():,} "
            "steps after the known ones; correct the time, or fit to them"
        )
    strangers = source < 0
    target = source.copy()  # the series of the result that each new one is
    target[strangers] = len(known) + np.arange(strangers.sum())
    whole = _with_room(known, new, strangers)
    lengths = whole.lengths.copy()
    np.maximum.at(lengths, target, ends)
    whole = whole.resized(lengths)
    codes, steps = _steps_in_known(new, positions)
    used = steps >= 0
    rows = np.where(used, whole.offsets[target[codes]] + steps, 0)
    settled = used & (steps < whole.last_observed[target[codes]])
    for name in STEP_ARRAYS:
        old, more = getattr(whole, name), getattr(new, name)
        given = _given(more) & used[:, None]
        if not replaced:
            differs = given & settled[:, None] & _given(old[rows]) & (old[rows] != more)
            _refuse(known, new, name, differs, old[rows], codes, steps, source, table)
        old[rows] = np.where(given, more, old[rows])  # every row is named once: series and step are
    for name in STATIC:
        old, more = getattr(whole, name), getattr(new, name)
        if not replaced:
            differs = _given(more) & _given(old[target]) & (old[target] != more)
            first = np.zeros(len(new), np.int64)
            _refuse(known, new, name, differs, old[target], np.arange(len(new)), first, source, table)
        old[target] = np.where(_given(more), more, old[target])
    observed = whole.last_observed.copy()
    np.maximum.at(observed, target, positions + new.last_observed)
    return replace(whole, last_observed=observed, source=known.source)


def describe_changed(known: SeriesSet, new: SeriesSet) -> list[str]:
    """Say how many values of new rows are not those that are known of the same steps.

    Parameters
    ----------
    known, new : SeriesSet
        As for ``place_in_known``.
    """
    source, positions = place_in_known(known, new)
    codes, steps = _steps_in_known(new, positions)
    settled = (source[codes] >= 0) & (steps >= 0) & (steps < known.last_observed[source[codes]])
    rows = known.offsets[source[codes[settled]]] + steps[settled]
    changed = 0
    for name in STEP_ARRAYS:
        old, more = getattr(known, name)[rows], getattr(new, name)[settled]
        changed += int((_given(more) & _given(old) & (old != more)).sum())
    differ = "differs" if changed == 1 else "differ"
    return (
        [f"{many(changed, 'value')} of known steps {differ} from what is known: taken here"]
        if changed
        else []
    )


def _steps_in_known(new: SeriesSet, positions: Integers) -> tuple[Integers, Integers]:
    """(rows,) the series of each step of ``new``, and its place among the known steps of that series."""
    return new.codes, new.positions + positions[new.codes]


def _with_room(known: SeriesSet, new: SeriesSet, strangers: npt.NDArray[np.bool_]) -> SeriesSet:
    """Return a copy of the known series, and those of ``new`` that are not known, without any steps."""
    count = int(strangers.sum())
    names = [name for name, strange in zip(new.names, strangers, strict=True) if strange]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(known, name), getattr(new, name)[strangers]]) for name in SERIES_ARRAYS
    }
    return replace(
        known,
        names=of_one_kind([*known.names, *names]),
        offsets=np.concatenate([known.offsets, np.full(count, known.offsets[-1])]),
        last_observed=np.concatenate([known.last_observed, np.zeros(count, np.int64)]),
        axis=replace(known.axis, origins=np.concatenate([known.axis.origins, new.axis.origins[strangers]])),
        **arrays,
    )


def _given(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where there is a value: numbers that are not NaN, codes of categories above 0."""
    given: npt.NDArray[np.bool_] = values > 0 if values.dtype == np.int64 else ~np.isnan(values)
    return given


def _refuse(
    known: SeriesSet,
    new: SeriesSet,
    name: str,
    differs: npt.NDArray[np.bool_],
    before: npt.NDArray[Any],
    codes: Integers,
    steps: Integers,
    source: Integers,
    table: Any | None,
) -> None:
    """Raise at the first value that is not the known one."""
    if not differs.any():
        return
    row, column = (int(place[0]) for place in np.nonzero(differs))
    schema, series = known.schema, int(codes[row])
    old, more = before[row, column], getattr(new, name)[row, column]
    if name == "target":
        label = schema.columns.target[column]
    else:
        role, categories = COLUMNS[name]
        label = (schema.categorical if categories else schema.numeric)(role)[column]
        if categories:
            old, more = (schema.vocabularies[label][int(code) - 1] for code in (old, more))
    moment = "" if name in STATIC else f" at {known.when(int(source[series]), int(steps[row]))}"
    place = 0 if name in STATIC else row - int(new.offsets[series])
    where = new.source if table is None else where_in(table, new, series, place)
    raise DataError(
        f"{where}: {label!r}{of_series(new.names[series])}{moment} is {more!s}, and {old!s} is known: "
        "leave the row out, or give replace"
    )


def continue_series(known: SeriesSet, new: SeriesSet, context: int) -> tuple[SeriesSet, Integers]:
    """Put the known end of series before other rows of theirs.

    A series is continued where its name is known and its rows begin after the known start, by no more than a
    context after the known end; the steps between are missing. Its own rows count where both have some, and what
    is known of later steps does not; static covariates that it does not give are the known ones.

    Parameters
    ----------
    known : SeriesSet
        The ends of series.
    new : SeriesSet
        Rows of the same or other series, read with the same schema.
    context : int
        C.

    Returns
    -------
    series : SeriesSet
        The series of ``new``.
    joined : numpy.ndarray
        (S,) int64, how many steps now lie before each one's own rows.
    """
    joined = np.zeros(len(new), np.int64)
    source, positions = place_in_known(known, new)
    end = np.where(source >= 0, known.last_observed[source], 0)
    continued = (source >= 0) & (positions > 0) & (positions <= end + context)
    if not continued.any():
        return new, joined
    joined[continued] = positions[continued]
    heads = np.minimum(joined, end)
    origins = np.where(continued, known.axis.origins[source], new.axis.origins)
    offsets = offsets_of(new.lengths + joined)
    own = ranges(offsets[:-1] + joined, new.lengths)
    into, out_of = ranges(offsets[:-1], heads), ranges(known.offsets[:-1][source], heads)
    arrays: dict[str, Any] = {}
    for name in STEP_ARRAYS:
        old, more = getattr(known, name), getattr(new, name)
        missing = 0 if old.dtype == np.int64 else np.nan
        arrays[name] = np.full((int(offsets[-1]), old.shape[1]), missing, old.dtype)
        arrays[name][own] = more
        arrays[name][into] = old[out_of]
    for name in STATIC:
        old, more = getattr(known, name)[source], getattr(new, name)
        arrays[name] = np.where(continued[:, None] & ~_given(more), old, more)
    series = replace(
        new,
        offsets=offsets,
        last_observed=new.last_observed + joined,
        axis=replace(new.axis, origins=origins),
        earlier=np.where(continued[:, None, None], known.earlier[source], new.earlier),
        **arrays,
    )
    return series, joined
