"""What ``train``, ``evaluate`` and ``predict`` do, for every task alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastlstm.cli import INTERRUPTED
from fastlstm.cli.flags import command, flag, flags
from fastlstm.cli.living import living_commands
from fastlstm.cli.output import check_form, keep_what_is_read, print_json, print_notes, write_answer
from fastlstm.cli.runs import load_of, require_task, run_flag
from fastlstm.cli.training import given_after, noting_interrupts, training_flags
from fastlstm.errors import InputError, RunError
from fastlstm.runs import check_destination, load_run
from fastlstm.tasks import estimator
from fastlstm.tasks.metric_table import metric_table

if TYPE_CHECKING:
    from fastlstm.tasks.contract import Estimator, LivingEstimator

RESUME = "Go on with the training that was left in this run folder, exactly where it stood; nothing else need be given."

OF_ARRAYS = ("time", "static")  # what predict and evaluate take beside arrays, which no file holds


def task_commands(task: str, arguments: Sequence[str] = ()) -> dict[str, Callable[..., int | None]]:
    """Derive a task's commands from its estimator.

    ``train`` takes the constructor's and ``fit``'s parameters, ``evaluate`` and ``predict`` those of the
    methods of that name; the commands of :mod:`fastlstm.cli.living` are there where the estimator has the method.

    Parameters
    ----------
    task : str
        A key of :data:`fastlstm.tasks.TASKS`.
    arguments : sequence of str
        The mode and what stands after it: ``--resume`` and ``--init`` change what ``train`` takes.

    Returns
    -------
    dict
        Mode → command.
    """
    kind = estimator(task)
    run = run_flag()
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
        if parameter.name not in OF_ARRAYS
    ]
    # What streams its answer does so wherever it goes, and writes text instead of a table.
    predicted = [
        parameter
        for parameter in flags(kind.predict, kind.predict.__doc__)
        if parameter.name not in ("stream", *OF_ARRAYS)
    ]
    form = "Default: stdout" if _streams(kind) else "CSV or Parquet. Default: CSV on stdout"
    out = flag("out", Path | None, f"The file to write. {form}.", None)
    json = flag("json", bool, "Print one JSON object of metrics and nothing else.", False)
    return {
        "train": _train_command(kind, arguments),
        "evaluate": command(lambda given: _evaluate(task, given, evaluated), [run, *evaluated, json]),
        "predict": command(lambda given: _predict(kind, task, given), [run, *predicted, out]),
        **living_commands(kind, task, arguments),
    }


def _train_command(kind: type[Estimator], arguments: Sequence[str]) -> Callable[..., int | None]:
    resumes = hasattr(kind, "resume")
    if resumes and given_after("--resume", arguments) is not None:
        resumed = [
            flag("resume", Path, RESUME),
            flag("data", Path | None, "The table. Default: the file that was trained on.", None, placed=True),
            flag(
                "out",
                Path | None,
                "The folder to make for the run. Default: the one that is gone on with.",
                None,
            ),
        ]
        return command(lambda given: _resume(cast("type[LivingEstimator]", kind), given), resumed)
    trained = flag("out", Path, "The folder to make for the run; a run that is there is replaced.")
    shown = [flag("resume", Path | None, RESUME, None)] if resumes else []
    init = given_after("--init", arguments)
    return command(lambda given: _train(kind, given), [*training_flags(kind, init), *shown, trained])


def _train(kind: type[Estimator], given: dict[str, Any]) -> int:
    out = given.pop("out")
    given.pop("resume", None)
    check_destination(out)
    configuration = {name: given.pop(name) for name in signature(kind).parameters}
    data = given.pop("data")
    if "checkpoint" in signature(kind.fit).parameters:
        given["checkpoint"] = out
    with noting_interrupts() as interrupts:
        fitted = kind(**configuration).fit(data, **given)
    fitted.save(out)
    return _tell(fitted, out, out if interrupts else None)


def _resume(kind: type[LivingEstimator], given: dict[str, Any]) -> int:
    folder = given["resume"]
    out = given["out"] or folder
    check_destination(out)
    with noting_interrupts() as interrupts:
        fitted = kind.resume(folder, given["data"])
    fitted.save(out)
    return _tell(fitted, out, folder if interrupts else None)


def _tell(fitted: Estimator, out: Path, left: Path | None) -> int:
    """Print how training went, and where it was left what goes on from there."""
    print(fitted.report_)
    if left is not None:
        onward = f"; train --resume {left} goes on from here" if hasattr(fitted, "resume") else ""
        print(f"fastlstm: interrupted; the best weights so far are saved in {out}{onward}", file=sys.stderr)
        return INTERRUPTED
    print(f"saved in {out}", file=sys.stderr)
    return 0


def _evaluate(task: str, given: dict[str, Any], parameters: Sequence[Parameter]) -> None:
    folder, json, data = given.pop("run"), given.pop("json"), given.pop("data")
    if data is None:
        idle = [one.name for one in parameters if one.name in given and given[one.name] != one.default]
        if idle:
            raise InputError(
                f"--{idle[0].replace('_', '-')} needs DATA to judge by: give a table after {folder}"
            )
        require_task(folder, task)
        saved = load_run(folder, tensors=False).metrics
        part = "test" if "test" in saved else "validation"
        if part not in saved:
            raise RunError(f"{folder} holds no metrics of a validation or test part: give a table as DATA")
        print(f"metrics of the {part} part of the training data", file=sys.stderr)
        metrics = saved[part]
        printed = metric_table(metrics)
    else:
        loaded = load_of(folder, task)
        judged = loaded.evaluate(data, **given)
        metrics, printed = judged.metrics, str(judged)
        print_notes(loaded.notes_)
    if json:
        print_json(metrics)
    else:
        print(printed)


def _predict(kind: type[Estimator], task: str, given: dict[str, Any]) -> None:
    folder, out = given.pop("run"), given.pop("out")
    if _streams(kind):
        given["stream"] = True
    else:
        check_form(out)
    loaded = load_of(folder, task)
    several = [
        name
        for name, parameter in signature(kind.predict).parameters.items()
        if parameter.kind is Parameter.VAR_POSITIONAL
    ]
    placed = [item for name in several for item in given.pop(name, ())]
    keep_what_is_read(out, [*placed, *given.values()])
    answer = loaded.predict(*placed, **given)
    print_notes(loaded.notes_)
    write_answer(answer, out, loaded.time_format_)


def _streams(kind: type[Estimator]) -> bool:
    return "stream" in signature(kind.predict).parameters
