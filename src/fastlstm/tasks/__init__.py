"""The estimators, one a task, and the registry that the command line and :func:`load` read.

A task is found by its name; its module is imported when it is first asked for, so that importing fastlstm
costs little more than importing torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from fastlstm.errors import RunError

if TYPE_CHECKING:
    from fastlstm.tasks.contract import Estimator

# task name: (module, estimator class)
TASKS = {
    "forecast": ("fastlstm.tasks.forecast", "Forecaster"),
    "classify": ("fastlstm.tasks.classify", "Classifier"),
    "regress": ("fastlstm.tasks.regress", "Regressor"),
    "detect": ("fastlstm.tasks.detect", "Detector"),
    "generate": ("fastlstm.tasks.generate", "Generator"),
    "transcribe": ("fastlstm.tasks.transcribe", "Transcriber"),
    "translate": ("fastlstm.tasks.translate", "Translator"),
}

__all__ = ["TASKS", "estimator", "load"]


def estimator(task: str) -> type[Estimator]:
    """Return the estimator class of a task.

    Parameters
    ----------
    task : str
        A key of ``TASKS``.

    Examples
    --------
    >>> estimator("forecast").__name__
    'Forecaster'
    """
    module, name = TASKS[task]
    found: type[Estimator] = getattr(import_module(module), name)
    return found


def load(path: str | Path) -> Estimator:
    """Return the estimator saved in a run folder, ready to predict.

    Parameters
    ----------
    path : str or Path
        A folder that ``save`` or ``fastlstm TASK train --out`` wrote.

    Raises
    ------
    InputError
        If it is no path.
    RunError
        If the folder is not a run, or a file in it is missing, cut short or altered.
    """
    from fastlstm.runs import load_run  # deferred: reading a run needs torch, naming the tasks does not

    run = load_run(path)
    if run.task not in TASKS:
        raise RunError(
            f"{path} is a run of {run.task!r}, which this version of fastlstm does not know "
            f"({run.config.fastlstm} wrote it): use that"
        )
    return estimator(run.task).from_run(run)
