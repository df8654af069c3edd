"""What ``fit`` tells: what was read, how training went, and how good the forecasts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastlstm.data.series.series_set import GapReport
from fastlstm.tasks.forecast.evaluation import Evaluation
from fastlstm.tasks.forecast.fallback import describe
from fastlstm.training.learner import TrainingResult, outcome, training_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ForecastReport:
    """The report of ``fit``.

    Parameters
    ----------
    data : GapReport
        What was read, and what of it was missing.
    training : list of TrainingResult
        How the training of each member went.
    parameters : int
        Weights of the network.
    context, season : int
        In steps, as used.
    validation : Evaluation
        On the part that chose the weights; a little too good for that reason.
    test : Evaluation, optional
        On the part that nothing has seen, where ``test_windows`` asked for one.
    known : tuple of str
        Which of both, ``"validation"`` and ``"test"``, hold rows that the model which training started from
        (``init=``) had learnt: their figures are too good.
    fallbacks : mapping
        Kind → the series that are forecast without the network, as ``fallback.without_network`` gives them.
    """

    data: GapReport
    training: list[TrainingResult]
    parameters: int
    context: int
    season: int
    validation: Evaluation
    test: Evaluation | None = None
    known: tuple[str, ...] = ()
    fallbacks: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds: the parts' metrics, and numbers about data and training."""
        parts = {"validation": self.validation.metrics}
        if self.test is not None:
            parts["test"] = self.test.metrics
        return {
            **parts,
            "training": {
                **training_metrics(self.training, self.parameters),
                "context": self.context,
                "season": self.season,
                "known_to_init": list(self.known),
            },
            "data": {
                "rows": self.data.rows,
                "series": self.data.series,
                "gaps": self.data.gaps,
                "empty": dict(self.data.empty),
                "unknown": dict(self.data.unknown),
                "fallbacks": {kind: list(names) for kind, names in self.fallbacks.items()},
            },
        }

    def plots(self) -> dict[str, Figure]:
        """Draw the errors and a forecast, of the test where there is one, otherwise of the validation."""
        shown = self.test or self.validation
        return {"error_by_horizon": shown.plot_errors(), "forecast": shown.plot_forecast(self.context)}

    def __str__(self) -> str:
        """All of it, as text."""
        part = "the last stretch before the test" if self.test else "the last stretch of the data"
        lines = [
            str(self.data),
            *describe(self.fallbacks),
            f"{outcome(self.training, self.parameters)}; context {self.context}",
            "",
            f"validation ({part}; it chose the weights and the width of the intervals{self._known('validation')})",
            str(self.validation),
        ]
        if self.test is not None:
            lines += ["", f"test (kept from training and validation{self._known('test')})", str(self.test)]
        return "\n".join(lines)

    def _known(self, part: str) -> str:
        """Say where figures are too good because training started from a model that had learnt those rows."""
        return "; init had learnt some of it: the figures are too good" if part in self.known else ""
