"""What every benchmark needs: turns, medians, and the name of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import fastlstm


def medians(sides: dict[str, Callable[[], object]], seconds: float = 2.0, least: int = 7) -> dict[str, float]:
    """Median seconds of each side, all sides in turn, for about ``seconds`` in all."""
    for side in sides.values():
        side()
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(next(iter(times.values()))) < least:
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> str:
    """One line on where and with what a benchmark ran."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, fastlstm {fastlstm.__version__}"
    )
