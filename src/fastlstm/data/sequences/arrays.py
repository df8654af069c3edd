"""Arrays, and lists of arrays, as sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.sequences.positional import assemble, trimmed
from fastlstm.data.sequences.schema import LABEL_COLUMN, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.tables.frames import series_of
from fastlstm.data.tables.values import FLOAT32_MAX
from fastlstm.errors import DataError
from fastlstm.wording import many

Numbers = npt.NDArray[np.float64]

ARRAYS = "the arrays"


def holds_arrays(source: Any) -> bool:
    """Whether a source is an array or a list of arrays rather than a table or a path.

    Parameters
    ----------
    source : object
        What the user gave.

    Examples
    --------
    >>> holds_arrays(np.zeros((2, 3, 1))), holds_arrays([[1.0, 2.0], [3.0]]), holds_arrays("train.csv")
    (True, True, False)
    """
    return isinstance(source, list | tuple | np.ndarray) or type(source).__module__.split(".")[0] == "torch"


def read_arrays(
    source: Any,
    roles: SequenceSchema,
    *,
    label: Any = None,
    time: Any = None,
    groups: Any = None,
    static: Any = None,
    learning: bool = True,
) -> SequenceSet:
    """Take arrays.

    Parameters
    ----------
    source : array or list of arrays
        (n, T, C) or (n, T), or n of (T, C) or (T,), T from one to the next another; NaN where missing. Steps at the
        end of an (n, T, C) array at which all is missing fill it up, and are left out.
    roles : SequenceSchema
        ``per_step``, ``until_end``, ``missing``; all that was learnt where not ``learning``.
    label : array or list, optional
        (n,) numbers or text, (n, K) for K labels each; n of (T,), or (n, T), where ``per_step``.
    time : array or list of arrays, optional
        When each step is: (n, T), or n of (T,).
    groups : array or list, optional
        (n,).
    static : array, optional
        (n, S).
    learning : bool
        Whether the channels are to be counted, or to be those of training.

    Returns
    -------
    SequenceSet
        The sequences as they were given.

    Raises
    ------
    DataError
        If shapes do not fit, or a value is infinite.

    Examples
    --------
    >>> x = np.float32([[[1, 2], [3, 4]], [[5, 6], [np.nan, np.nan]]])
    >>> sequences = read_arrays(x, SequenceSchema(form="positional"), label=["up", "down"])
    >>> sequences.lengths, sequences.channels, sequences.labels["label"].to_list()
    (array([2, 1]), ('channel_0', 'channel_1'), ['up', 'down'])
    """
    if isinstance(source, np.ndarray) and source.dtype == object and source.ndim == 1:
        source = list(source)  # of arrays of any length
    whole = not isinstance(source, list | tuple)
    parts = _as_parts(source)
    lengths = [len(part) for part in parts]
    per_step = roles.per_step or roles.until_end
    notes: tuple[str, ...] = ()
    if whole and not per_step:
        parts, notes = trimmed(parts, ARRAYS)
    times = None if time is None else _ragged(time, lengths, "time")
    labels = None
    if label is not None and not roles.until_end:
        labels = _labels(label, lengths, per_step=per_step)
    return assemble(
        parts,
        roles,
        source=ARRAYS,
        kind="numpy",
        where=lambda index: f"{ARRAYS}, sequence {index}",
        labels=labels,
        times=None if times is None else [when[: len(part)] for when, part in zip(times, parts, strict=True)],
        groups=None if groups is None else _column(groups, len(parts), "groups"),
        static=None if static is None else _static(static, len(parts)),
        notes=notes,
        learning=learning,
    )


def _as_parts(source: Any) -> list[Numbers]:
    if not isinstance(source, list | tuple):
        array = _numbers(source, ARRAYS)
        if array.ndim not in (2, 3):
            raise DataError(
                f"{ARRAYS} have {many(array.ndim, 'dimension')}; give (sequences, steps, channels), "
                "(sequences, steps), or a list of (steps, channels)"
            )
        return list(array if array.ndim == 3 else array[:, :, None])
    parts = []
    for index, given in enumerate(source):
        part = _numbers(given, f"{ARRAYS}, sequence {index}")
        if part.ndim not in (1, 2):
            raise DataError(
                f"{ARRAYS}, sequence {index} has {part.ndim} dimensions; give (steps, channels) or (steps,)"
            )
        parts.append(part if part.ndim == 2 else part[:, None])
    return parts


def _numbers(given: Any, name: str) -> Numbers:
    if isinstance(given, np.ma.MaskedArray):
        given = np.ma.filled(given.astype(np.float64), np.nan)
    if isinstance(given, np.ndarray) and np.iscomplexobj(given):
        raise DataError(f"{name} are complex numbers; give real ones, for instance both parts as channels")
    if hasattr(given, "detach"):  # a tensor, which numpy would not look into while it asks for a gradient
        given = given.detach().cpu()
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{name}: what is given holds something else than numbers, or channels of different lengths; "
            "give arrays of numbers, NaN where one is missing"
        ) from None


def _ragged(given: Any, lengths: Sequence[int], name: str) -> list[Numbers]:
    parts = [_numbers(part, f"{name}, sequence {index}") for index, part in enumerate(given)]
    if len(parts) != len(lengths):
        raise DataError(
            f"{name} has {many(len(parts), 'sequence')} and {ARRAYS} have {len(lengths)}; give one for each"
        )
    for index, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        if part.shape != (length,):
            raise DataError(
                f"{name}, sequence {index}: shape {part.shape} where the sequence has {many(length, 'step')}"
            )
    return parts


def _labels(label: Any, lengths: Sequence[int], *, per_step: bool) -> pl.DataFrame:
    if not per_step:
        return _frame(label, len(lengths))
    rows = [_cells(part, f"label, sequence {index}") for index, part in enumerate(label)]
    for index, (row, length) in enumerate(zip(rows, lengths, strict=False)):
        if np.shape(row) != (length,):
            raise DataError(
                f"label, sequence {index}: shape {np.shape(row)} where the sequence has {many(length, 'step')}"
            )
    if len(rows) != len(lengths):
        raise DataError(
            f"label has {many(len(rows), 'sequence')} and {ARRAYS} have {len(lengths)}; give one for each"
        )
    return _frame([cell for row in rows for cell in row], sum(lengths))


def _frame(label: Any, count: int) -> pl.DataFrame:
    cells = _cells(label, "label")
    if np.ndim(cells) != 2:
        return pl.DataFrame([_column(cells, count, "label").alias(LABEL_COLUMN)])
    columns = [_column(column, count, "label") for column in zip(*cells, strict=True)]
    return pl.DataFrame([column.alias(f"{LABEL_COLUMN}_{place}") for place, column in enumerate(columns)])


def _column(given: Any, count: int, role: str) -> pl.Series:
    """One value a sequence, of the type that was given."""
    cells = _cells(given, role)
    if np.shape(cells) != (count,):
        raise DataError(
            f"{role} has shape {np.shape(cells)} and there are {count} of them to give; give one for each"
        )
    found = series_of(role, cells)
    if found.dtype.is_float() and found.is_infinite().any():
        raise DataError(f"{role}: value {found.is_infinite().arg_max()} is infinite; correct it")
    return found


def _cells(given: Any, role: str) -> list[Any]:
    """Return what was given as a list, of lists where it has two dimensions; numpy would make text of a mixture."""
    if hasattr(given, "to_list"):  # a series of polars or pandas
        return list(given.to_list())
    cells = list(given) if isinstance(given, list | tuple) else np.asarray(given).tolist()
    try:
        np.shape(cells)
    except ValueError:
        raise DataError(f"{role} has rows of different lengths; give as many values in each") from None
    return cells if isinstance(cells, list) else [cells]


def _static(given: Any, count: int) -> Numbers:
    static = _numbers(given, "static")
    if static.ndim != 2 or len(static) != count:
        raise DataError(f"static has shape {static.shape}; give ({count}, columns)")
    if (np.abs(static) > FLOAT32_MAX).any():
        raise DataError("static holds infinite values; write NaN where one is unknown")
    return static
