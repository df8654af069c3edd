"""Flags out of signatures: the parameters of an estimator's methods, as the parameters of a command.

The names, types, defaults and help texts are those of the method's signature and NumPy docstring; nothing is
typed twice. A parameter of any table (``Any``) is a path on the command line, a sequence is a list with
commas.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter, Token
from docstring_parser import parse

LINE_BREAK = "\x1e"  # in the name of a column, while lists are taken apart

PLACED: dict[Any, Any] = {  # of mypy's own idea of the kinds of parameters
    inspect.Parameter.POSITIONAL_OR_KEYWORD: inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL: inspect.Parameter.VAR_POSITIONAL,
}


def flags(method: Callable[..., Any], documentation: str | None) -> list[inspect.Parameter]:
    """Turn a method's parameters into those of a command.

    Parameters
    ----------
    method : callable
        The method; ``self`` is left out.
    documentation : str
        The NumPy docstring that describes its parameters.

    Returns
    -------
    list of inspect.Parameter
        Annotated with their help. What can be given by place stays so, ``*several`` too, and all else is a flag.

    Examples
    --------
    >>> def bake(self, data: Any, *, minutes: int = 40) -> None: ...
    >>> [str(parameter.kind) for parameter in flags(bake, "Bake.")]
    ['POSITIONAL_ONLY', 'KEYWORD_ONLY']
    """
    hints = get_type_hints(method)
    texts = {
        name.strip(): described.description
        for described in parse(documentation or "").params
        for name in described.arg_name.replace("*", "").split(",")
    }
    found = []
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        kind = PLACED.get(parameter.kind, inspect.Parameter.KEYWORD_ONLY)
        hint = hints.get(name, str)
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            if hint is str:  # a text, unlike a file, may be given by name as well
                kind = parameter.kind
            elif hint is not Any and Any not in get_args(hint):  # no data, but what names a column of it
                kind = inspect.Parameter.KEYWORD_ONLY
        annotation = annotate(hint, texts.get(name), parameter.default)
        found.append(parameter.replace(kind=kind, annotation=annotation))
    return found


def flag(
    name: str, hint: Any, text: str, default: Any = inspect.Parameter.empty, *, placed: bool = False
) -> inspect.Parameter:
    """Make one parameter of a command that no method has.

    Parameters
    ----------
    name : str
        Its name.
    hint : type
        Its type.
    text : str
        Its help.
    default : object, optional
        Without it the flag is required.
    placed : bool
        Given by place rather than by name.
    """
    kind = inspect.Parameter.POSITIONAL_ONLY if placed else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotate(hint, text, default))


def command(
    run: Callable[[dict[str, Any]], int | None], parameters: Iterable[inspect.Parameter]
) -> Callable[..., int | None]:
    """Make a command with the given parameters.

    Parameters
    ----------
    run : callable
        Called with a dict of every parameter's value.
    parameters : iterable of inspect.Parameter
        What the command takes; those that are placed come first.

    Examples
    --------
    >>> greet = command(lambda given: print(given), [flag("name", str, "Whom to greet.", "world")])
    >>> greet()
    {'name': 'world'}
    """
    signature = inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind))

    def called(*args: Any, **kwargs: Any) -> int | None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return run(dict(bound.arguments))

    called.__signature__ = signature  # type: ignore[attr-defined]  # mypy knows no such attribute; inspect reads it
    called.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return called


def annotate(hint: Any, text: str | None, default: Any = inspect.Parameter.empty) -> Any:
    """Turn a type hint into one for the command line.

    Parameters
    ----------
    hint : type
        The hint: ``Any`` becomes a path, a sequence a tuple that is read from a list with commas.
    text : str, optional
        The help.
    default : object, optional
        What it is when it is not given.

    Examples
    --------
    >>> annotate(int | None, None).__origin__
    int | None
    """
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = NoneType in members
    plain = [Path if member is Any else member for member in members if member is not NoneType]
    if bool in plain and int in plain:  # True is 1 and False is 0
        plain.remove(bool)
        default = int(default)
    item = next((get_args(member)[0] for member in plain if get_origin(member) is Sequence), None)
    shown: dict[str, Any] = {"help": " ".join((text or "").split())}
    if item is None:
        read: Any = reduce(or_, plain)
        if read is int:
            shown["converter"] = whole_number
        if default is False:
            shown["negative"] = ()
    else:
        read = GenericAlias(tuple, (item, ...))
        shown |= {"converter": _list_converter(item), "n_tokens": 1, "metavar": "A,B,…"}
        shown["show_default"] = _join if default else False
    return Annotated[read | None if optional else read, Parameter(**shown)]


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """Read a whole number, and no fraction, which cyclopts would round.

    Parameters
    ----------
    tokens : sequence of cyclopts.Token
        The one that was given.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> whole_number(int, [Token(value="7")])
    7
    """
    value = tokens[0].value.strip()
    try:
        return int(re.sub(r"\.0*$", "", value))
    except ValueError:
        raise ValueError(f"{value!r} is no whole number") from None


def _join(items: Sequence[Any]) -> str:
    return ",".join(str(item) for item in items)


def _list_converter(item: type) -> Callable[[Any, Sequence[Token]], tuple[Any, ...]]:
    def convert(_: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
        # A name that holds a comma is quoted, as in a CSV.
        lines = csv.reader([token.value.replace("\n", LINE_BREAK) for token in tokens], skipinitialspace=True)
        parts = [part.replace(LINE_BREAK, "\n").strip() for line in lines for part in line]
        try:
            return tuple(item(part) for part in parts if part)
        except ValueError as error:
            raise ValueError(f"{error}; give a list with commas, of {item.__name__}s") from None

    return convert
