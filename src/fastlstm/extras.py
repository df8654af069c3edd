"""Libraries that only some tasks need: imported when one does, with the mend where one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastlstm.errors import InputError


def library(extra: str, purpose: str, *modules: str) -> Any:
    """Import a library that an extra brings.

    Parameters
    ----------
    extra : str
        The extra's name.
    purpose : str
        What needs the library, with its verb, as a message begins: ``"audio files are read by"``.
    modules : str
        The library, and what else of it is to be imported.

    Returns
    -------
    module
        The first of the modules.

    Raises
    ------
    InputError
        If it is not installed, or does not load.

    Examples
    --------
    >>> library("speech", "numbers are made by", "math").sqrt(4.0)
    2.0
    >>> library("speech", "numbers are made by", "no_such_library")
    Traceback (most recent call last):
        ...
    fastlstm.errors.InputError: numbers are made by no_such_library, which is not here: pip install "fastlstm[speech]"
    """
    try:
        found = [import_module(module) for module in modules]
    except (ImportError, OSError):  # the latter where a shared object of the library's own is missing
        raise InputError(
            f'{purpose} {modules[0]}, which is not here: pip install "fastlstm[{extra}]"'
        ) from None
    return found[0]
