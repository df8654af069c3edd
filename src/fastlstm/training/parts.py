"""Tensors of several parts in one file: ``network.head.bias`` is ``head.bias`` of the part ``network``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def joined(parts: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    """Name what is in parts by the part and its own name.

    Parameters
    ----------
    parts : mapping
        Part → name → tensor.

    Examples
    --------
    >>> joined({"network": {"head.bias": 1}, "series": {"target": 2}})
    {'network.head.bias': 1, 'series.target': 2}
    """
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def part_of(whole: Mapping[str, Value], part: str) -> dict[str, Value]:
    """Return one part of what ``joined`` gave; nothing where there is none.

    Parameters
    ----------
    whole : mapping
        Part and name → tensor.
    part : str
        What stands before the first dot.

    Examples
    --------
    >>> part_of({"network.head.bias": 1, "networks.head.bias": 2}, "network")
    {'head.bias': 1}
    """
    before = f"{part}."
    return {name.removeprefix(before): value for name, value in whole.items() if name.startswith(before)}
