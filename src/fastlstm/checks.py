"""Arguments that are checked wherever one is given them."""

from __future__ import annotations

from operator import index
from typing import Any, SupportsIndex

from fastlstm.errors import InputError


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
