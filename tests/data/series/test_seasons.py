"""Seasons that series show by themselves."""

import numpy as np
import polars as pl
import pytest

from fastlstm.data import Columns, read_series
from fastlstm.data.series.seasons import LONGEST, find_seasons, seasons_of


def wave(steps: int, period: float, size: float = 1.0) -> np.ndarray:
    return size * np.sin(2 * np.pi * np.arange(steps) / period)


def noise(steps: int, size: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, steps)


def airline(steps: int = 144) -> np.ndarray:
    """Twelve months that grow with a level that grows, as airline passengers do."""
    months = np.arange(steps)
    shape = np.array([0.9, 0.88, 1.0, 0.98, 0.98, 1.1, 1.22, 1.22, 1.05, 0.92, 0.8, 0.9])
    return (100 + 2.7 * months) * shape[months % 12] * np.exp(noise(steps, 0.03))


def sunspots(cycles: int = 20) -> np.ndarray:
    """Months of a cycle of eleven years, none of which is as long or as high as another."""
    generator = np.random.default_rng(0)
    parts = [
        size * np.sin(np.pi * np.arange(length) / length) ** 2
        for length, size in zip(
            generator.normal(132, 9, cycles).round().astype(int),
            generator.uniform(80, 150, cycles),
            strict=True,
        )
    ]
    return np.maximum(np.concatenate(parts) + noise(sum(map(len, parts)), 15), 0)


def found(*histories: np.ndarray) -> tuple[int, ...]:
    return find_seasons([np.asarray(history, np.float32) for history in histories])


def test_a_year_of_months_under_a_trend() -> None:
    assert found(airline()) == (12,)


@pytest.mark.parametrize("period", [2, 5, 24, 96])
def test_a_wave_in_noise(period: int) -> None:
    shape = np.random.default_rng(2).normal(size=period)  # of any form
    assert found(np.resize(shape, 20 * period) + noise(20 * period, 0.5)) == (period,)


def test_a_week_beside_a_day() -> None:
    hours = np.arange(24 * 7 * 8)
    load = wave(len(hours), 24) + 0.8 * (hours % 168 < 120) + noise(len(hours), 0.2)
    assert found(load) == (24, 168)
    assert found(wave(len(hours), 24) + noise(len(hours), 0.2)) == (
        24,
    )  # seven days are no season of their own


def test_a_long_cycle_that_is_none_exactly() -> None:
    (season,) = found(sunspots())
    assert season == pytest.approx(132, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_what_has_no_season_shows_none(seed: int) -> None:
    white = noise(600, 1.0, seed)
    assert found(white) == ()
    assert found(white.cumsum()) == ()  # a walk's level comes back by chance
    assert found(white + 0.1 * np.arange(600)) == ()
    assert found(np.full(600, 7.0)) == ()
    assert found(np.arange(600.0)) == ()


@pytest.mark.parametrize("level", [1e6, 1e7, 1e8])
def test_a_season_is_seen_on_a_high_level(level: float) -> None:
    """Where float32 holds the values coarsely, and as long as it holds more than one."""
    assert found(level + 10 * wave(400, 24) + noise(400, 1.0)) == (24,)
    assert found(np.full(400, level + 0.3)) == ()


def test_missing_values_are_left_out() -> None:
    passengers = airline()
    generator = np.random.default_rng(3)
    hours = np.arange(24 * 7 * 8)
    load = wave(len(hours), 24) + 0.8 * (hours % 168 < 120) + noise(len(hours), 0.3)
    load[generator.random(len(hours)) < 0.25] = np.nan
    assert found(load) == (24, 168)  # not two weeks, nor 23 hours, where chance left more pairs
    passengers[generator.random(144) < 0.25] = np.nan
    passengers[:5] = np.nan
    assert found(passengers) == (12,)
    passengers[generator.random(144) < 0.5] = np.nan  # two thirds are gone
    assert found(passengers) == ()
    assert found(np.full(144, np.nan)) == ()


def test_a_season_is_seen_three_times() -> None:
    assert found(wave(39, 12)) == (12,)
    assert found(wave(35, 12)) == ()
    assert found(np.zeros(0)) == found(np.ones(1)) == found(np.array([1.0, 2.0, 1.0])) == ()
    assert found() == ()


def test_what_is_longer_than_is_looked_for_is_not_found() -> None:
    assert found(wave(10 * LONGEST, 1.3 * LONGEST)) == ()


def test_series_are_looked_at_together() -> None:
    """Each shows its season dimly, and few are long enough to show a longer one."""
    many = [wave(60, 6, 1.2) + noise(60, 1.0, seed) for seed in range(30)]
    assert found(*many) == (6,)
    assert found(*many, wave(3000, 250, 5.0)) == (6,)
    assert found(*many, np.full(60, 3.0), np.zeros(2)) == (6,)


def test_a_calendar_knows_better() -> None:
    table = pl.DataFrame({"t": range(200), "y": wave(200, 9)})
    counted = read_series(table, Columns(target=("y",), time="t"))
    assert seasons_of(counted, counted.last_observed) == (9,)
    assert seasons_of(counted, np.array([20])) == ()  # what comes later is not looked at
    hours = np.datetime64("2024-01-01", "us") + np.arange(200) * np.timedelta64(1, "h")
    dated = read_series(table.with_columns(t=hours), Columns(target=("y",), time="t"))
    assert seasons_of(dated, dated.last_observed) == (24, 168)
