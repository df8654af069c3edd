"""The checkpoint of a run folder: where its training stands, until it is done.

It lies in ``checkpoint/state.safetensors``, replaced whole every so often: the weights, the best ones yet, the
optimizer's moments, the states of the random generators, and as JSON in the header what was being fitted.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fastlstm.errors import RunError
from fastlstm.runs.writing import replace_file

if TYPE_CHECKING:
    from fastlstm.training.checkpoint import TrainingState

CHECKPOINT = "checkpoint"
STATE = "state.safetensors"

logger = logging.getLogger("fastlstm")


def keep_checkpoint(folder: str | Path, state: TrainingState) -> None:
    """Put where training stands into a run folder, in the place of what was kept before.

    A disk that is full must not end a training of hours: it is said, and the last checkpoint stays.

    Parameters
    ----------
    folder : str or Path
        The run folder; made where it is not there.
    state : TrainingState
        Where training stands.
    """
    place = Path(folder) / CHECKPOINT / STATE
    try:
        replace_file(place, state.to_bytes())
    except OSError as error:
        logger.warning("%s cannot be written: %s; training goes on without", place, error.strerror or error)


def read_checkpoint(folder: str | Path) -> TrainingState:
    """Read where the training of a run folder stands.

    Parameters
    ----------
    folder : str or Path
        The run folder.

    Raises
    ------
    RunError
        If there is no checkpoint, or it was cut short or altered.
    """
    from fastlstm.training.checkpoint import TrainingState  # deferred: it imports torch

    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} does not exist; give a folder that 'fastlstm TASK train --out' made")
    if not (folder / CHECKPOINT / STATE).is_file():
        raise RunError(
            f"{folder} has no checkpoint: its training is done, or was left in its first minute; there is nothing "
            "to go on with: train again"
        )
    return TrainingState.read(folder / CHECKPOINT / STATE)


def drop_checkpoint(folder: str | Path) -> None:
    """Remove the checkpoint of a run folder, where there is one.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    """
    shutil.rmtree(Path(folder) / CHECKPOINT, ignore_errors=True)
