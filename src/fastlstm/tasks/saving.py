"""What all estimators share: they are saved in a run folder, and made again from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastlstm.errors import RunError
from fastlstm.runs import Run, load_run, save_run
from fastlstm.runs.checkpoint import CHECKPOINT
from fastlstm.runs.plots import learning_curve
from fastlstm.tasks.parameters import EstimatorSettings
from fastlstm.training.learner import TrainingResult, history_of
from fastlstm.training.loop import require_float32
from fastlstm.training.parts import joined
from fastlstm.training.processes import is_first_process

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


@dataclass(frozen=True)
class Contents:
    """What a run folder holds of a task alone.

    Parameters
    ----------
    settings : EstimatorSettings
        For ``config.json``.
    tensors : mapping
        For ``model.safetensors``: part → name → tensor; ``network`` is the part of the weights.
    vocabularies : mapping
        Name → JSON.
    plots : mapping
        Name → what this fit has to show beside its learning curve; not looked at of a loaded run, which has pictures.
    """

    settings: EstimatorSettings
    tensors: Mapping[str, Mapping[str, Tensor]]
    vocabularies: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, Figure] = field(default_factory=dict)


class FitReport(Protocol):
    """What ``fit`` tells, whatever the task; printed as text."""

    @property
    def training(self) -> TrainingResult | Sequence[TrainingResult]:
        """How the training of the network went, or of each member."""

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""


class SavedEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that a run folder keeps; a task says what of it, by ``_contents`` and ``_restore``.

    Attributes
    ----------
    task : str
        A key of :data:`fastlstm.tasks.TASKS`.
    run_settings : type of EstimatorSettings
        What ``config.json`` holds.
    fitted_by : str
        The attribute that is there once ``fit`` is done.
    kept : tuple of str
        What stays of a run that is replaced, beside the checkpoint of a training that was left.
    """

    task: ClassVar[str]
    run_settings: ClassVar[type[EstimatorSettings]]
    fitted_by: ClassVar[str]
    kept: ClassVar[tuple[str, ...]] = ()

    history_: list[dict[str, float]]
    report_: Any
    metrics_: dict[str, Any]
    pictures_: dict[str, bytes]
    notes_: list[str]

    @property
    def interrupted_(self) -> bool:
        """Whether training was left before its end, and may go on; a checkpoint stays with the run then."""
        return bool(self.metrics_.get("training", {}).get("stopped") == "interrupted")

    def save(self, path: str | Path) -> None:
        """Write a run folder, whole or not at all. Of processes that train together the first alone writes.

        Parameters
        ----------
        path : str or Path
            The folder to make.
        """
        self._require_fitted()
        if not is_first_process():
            return
        contents = self._contents()
        plots: dict[str, Figure | bytes] = dict(self.pictures_)
        if self.report_ is not None:
            plots = {"learning_curve": learning_curve(self.history_), **contents.plots}
        save_run(
            path,
            task=self.task,
            settings=contents.settings,
            tensors=joined(contents.tensors),
            history=self.history_,
            metrics=self.metrics_,
            vocabularies=contents.vocabularies,
            plots=plots,
            keep=(*self.kept, CHECKPOINT) if self.interrupted_ else self.kept,
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a run folder; the inverse of ``save``.

        Parameters
        ----------
        path : str or Path
            A run folder.
        """
        run = load_run(path)
        if run.task != cls.task:
            raise RunError(f"{path} is a run of the task {run.task!r}: load it with fastlstm.load")
        return cls.from_run(run)

    @classmethod
    def from_run(cls, run: Run) -> Self:
        """Make the estimator from a run that was read.

        Parameters
        ----------
        run : fastlstm.runs.Run
            What ``load_run`` gives.
        """
        require_float32()
        settings = run.settings(cls.run_settings)
        given = settings.parameters.model_dump()
        strange = sorted(given.keys() - signature(cls).parameters.keys())
        if strange:
            raise RunError(
                f"{run.folder} was trained with {strange[0]}, which this version of fastlstm does not know "
                f"({run.config.fastlstm} wrote it): use that, or train again"
            )
        self = cls(**given)
        self.history_, self.metrics_, self.pictures_ = run.history, run.metrics, run.pictures
        self.report_, self.notes_ = None, []
        self._restore(run, settings)
        return self

    def _take_report(self, report: FitReport) -> None:
        """Take up what a fit tells, in the place of all that was told before it."""
        self.history_, self.metrics_ = history_of(report.training), report.metrics
        self.pictures_, self.report_, self.notes_ = {}, report, []

    def _contents(self) -> Contents:
        """Return what of the task is to be written, beside what all tasks write alike."""
        raise NotImplementedError

    def _restore(self, run: Run, settings: Any) -> None:
        """Take from a run what ``_contents`` gave."""
        raise NotImplementedError

    def _require_fitted(self) -> Self:
        check_is_fitted(self, self.fitted_by)
        require_float32()
        return self
