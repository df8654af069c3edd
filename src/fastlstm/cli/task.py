"""What ``train``, ``evaluate`` and ``predict`` do, for every task alike."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastlstm.cli.flags import command, flag, flags
from fastlstm.cli.output import check_form, print_json, print_metrics, write_frame
from fastlstm.errors import RunError
from fastlstm.runs import check_destination, load_run
from fastlstm.tasks import estimator, load

if TYPE_CHECKING:
    from fastlstm.tasks.forecast import Forecaster

INTERRUPTED = 130


def task_commands(task: str) -> dict[str, Callable[..., int | None]]:
    """Derive a task's commands from its estimator.

    ``train`` takes the constructor's and ``fit``'s parameters, ``evaluate`` and ``predict`` those of the
    methods of that name.

    Parameters
    ----------
    task : str
        A key of :data:`fastlstm.tasks.TASKS`.

    Returns
    -------
    dict
        Mode → command.
    """
    kind = estimator(task)
    run = flag("run", Path, "The folder that train --out made.", placed=True)
    constructor = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in flags(kind.__init__, kind.__doc__)
    ]
    truth = flag(
        "data",
        Path | None,
        "A table with the columns of the training data. Default: print the metrics that training saved.",
        None,
        placed=True,
    )
    evaluated = [
        truth if parameter.name == "data" else parameter
        for parameter in flags(kind.evaluate, kind.evaluate.__doc__)
    ]
    out = flag("out", Path | None, "The file to write, CSV or Parquet. Default: CSV on stdout.", None)
    json = flag("json", bool, "Print one JSON object of metrics and nothing else.", False)
    trained = flag("out", Path, "The folder to make for the run; a run that is there is replaced.")
    return {
        "train": command(
            lambda given: _train(kind, given), [*flags(kind.fit, kind.fit.__doc__), *constructor, trained]
        ),
        "evaluate": command(lambda given: _evaluate(task, given), [run, *evaluated, json]),
        "predict": command(
            lambda given: _predict(task, given), [run, *flags(kind.predict, kind.predict.__doc__), out]
        ),
    }


def _train(kind: type[Forecaster], given: dict[str, Any]) -> int:
    out = given.pop("out")
    check_destination(out)
    configuration = {name: given.pop(name) for name in signature(kind).parameters}
    data = given.pop("data")
    with _noting_interrupts() as interrupts:
        fitted = kind(**configuration).fit(data, **given)
    fitted.save(out)
    print(fitted.report_)
    if interrupts:
        print(f"fastlstm: interrupted; the best weights so far are saved in {out}", file=sys.stderr)
        return INTERRUPTED
    print(f"saved in {out}", file=sys.stderr)
    return 0


def _evaluate(task: str, given: dict[str, Any]) -> None:
    folder, json, data = given.pop("run"), given.pop("json"), given.pop("data")
    if data is None:
        _require_task(folder, task)
        saved = load_run(folder, tensors=False).metrics
        part = "test" if "test" in saved else "validation"
        print(f"metrics of the {part} part of the training data", file=sys.stderr)
        metrics = saved[part]
    else:
        metrics = _load(folder, task).evaluate(data, **given).metrics
    if json:
        print_json(metrics)
    else:
        print_metrics(metrics)


def _predict(task: str, given: dict[str, Any]) -> None:
    folder, out, data = given.pop("run"), given.pop("out"), given.pop("data")
    check_form(out)
    loaded = _load(folder, task)
    frame = loaded.predict(data, **given)
    for note in loaded.notes_:
        print(f"fastlstm: {note}", file=sys.stderr)
    write_frame(frame, out, loaded.series_.schema.time_format)


def _load(folder: Path, task: str) -> Forecaster:
    _require_task(folder, task)
    return load(folder)


def _require_task(folder: Path, task: str) -> None:
    found = load_run(folder, tensors=False).task
    if found != task:
        raise RunError(f"{folder} is a run of {found}, not of {task}: use fastlstm {found}")


@contextmanager
def _noting_interrupts() -> Iterator[list[int]]:
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
