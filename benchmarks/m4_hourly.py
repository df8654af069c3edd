"""Time to accuracy on M4 hourly, 48 hours ahead: fastlstm beside NeuralForecast's LSTM.

Each side reads the file, fits and forecasts; that is its time. NeuralForecast trains as it does by default (1000 steps)
with an LSTM of 64 hidden units, batches of 128 windows and a context of 168, where it is installed. fastlstm has its
defaults, and once a tenth of NeuralForecast's steps: how soon it is more exact is the question. Errors are the
competition's sMAPE on its test part. The sides take turns in one process.

    python -m benchmarks.m4_hourly [--threads 1] [--seeds 3]
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import torch

from benchmarks.forecast_step import quiet_trainer
from benchmarks.measure import machine
from fastlstm import Forecaster

HORIZON, CONTEXT, HIDDEN, WINDOWS = 48, 168, 64, 128
STEPS, FEW = 1000, 100
SHARE = 0.2  # of NeuralForecast's time, in which its accuracy is to be passed

Side = Callable[[Path, int], pl.DataFrame]  # file and seed → unique_id, ds, forecast


def fastlstm_side(steps: int | None = None) -> Side:
    """Fit with the defaults, or for so many steps."""

    def run(train: Path, seed: int) -> pl.DataFrame:
        model = Forecaster(HORIZON, max_steps=steps, seed=seed, progress=False).fit(train)
        return columns_of(model.predict(), "y")

    return run


def neuralforecast_side(train: Path, seed: int) -> pl.DataFrame:
    """Fit NeuralForecast's LSTM."""
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    model = LSTM(
        h=HORIZON,
        input_size=CONTEXT,
        encoder_hidden_size=HIDDEN,
        windows_batch_size=WINDOWS,
        max_steps=STEPS,
        val_check_steps=10**6,
        random_seed=seed,
        **quiet_trainer(),
    )
    fitted = NeuralForecast([model], freq=1)
    fitted.fit(pl.read_csv(train, infer_schema_length=None))
    return columns_of(fitted.predict(), "LSTM")


SIDES: dict[str, tuple[str, Side]] = {
    f"NeuralForecast LSTM, {STEPS} steps": ("neuralforecast", neuralforecast_side),
    f"fastlstm, {FEW} steps": ("fastlstm", fastlstm_side(FEW)),
    "fastlstm, defaults": ("fastlstm", fastlstm_side()),
}


def columns_of(forecast: Any, name: str) -> pl.DataFrame:
    """Return series, time and forecast of a frame of any kind."""
    return nw.from_native(forecast).to_polars().select("unique_id", "ds", forecast=name)


def smape(forecast: pl.DataFrame, truth: pl.DataFrame) -> float:
    """Return the competition's sMAPE; every true value must have its forecast."""
    both = truth.join(forecast, on=["unique_id", "ds"], validate="1:1")
    assert len(both) == len(truth)
    y, found = both["y"].to_numpy(), both["forecast"].to_numpy()
    return float((200 * abs(y - found) / (abs(y) + abs(found))).mean())


def main() -> None:
    """Let the sides take turns, seed by seed, and print medians of the seconds and means of the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = Path(os.environ.get("FASTLSTM_DATA", "../shared/data")) / "forecast"
    if not folder.is_dir():
        parser.error(f"{folder} is no folder: set FASTLSTM_DATA to where the data lie")
    warnings.simplefilter("ignore")
    for name in ("lightning", "pytorch_lightning", "lightning.pytorch", "neuralforecast"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(given.threads)
    truth = pl.read_csv(folder / "m4_hourly_test.csv.gz", infer_schema_length=None)
    found: dict[str, list[tuple[float, float]]] = {}
    for label, (package, _) in SIDES.items():
        if find_spec(package) is None:
            print(f"{label}: not installed")
        else:
            found[label] = []
    for seed in range(given.seeds):
        for label, runs in found.items():
            started = time.perf_counter()
            forecast = SIDES[label][1](folder / "m4_hourly_train.csv.gz", seed)
            runs.append((time.perf_counter() - started, smape(forecast, truth)))
    print(f"M4 hourly, {HORIZON} hours ahead; {machine()}; seeds 0 … {given.seeds - 1}\n")
    print(f"{'':34}{'version':>10}{'seconds':>10}{'sMAPE':>8}{'lowest':>8}{'highest':>8}")
    for label, runs in found.items():
        version = import_module(SIDES[label][0]).__version__
        errors = [error for _, error in runs]
        line = f"{label:34}{version:>10}{statistics.median(seconds for seconds, _ in runs):>10.1f}"
        print(f"{line}{statistics.mean(errors):>8.2f}{min(errors):>8.2f}{max(errors):>8.2f}")
    rival = next(iter(SIDES))
    if rival in found:
        limit = statistics.median(seconds for seconds, _ in found[rival])
        quick = statistics.median(seconds for seconds, _ in found[f"fastlstm, {FEW} steps"])
        print(f"\n{FEW} steps of fastlstm take {quick / limit:.2f} of its time ({SHARE} asked)")


if __name__ == "__main__":
    main()
