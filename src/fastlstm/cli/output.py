"""What commands print and write."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fastlstm.data import read_table
from fastlstm.errors import InputError
from fastlstm.runs import finite, replace_file
from fastlstm.wording import unwritable

Metrics = Mapping[str, Mapping[str, float | None]]


def print_json(metrics: Metrics) -> None:
    """Print one JSON object: the model's metrics, and by name those of what it is compared with.

    Parameters
    ----------
    metrics : mapping
        ``model``, and the others, each with its metrics; numbers that are not finite become null.

    Examples
    --------
    >>> print_json({"model": {"mae": 1.5, "mase": float("nan")}, "naive": {"mae": 3.0}})
    {"mae": 1.5, "mase": null, "naive": {"mae": 3.0}}
    """
    others = {name: values for name, values in metrics.items() if name != "model"}
    print(json.dumps(finite({**metrics["model"], **others})))


NEWLINE = "\n"
WRITTEN = (".csv", ".parquet")


def check_form(path: Path | None) -> None:
    """Refuse a file name whose ending says another form than those that are written.

    Parameters
    ----------
    path : Path, optional
        Where a frame is to go.

    Raises
    ------
    InputError
        If it ends otherwise.
    """
    if path is not None and path.suffix not in WRITTEN:
        raise InputError(f"{path}: files are written as {' or '.join(WRITTEN)}; give a name that ends so")


def keep_what_is_read(path: Path | None, given: Iterable[Any], name: str = "out") -> None:
    """Raise where an answer would take the place of a file that it is made from.

    Parameters
    ----------
    path : Path, optional
        Where the answer is to go.
    given : iterable
        What is read, files among it.
    name : str
        The argument that names the path.

    Raises
    ------
    InputError
        With the file.
    """
    if path is None or not path.exists():
        return
    for source in given:
        if isinstance(source, str | Path) and Path(source).is_file() and path.samefile(source):
            raise InputError(f"{name} is {path}, which is read: give another file")


def print_notes(notes: Sequence[str]) -> None:
    """Print what is to be noted of data, a line each, on stderr.

    Parameters
    ----------
    notes : sequence of str
        The lines.
    """
    for note in notes:
        print(f"fastlstm: {note}", file=sys.stderr)


def write_frame(frame: Any, path: Path | None, time_format: str | None) -> None:
    """Write a frame, whole or not at all; on stdout where there is no path.

    Parameters
    ----------
    frame : DataFrame
        Any kind that :func:`fastlstm.data.read_table` takes.
    path : Path, optional
        A CSV or Parquet file.
    time_format : str, optional
        How to write timestamps in CSV (``strftime``).

    Raises
    ------
    InputError
        If the file cannot be written.

    Examples
    --------
    >>> from datetime import date
    >>> write_frame(pl.DataFrame({"month": [date(1961, 1, 1)], "passengers": [450.0]}), None, "%Y-%m")
    month,passengers
    1961-01,450.0
    """
    table = read_table(frame).frame
    if path is None or path.suffix != ".parquet":
        table = table.with_columns(
            _as_text(column, time_format) for column in table if column.dtype.is_temporal()
        )
    if path is None:
        sys.stdout.write(table.write_csv())
        return
    content = io.BytesIO()
    if path.suffix == ".parquet":
        table.write_parquet(content)
    else:
        table.write_csv(content)
    write_whole(content.getvalue(), path)


def write_answer(answer: Any, path: Path | None, time_format: str | None) -> None:
    """Write what ``predict`` gave, whole or not at all; on stdout where there is no path.

    Parameters
    ----------
    answer : DataFrame, str or iterator of str
        A table, text, or pieces of a text, which stdout shows as they come.
    path : Path, optional
        The file; of tables as :func:`write_frame` has it.
    time_format : str, optional
        As :func:`write_frame` has it.

    Examples
    --------
    >>> write_answer(iter(["To ", "be"]), None, None)
    To be
    """
    if not isinstance(answer, str | Iterator):
        write_frame(answer, path, time_format)
        return
    pieces = iter([answer] if isinstance(answer, str) else answer)
    if path is not None:
        write_whole(f"{''.join(pieces).removesuffix(NEWLINE)}\n".encode(), path)
        return
    last = ""
    for last in pieces:
        sys.stdout.write(last)
        sys.stdout.flush()
    if not last.endswith(NEWLINE):
        sys.stdout.write(NEWLINE)


def write_whole(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    content : bytes
        What it is to hold.
    path : Path
        The file; folders above it are made.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device, which is to stay one
            path.write_bytes(content)
            return
        replace_file(path, content)
    except OSError as error:
        raise InputError(unwritable(path, error)) from error


def _as_text(times: pl.Series, form: str | None) -> pl.Series:
    """Write times in the given form, or else as ISO 8601 has them and no longer than they need to be."""
    if form is None and isinstance(times.dtype, pl.Datetime):
        zone = "%:z" if times.dtype.time_zone else ""
        form = (
            "%Y-%m-%d"
            if not zone and (times.dt.truncate("1d") == times).all()
            else f"%Y-%m-%d %H:%M:%S%.f{zone}"
        )
    return times if form is None else times.dt.strftime(form)
