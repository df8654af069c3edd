"""The progress of training, on stderr, where that is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A bar with the loss, the best validation loss, the throughput and the time left.

    Parameters
    ----------
    steps : int
        The most steps that training takes.
    shown : bool
        False shows nothing; nor is anything shown where stderr is not a terminal.
    unit : str
        What the throughput counts.

    Examples
    --------
    >>> with TrainingProgress(steps=10, shown=False) as progress:
    ...     progress.update(5, loss=0.3, best=0.4, rate=100.0)
    """

    def __init__(self, steps: int, *, shown: bool = True, unit: str = "steps") -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(
                "loss {task.fields[loss]}  best {task.fields[best]}  {task.fields[rate]} " + unit + "/s"
            ),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._bar = self._progress.add_task("training", total=steps, loss="-", best="-", rate="-")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, step: int, *, loss: float, best: float, rate: float) -> None:
        """Show how far training is.

        Parameters
        ----------
        step : int
            Steps done.
        loss : float
            The mean training loss of the last steps.
        best : float
            The lowest validation loss so far.
        rate : float
            The throughput, a second.
        """
        self._progress.update(
            self._bar, completed=step, loss=f"{loss:.4f}", best=f"{best:.4f}", rate=f"{rate:,.0f}"
        )
