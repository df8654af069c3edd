"""Time a whole training step of forecasters: fastlstm, a bare torch loop, Darts and NeuralForecast.

Every side does its own training step (batch, scaling, network, loss, backward, clipping, update) at the same
sizes: batch 32, context 96, horizon 24, one LSTM layer of 64 hidden units, one series without covariates. The
sides take turns in one process; a step's time is the difference between a long and a short training, so that
what each does before and after its steps does not count. Darts and NeuralForecast are timed where they are
installed.

    python -m benchmarks.forecast_step [--rounds 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import polars as pl
import torch
from torch import nn

from benchmarks.measure import machine

BATCH, CONTEXT, HORIZON, HIDDEN, LENGTH = 32, 96, 24, 64, 5000
SHORT, LONG = 50, 250  # steps

Train = Callable[[int], None]  # takes so many training steps


def sample() -> np.ndarray:
    steps = np.arange(LENGTH)
    noise = np.random.default_rng(0).normal(0, 0.1, LENGTH)
    return (2 + np.sin(2 * np.pi * steps / 24) + noise).astype(np.float32)


def fastlstm_side() -> Train:
    from fastlstm.data.series.reading import read_series
    from fastlstm.data.series.schema import Columns
    from fastlstm.tasks.forecast import Forecaster
    from fastlstm.tasks.forecast.fitting import prepare
    from fastlstm.tasks.forecast.settings import Parameters
    from fastlstm.training.loop import LoopSettings, make_accelerator, train

    series = read_series(pl.DataFrame({"y": sample()}), Columns(target=("y",)))
    forecaster = Forecaster(
        HORIZON, CONTEXT, hidden_size=HIDDEN, batch_size=BATCH, dropout=0.0, progress=False
    )
    accelerator = make_accelerator("cpu")
    learner = prepare(
        Parameters.check(forecaster.get_params()), series, 1, accelerator.device
    ).learning.learner(0)

    def run(steps: int) -> None:
        settings = LoopSettings(
            steps, learning_rate=1e-3, validate_every=steps + 1, patience=1, progress=False
        )
        train(learner, settings, accelerator)

    return run


def torch_side() -> Train:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(1, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, HORIZON)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(inputs)[0][:, -1])

    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    windows = torch.from_numpy(sample()).unfold(0, CONTEXT + HORIZON, 1)

    def run(steps: int) -> None:
        for _ in range(steps):
            batch = windows[torch.randint(len(windows), (BATCH,))]
            loss = nn.functional.l1_loss(network(batch[:, :CONTEXT, None]), batch[:, CONTEXT:])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    return run


def darts_side() -> Train:
    from darts import TimeSeries
    from darts.models import BlockRNNModel

    series = TimeSeries.from_values(sample())

    def run(steps: int) -> None:
        model = BlockRNNModel(
            CONTEXT,
            HORIZON,
            model="LSTM",
            hidden_dim=HIDDEN,
            n_rnn_layers=1,
            batch_size=BATCH,
            pl_trainer_kwargs=quiet_trainer() | {"max_steps": steps, "gradient_clip_val": 1.0},
        )
        model.fit(series, epochs=1000)

    return run


def neuralforecast_side() -> Train:
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    frame = pl.DataFrame({"unique_id": ["a"] * LENGTH, "ds": np.arange(LENGTH), "y": sample()})

    def run(steps: int) -> None:
        model = LSTM(
            h=HORIZON,
            input_size=CONTEXT,
            encoder_hidden_size=HIDDEN,
            encoder_n_layers=1,
            batch_size=1,
            windows_batch_size=BATCH,
            max_steps=steps,
            val_check_steps=10**6,
            gradient_clip_val=1.0,
            **quiet_trainer(),
        )
        NeuralForecast([model], freq=1).fit(frame)

    return run


def quiet_trainer() -> dict[str, object]:
    return {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }


SIDES = {
    "fastlstm": ("fastlstm", fastlstm_side),
    "torch.nn.LSTM, a bare loop": ("torch", torch_side),
    "Darts BlockRNNModel": ("darts", darts_side),
    "NeuralForecast LSTM": ("neuralforecast", neuralforecast_side),
}


def milliseconds_a_step(train: Train) -> float:
    seconds = []
    for steps in (SHORT, LONG):
        started = time.perf_counter()
        train(steps)
        seconds.append(time.perf_counter() - started)
    return 1000 * (seconds[1] - seconds[0]) / (LONG - SHORT)


def installed() -> Iterator[tuple[str, str, Train]]:
    for label, (package, side) in SIDES.items():
        if find_spec(package) is None:
            print(f"{label}: not installed")
        else:
            yield label, package, side()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often the sides take turns")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning", "pytorch_lightning", "lightning.pytorch", "darts", "neuralforecast"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(given.threads)
    sides = list(installed())
    times: dict[str, list[float]] = {label: [] for label, _, _ in sides}
    for turn in range(given.rounds + 1):
        for label, _, train in sides:
            taken = milliseconds_a_step(train)
            if turn:  # the first turn warms up
                times[label].append(taken)
    ours = statistics.median(times["fastlstm"])
    print(f"batch {BATCH}, context {CONTEXT}, horizon {HORIZON}, hidden {HIDDEN}, one layer, one series")
    print(f"{machine()}\n")
    print(f"{'':28}{'version':>12}{'ms a step':>12}{'times fastlstm':>16}")
    for label, package, _ in sides:
        median = statistics.median(times[label])
        print(f"{label:28}{import_module(package).__version__:>12}{median:>12.2f}{median / ours:>16.2f}")


if __name__ == "__main__":
    main()
