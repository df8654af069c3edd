"""What every estimator has, whatever its task: all that the command line and :func:`fastlstm.load` ask of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from fastlstm.runs import Run


class Judged(Protocol):
    """What ``evaluate`` gives; printed as text."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """``model``, and by name what it is compared with: each metric and its value."""


class Estimator(Protocol):
    """An estimator of some task.

    The parameters of its methods, but for those named here, are its own: the command line reads them from the
    signatures, and their help from the docstrings. Where ``fit`` takes a ``checkpoint`` it is given the run folder.

    Attributes
    ----------
    task : str
        Its key among :data:`fastlstm.tasks.TASKS`.
    notes_ : list of str
        What the last ``predict`` has to tell, a line each.
    time_format_ : str, optional
        How files write its times (``strftime``); None where there are none.
    """

    task: ClassVar[str]
    notes_: list[str]

    @property
    def report_(self) -> Any:
        """What ``fit`` tells: printed as text. None of a loaded run."""

    @property
    def time_format_(self) -> str | None:
        """How files write its times."""

    def __init__(self, *arguments: Any, **configuration: Any) -> None: ...

    def fit(self, *data: Any, **roles: Any) -> Self:
        """Learn from ``data``, and return itself."""

    def predict(self, *data: Any, **options: Any) -> Any:
        """Return a frame, or text; with ``stream=True``, where it is a parameter, pieces of text as they come."""

    def evaluate(self, *data: Any, **options: Any) -> Judged:
        """Compare what it says of ``data`` with what is known."""

    def save(self, path: str | Path) -> None:
        """Write a run folder."""

    @classmethod
    def from_run(cls, run: Run) -> Self:
        """Make the estimator of a run that was read."""


class Rolled(Judged, Protocol):
    """What ``backtest`` gives."""

    def frame(self) -> Any:
        """Every forecast beside what came."""

    def by_series(self) -> Any:
        """Return every metric of each series."""

    def by_step(self) -> Any:
        """Return every metric of each step ahead."""


class LivingEstimator(Estimator, Protocol):
    """An estimator with all that not every task has; the command line has commands and flags for what is there."""

    tuning_: Any

    @classmethod
    def resume(cls, *run: Any, **options: Any) -> Self:
        """Go on with the training that was left in a run folder; offered as ``train --resume``."""

    @classmethod
    def arguments_of(cls, run: Run) -> dict[str, Any]:
        """Arguments that a saved run was made with; asked for where ``fit`` takes ``init``."""

    def backtest(self, *windows: Any, **options: Any) -> Rolled:
        """Predict the last stretch of data as if it were the future."""

    def update(self, *data: Any, **options: Any) -> Self:
        """Move on with new rows."""

    def tune(self, *data: Any, **options: Any) -> Self:
        """Search for the best configuration."""

    def cross_validate(self, *data: Any, **options: Any) -> Judged:
        """Fit to all parts of the data but one and judge that one, each in its turn."""

    def export(self, path: str | Path) -> Any:
        """Write the model as a file that runs elsewhere, and return what is told of it."""
