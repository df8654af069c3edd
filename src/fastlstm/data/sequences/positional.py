"""Sequences that are told by their place, not by names, into one set: what arrays and ``.ts`` files share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.ragged import offsets_of, ranges
from fastlstm.data.sequences.labels import refuse_unlabelled
from fastlstm.data.sequences.per_series import remaining
from fastlstm.data.sequences.schema import REMAINING, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceKind, SequenceSet
from fastlstm.data.tables.values import FLOAT32_MAX, coarse_notes, without
from fastlstm.errors import DataError
from fastlstm.wording import many

Numbers = npt.NDArray[np.float64]


def assemble(
    parts: Sequence[Numbers],
    roles: SequenceSchema,
    *,
    source: str,
    kind: SequenceKind,
    where: Callable[[int], str],
    labels: pl.DataFrame | None = None,
    times: Sequence[Numbers] | None = None,
    groups: pl.Series | None = None,
    static: Numbers | None = None,
    notes: tuple[str, ...] = (),
    learning: bool = True,
) -> SequenceSet:
    """Make a set of sequences that have no names.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        n of (T, C) float64, NaN where missing.
    roles : SequenceSchema
        What is known of them.
    source, kind
        As :class:`SequenceSet`.
    where : callable
        Which sequence, for messages.
    labels : polars.DataFrame, optional
        n rows, or one for each step.
    times : sequence of numpy.ndarray, optional
        n of (T,) float64.
    groups : polars.Series, optional
        n values.
    static : numpy.ndarray, optional
        (n, S) float64.
    notes : tuple of str
        What there is to say so far.
    learning : bool
        Whether the channels are to be counted, or to be those of training.

    Raises
    ------
    DataError
        If a sequence is empty, has other channels than the others, or a value is infinite; or if times do not rise.
    """
    if not parts:
        raise DataError(f"{source}: there is no sequence in it")
    values, offsets = _joined(parts, where)
    values = without(values, roles.missing)
    empty = int(np.isnan(values).sum())
    if empty:
        notes = (*notes, f"{source}: {empty:,} of {values.size:,} values are missing")
    named = ((f"channel {channel}", column) for channel, column in enumerate(values.T))
    notes = (*notes, *coarse_notes(named, source))
    channels = values.shape[1]
    schema = _learnt(roles, channels, times, static, labels) if learning else roles
    _refuse_others(source, schema, channels, times, static)
    elapsed = ranges(0, np.diff(offsets)).astype(np.float64)
    if times is not None:
        elapsed = _elapsed(times, offsets, where)
    if schema.until_end:
        labels = pl.DataFrame({REMAINING: remaining(elapsed, offsets)})
    names = tuple(range(len(parts)))
    if labels is not None and not schema.per_step:
        refuse_unlabelled(source, names, labels)
    if labels is not None and schema.numeric_labels:
        labels = _as_numbers(labels, where if not schema.per_step else lambda row: f"{source}, step {row}")
    return SequenceSet(
        source=source,
        kind=kind,
        schema=schema,
        names=names,
        offsets=offsets,
        values=values.astype(np.float32),
        elapsed=elapsed,
        labels=labels,
        per_step=schema.per_step,
        groups=groups,
        static=np.empty((len(parts), 0), np.float32)
        if static is None
        else without(static, schema.missing).astype(np.float32),
        notes=notes,
    )


def trimmed(parts: Sequence[Numbers], source: str) -> tuple[list[Numbers], tuple[str, ...]]:
    """Leave out the steps at the end at which all channels are missing: they fill an array up.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        n of (T, C).
    source : str
        What to call them in the note.

    Returns
    -------
    parts : list of numpy.ndarray
        The same, shorter; one of which nothing is known stays as it is.
    notes : tuple of str
        How many were cut.
    """
    short, cut = [], 0
    for part in parts:
        known = np.flatnonzero(~np.isnan(part).all(axis=1))
        end = int(known[-1]) + 1 if known.size else len(part)
        cut += end < len(part)
        short.append(part[:end])
    note = (
        f"{source}: {cut:,} of {len(parts):,} sequences end before the last step, and are taken to be shorter"
    )
    return short, (note,) if cut else ()


def _joined(parts: Sequence[Numbers], where: Callable[[int], str]) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """Return the values of all steps, and where each sequence begins; raise where they cannot be put together."""
    channels = parts[0].shape[1]
    for index, part in enumerate(parts):
        if len(part) == 0:
            raise DataError(f"{where(index)} is empty; leave it out")
        if part.shape[1] != channels:
            raise DataError(
                f"{where(index)} has {part.shape[1]} channels and the first has {channels}; give all the same channels"
            )
    offsets = offsets_of([len(part) for part in parts])
    values = np.concatenate(parts)
    huge = np.abs(values) > FLOAT32_MAX
    if huge.any():
        row, channel = np.argwhere(huge)[0]
        index = int(np.searchsorted(offsets, row, side="right") - 1)
        raise DataError(
            f"{where(index)}: step {row - offsets[index]} of channel {channel} is {values[row, channel]}; "
            "infinite and huge values cannot be used: correct it, or write NaN where it is unknown"
        )
    return values, offsets


def _learnt(
    roles: SequenceSchema, channels: int, times: object, static: Numbers | None, labels: pl.DataFrame | None
) -> SequenceSchema:
    """Return what is known of sequences, with what these hold."""
    columns = 0 if static is None else static.shape[1]
    return roles.model_copy(
        update={
            "features": tuple(f"channel_{channel}" for channel in range(channels)),
            "static": tuple(f"static_{column}" for column in range(columns)),
            "time_kind": "row" if times is None else "number",
            "labels": () if labels is None else tuple(labels.columns),
            "per_step": roles.per_step or roles.until_end,
        }
    )


def _as_numbers(labels: pl.DataFrame, where: Callable[[int], str]) -> pl.DataFrame:
    numbers = labels.select(pl.all().cast(pl.Float64, strict=False))
    for column in labels:
        wrong = numbers[column.name].is_null() & column.is_not_null()
        if wrong.any():
            row = wrong.arg_max() or 0
            raise DataError(
                f"{where(row)}: label {column[row]!r} is not a number; correct it, or classify instead"
            )
        huge = (numbers[column.name].abs() > FLOAT32_MAX).fill_null(False)
        if huge.any():
            row = huge.arg_max() or 0
            raise DataError(
                f"{where(row)}: label {column[row]!r} is too large to be computed with: correct it"
            )
    return numbers


def _elapsed(
    times: Sequence[Numbers], offsets: npt.NDArray[np.int64], where: Callable[[int], str]
) -> Numbers:
    when = np.concatenate(times)
    since = when - np.repeat(when[offsets[:-1]], np.diff(offsets))
    falls = ~(np.diff(when) > 0)  # so that NaN counts, too
    falls[offsets[1:-1] - 1] = False
    wrong = falls.any() or not np.isfinite(when).all()
    if wrong:
        row = int(falls.argmax()) + 1 if falls.any() else int((~np.isfinite(when)).argmax())
        index = int(np.searchsorted(offsets, row, side="right") - 1)
        raise DataError(
            f"{where(index)}: time does not rise at step {row - offsets[index]}; sort it, each time once"
        )
    return since


def _refuse_others(
    source: str, schema: SequenceSchema, channels: int, times: object, static: Numbers | None
) -> None:
    """Raise where the data are not like those of training."""
    if channels != len(schema.features):
        raise DataError(
            f"{source}: {channels} channels, and training had {len(schema.features)}; give the same ones"
        )
    if (0 if static is None else static.shape[1]) != len(schema.static):
        raise DataError(
            f"{source}: training had {many(len(schema.static), 'static column')}; give the same ones as static"
        )
    if (times is None) != (schema.time_kind == "row"):
        said = "no times" if times is None else "times"
        raise DataError(f"{source} has {said}, unlike the training data; give both or neither")
