from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pytest

from fastlstm.tasks.forecast import Forecaster

HOUR = np.timedelta64(1, "h")
ROLES = {
    "target": "sales",
    "time": "hour",
    "series": "shop",
    "past_covariates": ["sky"],
    "future_covariates": ["push"],
    "static_covariates": ["size"],
}


def hourly(names: str = "ab", days: int = 16, *, seed: int = 0, start: str = "2024-01-01") -> pl.DataFrame:
    """Shops of different size, with a daily shape that a covariate pushes up."""
    generator = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    frames = []
    for place, name in enumerate(names):
        push = generator.choice([0.0, 1.0], len(hours))
        shape = 2 + np.sin(2 * np.pi * hours / 24) + push
        frames.append(
            pl.DataFrame(
                {
                    "shop": [name] * len(hours),
                    "hour": (np.datetime64(start, "us") + hours * HOUR).astype("datetime64[us]"),
                    "sales": 10.0 * (place + 1) * shape + generator.normal(0, 0.5, len(hours)),
                    "push": push,
                    "sky": generator.choice(["clear", "rain"], len(hours)),
                    "size": [float(place)] * len(hours),
                }
            )
        )
    return pl.concat(frames)


def small(horizon: int = 6, context: int | None = 24, **parameters: Any) -> Forecaster:
    """A forecaster that learns in a moment."""
    quick = {"hidden_size": 16, "max_steps": 60, "batch_size": 16, "learning_rate": 0.01, "progress": False}
    return Forecaster(horizon, context, **(quick | parameters))


def interrupt_at(monkeypatch: pytest.MonkeyPatch, learning: type, batch: int) -> None:
    """Press Ctrl-C when a batch is drawn, counted from 1 over all trainings."""
    draw, calls = learning.draw, count(1)

    def interrupted(self: Any, generator: Any) -> Any:
        if next(calls) == batch:
            raise KeyboardInterrupt
        return draw(self, generator)

    monkeypatch.setattr(learning, "draw", interrupted)


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    """The last six hours are the known future: without sales."""
    frame = hourly()
    future = pl.col("hour") >= frame["hour"].max() - pl.duration(hours=5)
    return frame.with_columns(sales=pl.when(future).then(None).otherwise(pl.col("sales")))


@pytest.fixture(scope="session")
def fitted(table: pl.DataFrame) -> Forecaster:
    """A forecaster of the table, trained longer than most; tests leave it as it is."""
    return small(max_steps=300, test_windows=2).fit(table, **ROLES)
