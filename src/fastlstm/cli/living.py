"""What else is done with a model where the estimator can: backtest, cross-validate, update, tune, export."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastlstm.cli import INTERRUPTED
from fastlstm.cli.flags import command, flag, flags
from fastlstm.cli.output import check_form, keep_what_is_read, print_json, print_notes, write_frame
from fastlstm.cli.runs import load_of, run_flag
from fastlstm.cli.training import noting_interrupts, training_flags
from fastlstm.errors import InputError
from fastlstm.runs import check_destination
from fastlstm.tasks.tuning import STUDY

if TYPE_CHECKING:
    from fastlstm.tasks.contract import Estimator, LivingEstimator, Rolled


def living_commands(
    kind: type[Estimator], task: str, arguments: Sequence[str]
) -> dict[str, Callable[..., int | None]]:
    """Derive the commands that a task's estimator has methods for.

    Parameters
    ----------
    kind : type
        The estimator.
    task : str
        Its task.
    arguments : sequence of str
        The mode and what stands after it.

    Returns
    -------
    dict
        Mode → command.
    """
    living = cast("type[LivingEstimator]", kind)  # made are the commands of the methods that are there
    makers: dict[str, Callable[[], Callable[..., int | None]]] = {
        "backtest": lambda: _backtest_command(living, task, arguments),
        "update": lambda: _update_command(living, task),
        "tune": lambda: _tune_command(living),
        "cross-validate": lambda: _cross_validate_command(living),
        "export": lambda: _export_command(task),
    }
    return {mode: make() for mode, make in makers.items() if hasattr(kind, mode.replace("-", "_"))}


def _backtest_command(
    kind: type[LivingEstimator], task: str, arguments: Sequence[str]
) -> Callable[..., int | None]:
    own = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in flags(kind.backtest, kind.backtest.__doc__)
        if parameter.name != "data"
    ]
    written = [
        flag("out", Path | None, "Write every forecast beside what came, CSV or Parquet.", None),
        flag("by_series", Path | None, "Write the errors of each series, CSV or Parquet.", None),
        flag("by_step", Path | None, "Write the errors of each step ahead, CSV or Parquet.", None),
        flag("json", bool, "Print one JSON object of metrics and nothing else.", False),
    ]
    trained = [
        parameter for parameter in training_flags(kind) if parameter.name not in ("init", "test_windows")
    ]
    # With a flag of training there is something to train: the table comes first. Without, a run does.
    flags_given = {argument.partition("=")[0].replace("--no-", "--", 1) for argument in arguments}
    if flags_given & {f"--{parameter.name.replace('_', '-')}" for parameter in trained}:
        return command(lambda given: _backtest_table(kind, given), [*trained, *own, *written])
    run = run_flag()
    data = flag("data", Path, "The whole of the run's data, or more of it.", placed=True)
    return command(lambda given: _backtest_run(task, given), [run, data, *own, *written])


def _backtest_run(task: str, given: dict[str, Any]) -> None:
    loaded = cast("LivingEstimator", load_of(given.pop("run"), task))
    outputs = _take_outputs(given)
    _write_evaluation(loaded.backtest(**given), outputs, loaded.time_format_)
    print_notes(loaded.notes_)


def _backtest_table(kind: type[LivingEstimator], given: dict[str, Any]) -> None:
    outputs = _take_outputs(given)
    own = {
        name: given.pop(name)
        for name in signature(kind.backtest).parameters
        if name in given and name != "data"
    }
    configuration = {name: given.pop(name) for name in signature(kind).parameters if name in given}
    from fastlstm.tasks.forecast.backtesting import check_rolling  # deferred: no other task rolls

    horizon = configuration["horizon"]
    windows, stride, _ = check_rolling(horizon, **own)  # before what takes long
    held_back = 1 + -(-(windows - 1) * stride // horizon)
    with noting_interrupts() as interrupts:
        fitted = kind(**configuration, test_windows=held_back).fit(given.pop("data"), **given)
    if interrupts:  # a model that learnt a part of what it should is nothing to judge the others by
        raise KeyboardInterrupt
    print_notes(fitted.notes_)
    _write_evaluation(fitted.backtest(**own), outputs, fitted.time_format_)
    print_notes(fitted.notes_)


def _export_command(task: str) -> Callable[..., int | None]:
    run = run_flag()
    out = flag("out", Path, "The file to make, .onnx; one that is there is replaced.")
    return command(lambda given: _export(task, given), [run, out])


def _export(task: str, given: dict[str, Any]) -> None:
    print(cast("LivingEstimator", load_of(given["run"], task)).export(given["out"]))


def _cross_validate_command(kind: type[LivingEstimator]) -> Callable[..., int | None]:
    own = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in flags(kind.cross_validate, kind.cross_validate.__doc__)
        if parameter.name not in ("data", "fit")
    ]
    json = flag("json", bool, "Print one JSON object of metrics and nothing else.", False)
    return command(lambda given: _cross_validate(kind, given), [*training_flags(kind), *own, json])


def _cross_validate(kind: type[LivingEstimator], given: dict[str, Any]) -> None:
    json = given.pop("json")
    configuration = {name: given.pop(name) for name in signature(kind).parameters}
    found = kind(**configuration).cross_validate(given.pop("data"), **given)
    if json:
        print_json(found.metrics)
    else:
        print(found)


def _take_outputs(given: dict[str, Any]) -> dict[str, Any]:
    """Take out of what was given what is to be written, each in a file of its own, and none that is read."""
    outputs = {name: given.pop(name) for name in ("out", "by_series", "by_step", "json")}
    paths = {name: path for name, path in outputs.items() if isinstance(path, Path)}
    for name, path in paths.items():
        check_form(path)
        keep_what_is_read(path, given.values(), name)
        if list(paths.values()).count(path) > 1:
            raise InputError(f"{path} is named for two tables: give each a file of its own")
    return outputs


def _write_evaluation(evaluation: Rolled, outputs: Mapping[str, Any], time_format: str | None) -> None:
    frames: dict[str, Callable[[], Any]] = {
        "out": evaluation.frame,
        "by_series": evaluation.by_series,
        "by_step": evaluation.by_step,
    }
    for name, frame in frames.items():
        if outputs[name] is not None:
            write_frame(frame(), outputs[name], time_format)
    if outputs["json"]:
        print_json(evaluation.metrics)
    else:
        print(evaluation)


def _update_command(kind: type[LivingEstimator], task: str) -> Callable[..., int | None]:
    run = run_flag()
    out = flag(
        "out", Path | None, "The folder to make for the run. Default: the run itself is moved on.", None
    )
    return command(lambda given: _update(task, given), [run, *flags(kind.update, kind.update.__doc__), out])


def _update(task: str, given: dict[str, Any]) -> None:
    folder, out = given.pop("run"), given.pop("out")
    out = out or folder
    check_destination(out)
    updated = cast("LivingEstimator", load_of(folder, task)).update(given.pop("data"), **given)
    print_notes(updated.notes_)
    updated.save(out)
    print(f"saved in {out}", file=sys.stderr)


def _tune_command(kind: type[LivingEstimator]) -> Callable[..., int | None]:
    own = [
        parameter
        for parameter in flags(kind.tune, kind.tune.__doc__)
        if parameter.name not in ("data", "storage")
    ]
    trained = [parameter for parameter in training_flags(kind) if parameter.name != "init"]
    out = flag(
        "out",
        Path,
        "The folder to make for the run. The study is kept in it: the same command goes on where it was left, and "
        "several may run at once.",
    )
    return command(lambda given: _tune(kind, given), [*trained, *own, out])


def _tune(kind: type[LivingEstimator], given: dict[str, Any]) -> int:
    out = given.pop("out")
    check_destination(out)
    configuration = {name: given.pop(name) for name in signature(kind).parameters}
    with noting_interrupts() as interrupts:
        tuned = kind(**configuration).tune(given.pop("data"), storage=out / STUDY, **given)
    if not hasattr(tuned, "network_"):
        print(
            f"fastlstm: interrupted before a new best was found; {out} keeps the study, the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    tuned.save(out)
    print(tuned.tuning_)
    print(tuned.report_)
    if interrupts:
        print(
            f"fastlstm: interrupted; the best of the trials so far is saved in {out}, the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"saved in {out}", file=sys.stderr)
    return 0
