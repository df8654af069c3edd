"""``python -m benchmarks.accuracy [NAME …]``: run the protocols whose names begin so, all by default."""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

from benchmarks.accuracy import classify, detect, forecast, generate, transcribe, translate
from benchmarks.measure import machine

# folder of the data: what is run on it
TASKS = {
    "forecast": forecast.PROTOCOLS,
    "classify": classify.PROTOCOLS,
    "detect": detect.PROTOCOLS,
    "text": generate.PROTOCOLS | translate.PROTOCOLS,
    "speech": transcribe.PROTOCOLS,
}


def main() -> None:
    """Print a table: mean and spread over the seeds, wall time of fit and test together."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of protocol names")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FASTLSTM_DATA", "../shared/data"))
    if not folder.is_dir():
        parser.error(f"{folder} is no folder: set FASTLSTM_DATA to where the data lie")
    warnings.filterwarnings("ignore", category=UserWarning)
    print(f"{machine()}; seeds 0 … {arguments.seeds - 1}")
    print(f"{'':28}{'figure':28}{'mean':>9}{'lowest':>9}{'highest':>9}{'seconds':>9}   to reach")
    protocols = [(task, name, *what) for task, known in TASKS.items() for name, what in known.items()]
    for task, name, run, goal in protocols:
        if arguments.names and not any(name.startswith(wanted) for wanted in arguments.names):
            continue
        found, seconds = [], []
        for seed in range(arguments.seeds):
            started = time.perf_counter()
            found.append(run(folder / task, seed))
            seconds.append(time.perf_counter() - started)
        for place, figure in enumerate(found[0]):
            values = [figures[figure] for figures in found]
            line = (
                f"{name if not place else '':28}{figure:28}{statistics.mean(values):9.4g}{min(values):9.4g}"
            )
            line += f"{max(values):9.4g}"
            if not place:
                line += f"{statistics.mean(seconds):9.0f}   {goal}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
