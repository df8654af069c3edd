"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from secrets import token_hex

from fastlstm.errors import RunError
from fastlstm.wording import unwritable

CONFIG = "config.json"  # what tells a run from other folders
REPLACED = ".replaced"  # what the folder is called that a new one takes the place of, for a moment
BEFORE_A_RUN = {"checkpoint", "study.db", "study.db-journal"}  # what lies in its folder before it is done


def check_destination(folder: str | Path) -> None:
    """Raise where a run could not be saved, before the work of training.

    Parameters
    ----------
    folder : str or Path
        The folder to make.

    Raises
    ------
    RunError
        If it is something else than a run or an empty folder, or its place cannot be written to.

    Examples
    --------
    >>> check_destination(__file__)
    Traceback (most recent call last):
    ...
    fastlstm.errors.RunError: ...writing.py is a file: choose another folder
    """
    folder = Path(folder)
    if folder.is_dir():
        others = {path.name for path in folder.iterdir()} - BEFORE_A_RUN
        if others and not (folder / CONFIG).is_file():
            raise RunError(f"{folder} holds other files and is not a run folder: choose another folder")
        if not folder.stat().st_mode & 0o222 or not os.access(folder, os.W_OK):
            raise RunError(f"{folder} must not be written to: choose another folder, or allow it (chmod u+w)")
        _refuse_held(folder)
    elif folder.exists():
        raise RunError(f"{folder} is a file: choose another folder")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RunError(
            f"{folder} cannot be made: {parent} is not a folder that can be written to; choose another"
        )


def _refuse_held(folder: Path) -> None:
    """Raise for a folder that no other can take the place of."""
    if os.path.ismount(folder):
        raise RunError(f"{folder} is where a disk is mounted, and cannot be replaced: choose a folder in it")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise RunError(
            f"{folder} is the folder that you are in, and cannot be replaced: choose a folder in it, or go to another"
        )


@contextmanager
def written_whole(folder: Path, keep: Sequence[str] = ()) -> Iterator[Path]:
    """Give a folder beside ``folder`` to write into, and put it in its place once that is done.

    Parameters
    ----------
    folder : Path
        The folder to make, or the run to replace.
    keep : sequence of str
        What moves from the run that is replaced into the new one, where it is there.

    Yields
    ------
    Path
        The folder to write into, gone if anything is raised.

    Raises
    ------
    RunError
        If the disk is full, or the place cannot be written to; no trace is left.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     with written_whole(Path(parent, "run")) as folder:
    ...         write_through(folder / "note.txt", b"done")
    ...     Path(parent, "run", "note.txt").read_text()
    'done'
    """
    place = folder.resolve()  # a link stays one, and what it names is replaced
    made = [parent for parent in place.parents if not parent.exists()]
    temporary = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{token_hex(4)}.writing")
        temporary.mkdir()
        yield temporary
        _replace(place, temporary, keep)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(error, OSError):
            raise RunError(unwritable(folder, error, "nothing of it was kept, ")) from error
        raise


def write_through(path: Path, content: bytes) -> None:
    """Write a file through to the disk, so that a full one shows at once and not after the rename.

    Parameters
    ----------
    path : Path
        The file; folders above it are made.
    content : bytes
        All of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def find_replaced(folder: Path) -> Path | None:
    """Return where what a folder held lies, if the process was killed at the moment when it was to be replaced.

    Parameters
    ----------
    folder : Path
        A folder that is not there.
    """
    place = folder.resolve()
    return next(place.parent.glob(f".{escape(place.name)}.*{REPLACED}"), None)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, through to the disk, and put it there: it is there whole or not at all.

    Parameters
    ----------
    path : Path
        The file; folders above it are made.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        If the disk is full, or the place cannot be written to; what was there stays.
    """
    path = path.resolve()  # a link stays one, and what it names is replaced
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.writing")
    try:
        write_through(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(folder: Path, temporary: Path, keep: Sequence[str]) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = temporary.with_suffix(REPLACED)
    folder.rename(old)
    kept = [name for name in keep if (old / name).exists()]
    try:
        for name in kept:
            (old / name).rename(temporary / name)
        temporary.rename(folder)
    except BaseException:
        for name in kept:
            if (temporary / name).exists():
                (temporary / name).rename(old / name)
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
