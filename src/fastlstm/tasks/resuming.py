"""Fits that keep where they stand in a run folder, and go on exactly from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fastlstm.errors import InputError, RunError
from fastlstm.runs import drop_checkpoint, keep_checkpoint, read_checkpoint
from fastlstm.tasks.parameters import Arguments, as_plain
from fastlstm.tasks.saving import SavedEstimator
from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.learner import Hooks
from fastlstm.training.processes import is_first_process


class FitRecord(BaseModel):
    """What was being fitted, as a checkpoint keeps it.

    Parameters
    ----------
    task : str
        Whose checkpoint it is.
    parameters : dict
        The constructor's arguments.
    roles : dict
        The arguments of ``fit`` beside the data.
    source : str, optional
        The file that was fitted; None for what is no file.
    fingerprint : str
        Of the data, to tell another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    parameters: Arguments
    roles: Arguments
    source: str | None
    fingerprint: str


def read_fit(folder: str | Path, task: str) -> tuple[FitRecord, TrainingState]:
    """Read what was being fitted in a run folder, and where it stands.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    task : str
        Whose it must be.

    Raises
    ------
    RunError
        If there is no checkpoint, or it is of another task or version.
    """
    state = read_checkpoint(folder)
    fit = state.numbers.get("fit")
    other = fit.get("task") if isinstance(fit, dict) else None
    if other != task and isinstance(other, str):
        raise RunError(f"the checkpoint of {folder} is of the task {other!r}: use fastlstm {other}")
    try:
        return FitRecord.model_validate(fit), state
    except ValidationError:
        raise RunError(f"the checkpoint of {folder} is of another version of fastlstm: train again") from None


class ResumableEstimator(SavedEstimator):
    """An estimator whose ``fit`` can be left and gone on with.

    A task's ``fit`` hands its arguments to ``_fit``, and ``_fit`` asks :meth:`_hooks` for what looks on. Everything
    else that ``_fit`` does (split, vocabulary, first weights) must come out the same for the same data and seed.
    """

    files: ClassVar[tuple[str, ...]] = ()  # arguments of fit beside the data that may name files

    @property
    def time_format_(self) -> str | None:
        """How files write the times (``strftime``); None where there are none."""
        return None

    @classmethod
    def resume(cls, path: str | Path, data: Any | None = None) -> Self:
        """Go on with a fit that was left, exactly where it stood.

        On the same machine and with the same number of threads the result is that of a fit that was never left, bit
        for bit.

        Parameters
        ----------
        path : str or Path
            A run folder whose training was interrupted, or a ``checkpoint`` folder of ``fit``.
        data : path, DataFrame or list, optional
            What was fitted. Default: the file that it came from.

        Raises
        ------
        RunError
            If there is no checkpoint, for instance because training is done, or it is of another task or version.
        InputError
            If the data is not what was fitted.
        """
        record, state = read_fit(path, cls.task)
        source = record.source if data is None else data
        if source is None:
            raise InputError(
                f"{path} was fitted to data in memory, which no checkpoint keeps: give it as data"
            )
        return cls(**record.parameters)._fit(source, record.roles, path, state)

    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        """Fit, from the beginning or from where another fit stood."""
        raise NotImplementedError

    def _hooks(
        self,
        data: Any,
        fingerprint: Callable[[], str],
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None,
    ) -> Hooks:
        """Return what keeps where training stands, and where it goes on.

        Parameters
        ----------
        data : path, DataFrame or list
            What is fitted.
        fingerprint : callable
            Makes a digest of what was read of it; asked only where something is kept.
        roles : mapping
            The arguments of ``fit`` beside the data, as JSON holds them.
        folder : str or Path, optional
            The run folder; without one nothing is kept.
        resume : TrainingState, optional
            Where to go on.
        """
        if folder is None:
            return Hooks()
        digest = fingerprint()
        if resume is not None and resume.numbers["fit"]["fingerprint"] != digest:
            raise InputError(f"the data is not what {folder} was being fitted to: give that, or train anew")
        if resume is None and is_first_process():
            drop_checkpoint(folder)
        record = FitRecord(
            task=self.task,
            parameters=self.get_params(),
            roles={name: self._kept(name, value) for name, value in roles.items()},
            source=str(Path(data).absolute()) if isinstance(data, str | Path) else None,
            fingerprint=digest,
        )
        fit = record.model_dump(mode="json")

        def checkpoint(state: TrainingState) -> None:
            keep_checkpoint(folder, TrainingState(state.tensors, {**state.numbers, "fit": fit}))

        return Hooks(checkpoint=checkpoint, resume=resume)

    def _kept(self, name: str, value: Any) -> Any:
        """Return an argument of ``fit`` as a checkpoint keeps it."""
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        if name in self.files and isinstance(value, str | Path):
            return str(Path(value).absolute())
        if isinstance(value, np.ndarray):
            value = value.tolist()
        elif hasattr(value, "to_list"):  # a Series of polars or pandas
            value = value.to_list()
        plain = str | int | float | None
        value = as_plain(value)
        if isinstance(value, list):
            other = next((part for part in value if not isinstance(part, plain | list)), None)
            what = f"holds a {type(other).__name__}"
        else:
            other = None if isinstance(value, plain) else value
            what = f"is a {type(value).__name__}"
        if other is not None:
            raise InputError(
                f"{name} {what}, which no checkpoint keeps: give a file or a list of numbers or texts, or fit without "
                "checkpoint"
            )
        return value
