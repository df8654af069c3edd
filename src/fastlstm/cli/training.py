"""What all commands share that train: their flags, those that change what others there are, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from fastlstm.cli.flags import flags
from fastlstm.cli.runs import require_task
from fastlstm.runs import load_run

if TYPE_CHECKING:
    from fastlstm.tasks.contract import Estimator, LivingEstimator


def training_flags(kind: type[Estimator], init: str | None = None) -> list[Parameter]:
    """Return the flags of a training: ``fit``'s and the constructor's.

    Parameters
    ----------
    kind : type
        The estimator.
    init : str, optional
        A run to start from: what it was trained with is the default of every flag.
    """
    constructor = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in flags(kind.__init__, kind.__doc__)
    ]
    found = [*flags(kind.fit, kind.fit.__doc__), *constructor]
    found = [parameter for parameter in found if parameter.name != "checkpoint"]
    if init is None or "init" not in signature(kind.fit).parameters:
        return found
    living = cast("type[LivingEstimator]", kind)
    require_task(Path(init), kind.task)
    known: Mapping[str, Any] = living.arguments_of(load_run(init, tensors=False))
    return [
        parameter.replace(default=_as_read(known[parameter.name], parameter))
        if parameter.name in known
        else parameter
        for parameter in found
    ]


def _as_read(value: Any, parameter: Parameter) -> Any:
    """Return a default as the flag would read it: a list of one where it takes lists."""
    listed = parameter.annotation.__metadata__[0].converter is not None
    return (value,) if listed and isinstance(value, str) else value


def given_after(name: str, arguments: Sequence[str]) -> str | None:
    """Return the value of a flag before the command line is parsed, None where it is not given.

    Parameters
    ----------
    name : str
        The flag.
    arguments : sequence of str
        The command line.

    Examples
    --------
    >>> given_after("--init", ["train", "new.csv", "--init", "runs/old"])
    'runs/old'
    >>> given_after("--init", ["train", "--init=runs/old"])
    'runs/old'
    """
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}=")
        if argument == name and place + 1 < len(arguments):
            return arguments[place + 1]
    return None


@contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """Collect the interrupts that training turns into an early end."""
    noted: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
