"""The exceptions that fastlstm raises on purpose.

::

    FastLSTMError
    ├── InputError (ValueError)   what the user gave is wrong: file, row, column, argument, and the mend
    │   ├── DataError             … in a table
    │   └── RunError              … in a run folder
    └── TrainingError             training cannot go on (a loss that is not finite)

The command line prints an ``InputError`` as one line and exits with 2. The layers in :mod:`fastlstm.nn` raise what
``torch.nn.LSTM`` raises, not these.
"""

from collections.abc import Callable, Sequence
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from operator import index
from typing import Any, Final, SupportsIndex

FULL: Final = (ENOSPC, EDQUOT, EFBIG)
FORBIDDEN: Final = (EACCES, EPERM, EROFS)


class FastLSTMError(Exception):
    """Base class of every error of fastlstm's own."""


class InputError(FastLSTMError, ValueError):
    """What the user gave cannot be used; the message says what was found, where, and the mend."""


class DataError(InputError):
    """A table cannot be used; the message names the file, and the row or column."""


class RunError(InputError):
    """A run folder cannot be used; the message names the folder or the file in it."""


class TrainingError(FastLSTMError):
    """Training cannot go on, for instance because the loss is no longer finite."""


def require_whole(name: str, value: Any, *, least: int) -> int:
    """Return a whole number, numpy's too, or say that an argument is none.

    Parameters
    ----------
    name : str
        The argument.
    value : int
        What was given.
    least : int
        The smallest that will do.

    Raises
    ------
    InputError
        If it is no whole number, or a smaller one.

    Examples
    --------
    >>> require_whole("length", 5, least=1)
    5
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool) and (whole := index(value)) >= least:
        return whole
    raise InputError(f"{name} is {value!r}: give a whole number, {least} or more")


def unwritable(path: Any, error: OSError, kept: str = "") -> str:
    """Return the message for a place that cannot be written to, with the mend that its reason asks for.

    Parameters
    ----------
    path : path
        The file or folder.
    error : OSError
        What the system said.
    kept : str
        What is left of what was to be written, if it is to be said.

    Examples
    --------
    >>> unwritable("out.csv", PermissionError(EACCES, "Permission denied"))
    'out.csv cannot be written: Permission denied; choose a folder in which you may write'
    """
    mend = "make room or choose another place" if error.errno in FULL else "choose another place"
    if error.errno in FORBIDDEN:
        mend = "choose a folder in which you may write"
    return f"{path} cannot be written: {error.strerror or error}; {kept}{mend}"


def listed(
    names: Sequence[Any], most: int = 5, *, form: Callable[[Any], str] = repr, counted: bool = False
) -> str:
    """Name the first of some, and show that there are more.

    Parameters
    ----------
    names : sequence
        What to name.
    most : int
        How many.
    form : callable
        How each is written.
    counted : bool
        Whether to say how many more.

    Examples
    --------
    >>> listed(["a", "b", "c"], 2), listed([7, 8, 9], 1, form=str, counted=True), listed([7])
    ("'a', 'b', …", '7 and 2 more', '7')
    """
    rest = len(names) - most
    more = f" and {rest:,} more" if counted else ", …"
    return ", ".join(map(form, names[:most])) + (more if rest > 0 else "")


def many(count: int, thing: str) -> str:
    """Say how many there are of a thing.

    Parameters
    ----------
    count : int
        How many.
    thing : str
        What one is called; more of them have an s at the end.

    Examples
    --------
    >>> many(1, "gap"), many(1200, "empty cell")
    ('1 gap', '1,200 empty cells')
    """
    return f"{count:,} {thing}" + "s" * (count != 1)
