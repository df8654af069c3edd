"""Anomalies: NAB's files, fitted as they are, without labels; windows touched and false alarms counted afterwards.

Nothing here was chosen by these files' labels but for the default rate of false alarms, which is the bound to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastlstm import Detector

Figures = dict[str, float]


def nab(folder: Path, seed: int, *, name: str) -> Figures:
    """One file: the detector with its defaults, beside a rolling z-score at the same rate of false alarms."""
    file, windows = folder / f"{name}.csv", folder / "labels_windows.json"
    model = Detector(seed=seed, progress=False).fit(file, target="value", time="timestamp")
    found = model.evaluate(file, windows=windows).metrics
    own, baseline = found["model"], found["rolling_z_score"]
    return {
        "windows found": own["windows_found"],
        "false alarms a day": own["false_alarms_per_day"],
        "F1 of ranges": own["range_f1"],
        "AUROC": own["auroc"],
        "z-score: windows found": baseline["windows_found"],
        "z-score: false alarms a day": baseline["false_alarms_per_day"],
        "z-score: F1 of ranges": baseline["range_f1"],
        "z-score: AUROC": baseline["auroc"],
    }


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "NAB machine_temperature": (
        lambda folder, seed: nab(folder, seed, name="machine_temperature_system_failure"),
        "4 windows at 0.3 a day, in 120 s",
    ),
    "NAB cpu_utilization": (
        lambda folder, seed: nab(folder, seed, name="cpu_utilization_asg_misconfiguration"),
        "1 window at 0.3 a day",
    ),
    "NAB ec2_request_latency": (
        lambda folder, seed: nab(folder, seed, name="ec2_request_latency_system_failure"),
        "3 windows at 0.3 a day",
    ),
}
