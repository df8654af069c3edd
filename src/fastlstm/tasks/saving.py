"""What all estimators share: they are saved in a run folder, and made again from one."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastlstm.errors import RunError
from fastlstm.runs import Run, load_run
from fastlstm.training.loop import require_float32


class SavedEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that a run folder keeps; a task says what of it, by ``_save`` and ``_restore``.

    Attributes
    ----------
    task : str
        A key of :data:`fastlstm.tasks.TASKS`.
    run_settings : type of pydantic.BaseModel
        What ``config.json`` holds; its field ``parameters``, a model or a mapping, are the constructor's arguments.
    fitted_by : str
        The attribute that is there once ``fit`` is done.
    """

    task: ClassVar[str]
    run_settings: ClassVar[type[BaseModel]]
    fitted_by: ClassVar[str]

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
        """Write a run folder, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The folder to make.
        """
        self._require_fitted()._save(path)

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
        settings: Any = run.settings(cls.run_settings)
        given = dict(settings.parameters)
        strange = sorted(given.keys() - signature(cls).parameters.keys())
        if strange:
            raise RunError(
                f"{run.folder} was trained with {strange[0]}, which this version of fastlstm does not know "
                f"({run.config.fastlstm} wrote it): use that, or train again"
            )
        self = cls(**given)
        self.history_, self.metrics_, self.pictures_ = run.history, run.metrics, run.pictures
        self.report_, self.notes_ = None, []
        try:
            self._restore(run, settings)
        except RuntimeError:  # torch's, of weights of other names or sizes
            raise RunError(
                f"the weights of {run.folder} fit no network of this version of fastlstm ({run.config.fastlstm} wrote "
                "them): train again"
            ) from None
        return self

    def _save(self, path: str | Path) -> None:
        """Write the run folder of what was fitted."""
        raise NotImplementedError

    def _restore(self, run: Run, settings: Any) -> None:
        """Take from a run what ``_save`` put there, beside what ``from_run`` has taken."""
        raise NotImplementedError

    def _require_fitted(self) -> Self:
        check_is_fitted(self, self.fitted_by)
        require_float32()
        return self
