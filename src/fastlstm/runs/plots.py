"""The pictures of a run. Figures are drawn without pyplot: no window, no global state, any thread.

Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from fastlstm.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_AN_INCH = 150
MODEL = "#1f6fb4"
TRUTH = "#2b2b2b"
BASELINES = ("#c8702a", "#8a8a8a", "#5b9a62")


def learning_curve(history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the loss on the training and on the validation part, step by step, and mark the best weights.

    Parameters
    ----------
    history : sequence of mapping
        Entries with ``step``, ``loss`` and ``validation_loss``, and ``member`` where several networks were
        trained: each has curves of its own.

    Examples
    --------
    >>> figure = learning_curve([{"step": 100, "loss": 0.5, "validation_loss": 0.6}])
    >>> figure.axes[0].get_xlabel()
    'training step'
    """
    figure, axes = figure_of(7, 4)
    for member in sorted({entry.get("member", 0) for entry in history}):
        own = [entry for entry in history if entry.get("member", 0) == member]
        steps = [entry["step"] for entry in own]
        labels = ("training", "validation") if member == 0 else (None, None)
        axes.plot(steps, [entry["loss"] for entry in own], color=BASELINES[1], label=labels[0])
        validation = [entry["validation_loss"] for entry in own]
        axes.plot(steps, validation, color=MODEL, marker="o", markersize=3, label=labels[1])
        best = min(own, key=lambda entry: entry["validation_loss"])
        axes.axvline(
            best["step"],
            color=MODEL,
            linestyle=":",
            label=f"best: {best['validation_loss']:.4g} at step {best['step']:g}",
        )
    axes.set(xlabel="training step", ylabel="loss", title="Learning curve")
    if history:
        axes.legend(frameon=False)
    return figure


def forecast_against_truth(
    times: npt.ArrayLike,
    truth: npt.ArrayLike,
    forecast_times: npt.ArrayLike,
    quantiles: Mapping[float, npt.ArrayLike],
    *,
    target: str,
    title: str = "Forecast",
) -> Figure:
    """Draw a forecast with its bands over what came.

    Parameters
    ----------
    times : array
        (N,) times or integers.
    truth : array
        (N,) what came, NaN where missing; may end before the forecast does.
    forecast_times : array
        (L,) the times that are forecast.
    quantiles : mapping
        Quantile → (L,) forecast; pairs that lie evenly about the median become bands.
    target : str
        The target's name.
    title : str
        The heading.

    Examples
    --------
    >>> quantiles = {0.1: [4, 4], 0.5: [6, 7], 0.9: [8, 9]}
    >>> figure = forecast_against_truth([0, 1], [5, 6], [2, 3], quantiles, target="y")
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['observed', '80 % interval', 'forecast']
    """
    figure, axes = figure_of(10, 4)
    axes.plot(np.asarray(times), np.asarray(truth), color=TRUTH, linewidth=1, label="observed")
    ordered = sorted(quantiles)
    for low, high in zip(ordered, reversed(ordered), strict=True):
        if low < high:
            label = f"{100 * (high - low):.3g} % interval"
            edges = np.asarray(quantiles[low]), np.asarray(quantiles[high])
            axes.fill_between(
                np.asarray(forecast_times), *edges, color=MODEL, alpha=0.2, linewidth=0, label=label
            )
    median = min(ordered, key=lambda quantile: abs(quantile - 0.5))
    axes.plot(
        np.asarray(forecast_times),
        np.asarray(quantiles[median]),
        color=MODEL,
        linewidth=1.5,
        label="forecast",
    )
    axes.set(ylabel=target, title=title)
    axes.legend(frameon=False, ncols=4)
    if np.asarray(forecast_times).dtype.kind == "M":
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return figure


def error_by_horizon(errors: Mapping[str, npt.ArrayLike]) -> Figure:
    """Draw the mean absolute error at every step ahead, beside those of the naive forecasts.

    Parameters
    ----------
    errors : mapping
        Name → (L,) error; the first is the model's.

    Examples
    --------
    >>> error_by_horizon({"fastlstm": [1, 2], "seasonal naive": [2, 3]}).axes[0].get_ylabel()
    'MAE'
    """
    figure, axes = figure_of(7, 4)
    for index, (name, error) in enumerate(errors.items()):
        values = np.asarray(error)
        colour = MODEL if index == 0 else BASELINES[(index - 1) % len(BASELINES)]
        axes.plot(
            range(1, len(values) + 1), values, color=colour, linewidth=1.8 if index == 0 else 1, label=name
        )
    axes.set(xlabel="steps ahead", ylabel="MAE", title="Error by horizon")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def write_figure(figure: Figure, path: str | Path | None) -> Figure:
    """Write a figure where a path is given, and return it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : str or Path, optional
        A file; its suffix says which kind of picture. Without one nothing is written.

    Raises
    ------
    InputError
        If the folder is not there, or the suffix is that of no picture.
    """
    if path is None:
        return figure
    path, kinds = Path(path), figure.canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        found = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise InputError(
            f"{path} {found}, which says no kind of picture: give one of .{', .'.join(sorted(kinds))}"
        )
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist; make it, or name another place")
    save_figure(figure, path, path.suffix.removeprefix("."))
    return figure


def save_figure(figure: Figure, target: Path | BinaryIO, kind: str) -> None:
    """Save a figure, without a word on scripts that matplotlib's font lacks and draws as boxes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    target : Path or file
        Where to.
    kind : str
        What picture, as matplotlib calls it: "png".
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(target, format=kind, dpi=DOTS_AN_INCH)


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """Begin a figure with one pair of axes, as all of them look.

    Parameters
    ----------
    width, height : float
        In inches.
    """
    from matplotlib.figure import Figure  # deferred: it takes a while to import

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
