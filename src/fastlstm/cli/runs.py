"""Runs that commands are given: the argument that names one, and reading it as one of a task."""

from __future__ import annotations

from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING

from fastlstm.cli.flags import flag
from fastlstm.errors import RunError
from fastlstm.runs import load_run
from fastlstm.tasks import load

if TYPE_CHECKING:
    from fastlstm.tasks.contract import Estimator


def run_flag() -> Parameter:
    """Return the argument that names a run."""
    return flag("run", Path, "The folder that train --out made.", placed=True)


def load_of(folder: Path, task: str) -> Estimator:
    """Load a run of a task.

    Parameters
    ----------
    folder : Path
        The run folder.
    task : str
        Whose run it must be.

    Raises
    ------
    RunError
        If it is none, or another task's.
    """
    require_task(folder, task)
    return load(folder)


def require_task(folder: Path, task: str) -> None:
    """Raise where a folder is not a run of a task.

    Parameters
    ----------
    folder : Path
        The run folder.
    task : str
        The task.
    """
    found = load_run(folder, tensors=False).task
    if found != task:
        raise RunError(f"{folder} is a run of {found}, not of {task}: use fastlstm {found}")
