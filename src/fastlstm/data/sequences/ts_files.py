"""The ``.ts`` files of the UCR and UEA archives.

Header lines begin with ``@``, comments with ``#``. A line after ``@data`` is one sequence: its channels with ``:``
between them, and its label last; the values of a channel have ``,`` between them, ``?`` where one is missing. With
``@timestamps true`` a channel is ``(time,value),(time,value)`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.sequences.positional import assemble, trimmed
from fastlstm.data.sequences.schema import LABEL_COLUMN, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.tables.delimited import as_path, open_bytes
from fastlstm.data.tables.text_files import read_text
from fastlstm.data.times.forms import FORMS, normal, parse
from fastlstm.errors import DataError
from fastlstm.wording import listed

Numbers = npt.NDArray[np.float64]

BETWEEN_CHANNELS = re.compile(r":(?![^(]*\))")  # not those of a clock in a pair of time and value
PAIR = re.compile(r"\(([^()]*),([^(),]*)\)")
MISSING = ("?", "nan", "na", "")
HEADER = re.compile(
    rb"^(\xef\xbb\xbf)?@(problemname|timestamps|classlabel|targetlabel|univariate)\b", re.I | re.M
)
SNIFFED = 1 << 16  # bytes


class Header(NamedTuple):
    """What the header says that matters; lengths and dimensions are counted.

    Attributes
    ----------
    timestamps : bool
        Whether values come with their times.
    classes : tuple of str, optional
        The class labels, where there are some.
    target : bool
        Whether each line ends with a number to predict.
    dimensions : int, optional
        How many channels there are to be.
    """

    timestamps: bool = False
    classes: tuple[str, ...] | None = None
    target: bool = False
    dimensions: int | None = None

    @property
    def labelled(self) -> bool:
        """Whether lines end with a label."""
        return self.target or self.classes is not None


def is_ts(source: Any) -> bool:
    """Whether a source is a ``.ts`` file, by its name or its header.

    Parameters
    ----------
    source : object
        What the user gave.
    """
    if not isinstance(source, str | Path):
        return False
    path = as_path(source)
    if not path.is_file():
        return path.name.endswith((".ts", ".ts.gz"))
    try:
        with open_bytes(path) as file:
            return path.name.endswith((".ts", ".ts.gz")) or HEADER.search(file.read(SNIFFED)) is not None
    except OSError:
        return False


def read_ts(
    source: str | Path, roles: SequenceSchema, *, learning: bool = True, labelled: bool = True
) -> SequenceSet:
    """Read a ``.ts`` file, packed by gzip or not.

    Parameters
    ----------
    source : path
        The file.
    roles : SequenceSchema
        What is known of it.
    learning : bool
        Whether channels and classes are to be learnt, or to be those of training.
    labelled : bool
        Whether labels are to be read, and must be there.

    Returns
    -------
    SequenceSet
        The sequences in the order of the file. Labels are text where they are classes, numbers where they are a
        target.

    Raises
    ------
    DataError
        If a line cannot be read, channels of a sequence have different lengths, or a label is none of the header's.
    """
    path = Path(source)
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), start=1))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    header = _header(path, lines)
    if labelled and not header.labelled and not roles.until_end:
        raise DataError(f"{path}: its header declares no labels (@classLabel true …, or @targetLabel true)")
    numbers: list[int] = []
    parts: list[Numbers] = []
    times: list[Numbers] = []
    labels: list[str | float | None] = []
    for number, line in lines:
        where = f"{path}, line {number}"
        channels = BETWEEN_CHANNELS.split(line)
        if header.labelled:
            label = channels.pop().strip()
            labels.append(_label(where, label, header) if labelled else None)
        _check_channels(where, channels, header, parts[0].shape[1] if parts else None)
        numbers.append(number)
        if header.timestamps:
            when, part = _pairs(where, channels)
            times.append(when)
            parts.append(part)
        else:
            parts.append(_values(where, channels))
    if not parts:
        raise DataError(f"{path}: there is no line after @data")
    notes: tuple[str, ...] = ()
    if not header.timestamps:
        parts, notes = trimmed(parts, str(path))
    kind = pl.Float64 if header.target else pl.String
    has_labels = labelled and header.labelled and not roles.until_end
    return assemble(
        parts,
        roles,
        source=str(path),
        kind="file",
        where=lambda index: f"{path}, line {numbers[index]}",
        labels=pl.DataFrame({LABEL_COLUMN: pl.Series(labels, dtype=kind)}) if has_labels else None,
        times=times or None,
        notes=notes,
        learning=learning,
    )


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> Header:
    """Read up to ``@data``."""
    header = Header()
    for number, line in lines:
        where = f"{path}, line {number}"
        if not line.startswith("@"):
            raise DataError(
                f"{where}: {line[:20]!r} stands before @data; a .ts file has a header that @data ends"
            )
        key, *values = line[1:].split()
        key, on = key.casefold(), bool(values) and values[0].casefold() == "true"
        if key == "data":
            return header
        if key == "timestamps":
            header = header._replace(timestamps=on)
        elif key == "classlabel" and on:
            if not values[1:]:
                raise DataError(f"{where}: @classLabel true names no classes; write them after it")
            header = header._replace(classes=tuple(values[1:]))
        elif key == "targetlabel":
            header = header._replace(target=on)
        elif key in ("dimensions", "dimension") and values and values[0].isdigit():
            header = header._replace(dimensions=int(values[0]))
        elif key == "univariate" and on:
            header = header._replace(dimensions=1)
    raise DataError(f"{path} has no line @data; a .ts file has a header that @data ends")


def _label(where: str, label: str, header: Header) -> str | float:
    if label == "?" or not label:
        raise DataError(f"{where}: the label is missing; fill it in or delete the line")
    if header.classes is not None:
        if label not in header.classes:
            raise DataError(
                f"{where}: label {label[:40]!r} is none of the classes of @classLabel "
                f"({listed(header.classes, 12, form=str)}); "
                "correct it, or add it to the header"
            )
        return label
    number = _number(where, label, "the label")
    if not np.isfinite(number):
        raise DataError(f"{where}: the label {label!r} is no finite number; correct it")
    return number


def _check_channels(where: str, channels: list[str], header: Header, first: int | None) -> None:
    expected = first or header.dimensions
    if expected is not None and len(channels) != expected:
        told = "the lines before have" if first else "the header says"
        raise DataError(
            f"{where}: {len(channels)} channels, and {told} {expected}; "
            "a line is its channels and its label with : between"
        )
    if not any(channel.strip() for channel in channels):
        raise DataError(f"{where}: the series is empty; delete the line")


def _values(where: str, channels: list[str]) -> Numbers:
    parts = []
    for channel in channels:
        cells = channel.split(",") if channel.strip() else []
        try:
            parts.append([float(cell) for cell in cells])
        except ValueError:
            parts.append([_number(where, cell, f"channel {len(parts)}") for cell in cells])
    lengths = [len(part) for part in parts]
    if len(set(lengths)) > 1:
        other = next(index for index, length in enumerate(lengths) if length != lengths[0])
        raise DataError(
            f"{where}: channel 0 has {lengths[0]} values and channel {other} has {lengths[other]}; "
            "write ? where a value is missing"
        )
    return np.array(parts, np.float64).T


def _number(where: str, cell: str, what: str) -> float:
    cell = cell.strip()
    if cell.casefold() in MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{where}: {cell[:40]!r} in {what} is not a number; correct it, or write ?") from None


def _pairs(where: str, channels: list[str]) -> tuple[Numbers, Numbers]:
    """Return (T,) the times of all channels together, and (T, C) their values."""
    stamps: list[str] = []
    values: list[float] = []
    places: list[int] = []
    for place, channel in enumerate(channels):
        pairs = PAIR.findall(channel)
        if PAIR.sub("", channel).strip(" ,\t"):
            raise DataError(
                f"{where}: channel {place} is not made of (time,value) pairs, as @timestamps true says"
            )
        for stamp, value in pairs:
            stamps.append(stamp.strip())
            values.append(_number(where, value, f"channel {place}"))
            places.append(place)
    when = _moments(where, stamps)
    moments, rows = np.unique(when, return_inverse=True)
    taken = rows * len(channels) + np.array(places)
    if len(np.unique(taken)) < len(taken):
        _, firsts, counts = np.unique(taken, return_index=True, return_counts=True)
        again = int(firsts[counts > 1].min())
        raise DataError(
            f"{where}: channel {places[again]} has two values at {stamps[again]}; keep one of the two"
        )
    part = np.full((len(moments), len(channels)), np.nan)
    part[rows, places] = values
    return moments, part


def _moments(where: str, stamps: list[str]) -> Numbers:
    """Return times as numbers: as they are, or as seconds since 1970."""
    cells = pl.Series(stamps, dtype=pl.String)
    numbers = cells.cast(pl.Float64, strict=False)
    if numbers.null_count():
        spelled = normal(cells)
        sample = spelled.head(100)
        best = max(FORMS, key=lambda form: parse(sample, form).count())
        moments = parse(spelled, best)
        if moments.null_count():
            row = moments.is_null().arg_max() or 0
            raise DataError(
                f"{where}: {stamps[row]!r} is neither a number nor a timestamp like 2013-01-31 14:00:00"
            )
        numbers = moments.to_physical().cast(pl.Float64) / 1e6
    return numbers.to_numpy()
