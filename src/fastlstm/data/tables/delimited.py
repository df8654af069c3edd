"""Delimited text: opened whatever packs it, its delimiter found, its records and their lines counted."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import polars as pl
from typing_extensions import override

from fastlstm.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
BLANKS = " "  # any number of blanks or tabs: the table that is printed rather than exported
GZIP_MAGIC = b"\x1f\x8b"
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of Excel since 2007, and before
PARQUET_MAGIC = b"PAR1"
RECORDINGS = (b"RIFF", b"ID3", b"OggS", b"fLaC")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Excel's "Unicode text" begins so
NAMED_DELIMITER = re.compile(
    r'"?sep=(.)"?\r?\n', re.IGNORECASE
)  # what Excel reads and writes above the header
SAMPLE_LINES = 20
csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))  # a cell may be a whole text
SHOWN = 40  # characters of a text that is no path


def as_path(source: str | Path) -> Path:
    """Return the path of a file that was named, whether it is there or not.

    Parameters
    ----------
    source : str or Path
        What was given.

    Raises
    ------
    DataError
        If no file can be called so: it is a text, or a table, rather than its name.

    Examples
    --------
    >>> as_path("It was a bright cold day. " * 200)
    Traceback (most recent call last):
    fastlstm.errors.DataError: 'It was a bright cold day. It was a brigh' … cannot be the name of a file: ...
    """
    path = Path(source)
    try:
        pipe = path.exists() and not (path.is_file() or path.is_dir())
    except (OSError, ValueError):  # longer than a name may be, or with a zero in it
        raise DataError(
            f"{str(source)[:SHOWN]!r} … cannot be the name of a file: give the path of one, and what is no file as a "
            "list or frame"
        ) from None
    if pipe:
        raise DataError(
            f"{path} is a pipe, and data are read more than once: write them to a file, and give that"
        )
    return path


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacked where it is gzip's, and as UTF-8 where its mark says UTF-16, whatever it is called.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If its mark says UTF-16, and it is not.
    """
    file = _unpacked(path)
    if not _marked_utf16(path):
        return file
    with file:
        try:
            return io.BytesIO(file.read().decode("utf-16").encode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} begins as UTF-16 text and does not go on so (byte {error.start}: {error.reason}): "
                "save it as UTF-8"
            ) from None


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise gzip.BadGzipFile(f"its gzip data are damaged or cut short ({error})") from None


class _GzipFile(gzip.GzipFile):
    """Damage of what is packed is an ``OSError``, as that of other files."""

    @override
    def read(self, size: int | None = -1) -> bytes:
        with _damage_told():
            return super().read(size)

    @override
    def read1(self, size: int = -1) -> bytes:
        with _damage_told():
            return super().read1(size)

    @override
    def readline(self, size: int | None = -1) -> bytes:
        with _damage_told():
            return super().readline(size)


