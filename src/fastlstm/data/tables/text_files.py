"""Files of text, opened whatever packs them; and why one cannot be, said in one way."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastlstm.data.tables.delimited import not_utf8, open_bytes
from fastlstm.errors import DataError


@contextmanager
def why_unread(path: Path, wanted: str = "a file in it") -> Iterator[None]:
    """Say of what goes wrong on reading a file of text in one line what it is, and the mend.

    Parameters
    ----------
    path : Path
        The file.
    wanted : str
        What to give instead of a folder.

    Raises
    ------
    DataError
        If it is not there, a folder, no UTF-8, damaged, or must not be read.

    Examples
    --------
    >>> with why_unread(Path("absent.txt")):
    ...     pass
    Traceback (most recent call last):
    fastlstm.errors.DataError: absent.txt: no such file; check the path
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise DataError(f"{path} is a folder: give {wanted}")
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(f"{not_utf8(path)}: save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def read_text(path: Path) -> str:
    """Return all of a file of text.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    with why_unread(path), open_bytes(path) as file:
        return file.read().decode("utf-8-sig")
