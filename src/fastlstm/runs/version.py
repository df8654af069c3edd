"""Which fastlstm this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of the installed package, ``"unknown"`` for sources that were not installed.

    Examples
    --------
    >>> isinstance(installed_version(), str)
    True
    """
    try:
        return version("fastlstm")
    except PackageNotFoundError:
        return "unknown"
