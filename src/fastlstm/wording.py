"""How messages say what comes up everywhere: names of several things, how many there are, what cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from typing import Any

FULL = (ENOSPC, EDQUOT, EFBIG)
FORBIDDEN = (EACCES, EPERM, EROFS)


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
