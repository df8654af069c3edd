"""Series that a model does not know by their name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.errors import DataError
from fastlstm.wording import listed


def describe_strangers(names: Sequence[Any], known: Sequence[Any]) -> list[str]:
    """Say which series were never fitted, and which of them may be known by another spelling.

    Parameters
    ----------
    names, known : sequence
        Ids of the series to forecast, and of those that were fitted.

    Examples
    --------
    >>> describe_strangers(["a", 7], ["a", "7"]), describe_strangers(["b"], ["a"])
    ([], ["series not seen in fit, forecast by what the others taught: 'b'"])
    """
    strange = strangers(names, known)
    if not strange:
        return []
    told = [f"series not seen in fit, forecast by what the others taught: {listed(strange)}"]
    return told + [
        f"series {name!r} is not {other!r}, which is known: write it so if it is the same"
        for name, other in spelt_otherwise(strange, known)[:1]
    ]


def describe_new(names: Sequence[Any], known: Sequence[Any]) -> list[str]:
    """Say which series were not known before their rows came.

    Parameters
    ----------
    names, known : sequence
        Ids of the series that came, and of those that are known.
    """
    strange = strangers(names, known)
    return [f"new series, taken up beside those that are known: {listed(strange)}"] if strange else []


def refuse_other_spellings(known: SeriesSet, new: SeriesSet) -> None:
    """Raise where what is known would be taken up once more under the same number, written otherwise.

    Parameters
    ----------
    known, new : SeriesSet
        What is known, and what came.

    Raises
    ------
    DataError
        With both spellings.
    """
    for name, other in spelt_otherwise(strangers(new.names, known.names), known.names):
        raise DataError(
            f"{new.source}: series {name!r} is known as {other!r}: write it so; if it is another series, give it a "
            "name that is not the same number"
        )


def of_one_kind(names: Iterable[Any]) -> list[Any]:
    """Give ids as text where some of them are.

    Parameters
    ----------
    names : iterable
        Ids, each of them a number, a text or None.

    Examples
    --------
    >>> of_one_kind([1, 2]), of_one_kind([1, "north"])
    ([1, 2], ['1', 'north'])
    """
    names = list(names)
    return list(map(str, names)) if len({type(name) for name in names}) > 1 else names


def strangers(names: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    """Return the ids that are not among the known ones; ``1`` and ``"1"`` are the same.

    Parameters
    ----------
    names, known : sequence
        Ids.
    """
    fitted = {str(name) for name in known}
    return [name for name in names if str(name) not in fitted]


def spelt_otherwise(strange: Sequence[Any], known: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each id that is the same number as a known one, and that one.

    Parameters
    ----------
    strange, known : sequence
        Ids that are not known, and those that are.

    Examples
    --------
    >>> spelt_otherwise(["001", "2.0", "3", "north"], [1, 2, "n"])
    [('001', 1), ('2.0', 2)]
    """
    numbers = [(name, number) for name in strange if (number := _number(name)) is not None]
    if not numbers:
        return []
    by_number = {number: name for name in known if (number := _number(name)) is not None}
    return [(name, by_number[number]) for name, number in numbers if number in by_number]


def _number(name: Any) -> Decimal | None:
    try:
        number = Decimal(str(name))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