def _unpacked(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    return cast(IO[bytes], _GzipFile(path, "rb")) if packed else path.open("rb")


def _marked_utf16(path: Path) -> bool:
    with _unpacked(path) as file:
        return file.read(2) in UTF16_MARKS


def holds_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its first bytes.

    Parameters
    ----------
    path : Path
        The file.
    """
    with open_bytes(path) as file:
        return file.read(4) == PARQUET_MAGIC


def refuse_foreign(path: Path) -> None:
    """Raise for files of other kinds that are taken for tables: workbooks, JSON that is one array, unmarked UTF-16.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        With what to save it as.
    """
    with open_bytes(path) as file:
        first = file.read(64)
    if first.startswith(WORKBOOKS):
        raise DataError(f"{path} is a workbook (Excel) or an archive: save its sheet as CSV or Parquet")
    if first.startswith(RECORDINGS) or first[4:8] == b"ftyp":
        raise DataError(
            f"{path} is a recording or a film and no table; recordings are read as .wav, .flac, .ogg or .mp3"
        )
    if b"\0" in first:
        raise DataError(
            f"{path} has zeros among its first bytes, as UTF-16 without a mark has, and no text: save it as UTF-8 CSV"
        )
    if first.removeprefix(b"\xef\xbb\xbf").split()[:1] == [b"["] or b"".join(first.split()).startswith(b"[{"):
        raise DataError(
            f"{path} is a JSON array: save it as CSV, Parquet, or JSON lines (an object a line, of texts)"
        )


def read_delimited(path: Path, delimiter: str, *, cut: bool = False) -> pl.DataFrame:
    """Read all records of a file, the header among them, as text.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells, as :func:`find_delimiter` tells.
    cut : bool
        Leave out the cells of a record that are more than the first one's, rather than raise.
    """
    if delimiter == BLANKS:
        with open_bytes(path) as file:
            text = b"\n".join(b"\t".join(line.split()) for line in file)
        return pl.read_csv(io.BytesIO(text), separator="\t", infer_schema=False, has_header=False)
    return pl.read_csv(
        open_bytes(path) if _marked_utf16(path) else path,
        separator=delimiter,
        infer_schema=False,
        has_header=False,
        skip_rows=int(named_delimiter(path) is not None),
        truncate_ragged_lines=cut,
    )


def named_delimiter(path: Path) -> str | None:
    """Return the delimiter that the first line of a file names, as ``sep=;`` does; None where there is no such line.

    Parameters
    ----------
    path : Path
        The file.
    """
    with _open_text(path) as text:
        return _pass_name(text)


def find_delimiter(path: Path) -> str:
    """Return the delimiter that the file names, else of those that split the header the one that splits most lines so.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        One of ``DELIMITERS``; ``BLANKS`` where none of them splits the header and blanks split all lines alike. Where
        the header is one cell, below which all is split alike, what splits that.
    """
    if named := named_delimiter(path):
        return named
    with _open_text(path) as text:
        head = [line for _, line in zip(range(SAMPLE_LINES), text, strict=False) if line.strip()]
    counts = {mark: _widths(head, mark) for mark in DELIMITERS}

    def fitness(mark: str) -> tuple[float, int]:
        widths = counts[mark]
        if not widths or widths[0] == 1:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    best = max(DELIMITERS, key=fitness)
    widths = {len(line.split()) for line in head}
    if fitness(best) == (0.0, 0) and len(head) > 1 and len(widths) == 1 and widths != {1}:
        return BLANKS
    if fitness(best) == (0.0, 0):
        return max(DELIMITERS, key=lambda mark: _even_below(counts[mark]))
    return best


def _even_below(widths: list[int]) -> int:
    """How many lines, split all alike, stand below some of one cell, titles perhaps; 0 where it is not so."""
    below = [width for place, width in enumerate(widths) if max(widths[: place + 1]) > 1]
    return len(below) if len(below) > 2 and len(set(below)) == 1 else 0


def records(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Go through the records of a file, the header first.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells.
    """
    with _open_text(path) as text:
        _pass_name(text)
        if delimiter == BLANKS:
            yield from (line.split() for line in text)
        else:
            yield from csv.reader(text, delimiter=delimiter)


def find_open_quote(path: Path, delimiter: str) -> int | None:
    """Return the line on which a record starts one of whose quoted cells has no end, or goes on after it.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells.
    """
    with _open_text(path) as text:
        above = int(_pass_name(text) is not None)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        start = above + 1
        try:
            for _ in reader:
                start = above + reader.line_num + 1
        except csv.Error:
            return start
    return None


def line_of_record(path: Path, delimiter: str, record: int) -> int:
    """Return the line on which a record starts, counted from 1, where the header is record 0.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells.
    record : int
        Which record.
    """
    if delimiter == BLANKS:
        return record + 1
    with _open_text(path) as text:
        above = int(_pass_name(text) is not None)
        reader = csv.reader(text, delimiter=delimiter)
        for _ in zip(range(record), reader, strict=False):
            pass
        return above + reader.line_num + 1


def not_utf8(path: Path) -> str:
    """Return the message for a file that is not UTF-8, with the first line that is none, and what it may say.

    Parameters
    ----------
    path : Path
        The file.
    """
    offset = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                found = f"byte {offset + error.start}: on line {number}; {_in_windows(line, error)}"
                return f"{path} is not UTF-8 text ({found})"
            offset += len(line)
    return f"{path} is not UTF-8 text"


def _in_windows(line: bytes, error: UnicodeDecodeError) -> str:
    """Say what a line that is not UTF-8 says in the encoding that Windows' programs write in the west."""
    try:
        text = line[max(0, error.start - SHOWN // 2) : error.start + SHOWN // 2].decode("cp1252")
    except UnicodeDecodeError:
        return error.reason
    return f"in cp1252, which Windows writes, it is {text.strip()!r}"


def _widths(lines: list[str], mark: str) -> list[int]:
    """How many cells each line has; none where cells would be longer than csv takes."""
    try:
        return [len(cells) for cells in csv.reader(lines, delimiter=mark)]
    except csv.Error:
        return []


def _pass_name(text: io.TextIOWrapper) -> str | None:
    """Go past the line that names the delimiter, and return that; stay at the beginning where there is none."""
    named = NAMED_DELIMITER.fullmatch(text.readline(SHOWN))
    if named is None:
        text.seek(0)
        return None
    return named[1]


def _open_text(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="")
