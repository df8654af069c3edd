"""Pictures of a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlstm.runs.plots import BASELINES, MODEL, TRUTH
from fastlstm.tasks.detect.judging import Verdicts
from fastlstm.tasks.detect.reading import DetectionTable
from fastlstm.tasks.detect.stretches import stretches
from fastlstm.wording import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CHANNELS = 6
MOST_POINTS = 20_000


def draw_scores(table: DetectionTable, verdicts: Verdicts, threshold: float) -> Figure:
    """Draw the first series' channels, its scores with the threshold, and the alarms over all.

    Parameters
    ----------
    table : DetectionTable
        The rows.
    verdicts : Verdicts
        Of the rows.
    threshold : float
        The score from which on a row is anomalous.
    """
    from matplotlib.figure import Figure  # deferred: it takes a while to import

    order = table.in_time
    order = order[table.codes[order] == 0]
    series = table.series
    times = series.axis.as_stamps(series.axis.ticks_at(0, table.places[order])).to_numpy()
    names = series.schema.columns.target[:MOST_CHANNELS]
    figure = Figure(figsize=(11, 2 + 1.6 * (len(names) + 1)), layout="constrained")
    panels = figure.subplots(len(names) + 1, sharex=True)
    # Of long series every so many rows are drawn: of the scores the highest of those.
    every = max(1, len(order) // MOST_POINTS)
    for panel, (place, name) in zip(panels, enumerate(names), strict=False):
        panel.plot(times[::every], table.values[order[::every], place], color=TRUTH, linewidth=0.8)
        panel.set_ylabel(name)
    score = np.nan_to_num(verdicts.score[order])
    highest = np.maximum.reduceat(score, np.arange(0, len(score), every))
    panels[-1].plot(times[::every], highest, color=MODEL, linewidth=0.8)
    panels[-1].axhline(
        threshold, color=BASELINES[0], linestyle="--", linewidth=1, label=f"alarm from {threshold:.2f}"
    )
    panels[-1].set_ylabel("score")
    panels[-1].legend(frameon=False, loc="upper left")
    alarms = stretches(verdicts.anomalous[order], np.zeros(len(order), np.int64))
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        for alarm in alarms:
            panel.axvspan(
                times[alarm.first], times[alarm.end - 1], color=BASELINES[0], alpha=0.25, linewidth=0
            )
    whose = "" if series.names[0] is None else f" of {series.names[0]}"
    panels[0].set_title(f"{many(len(alarms), 'alarm')}{whose}")
    return figure
