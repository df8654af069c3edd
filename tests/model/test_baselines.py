import numpy as np
import pytest

from fastlstm.model.baselines import naive, residual_spread, seasonal_naive


def test_each_window_stays_within_its_series() -> None:
    target = np.array([1.0, 2.0, 3.0, 10.0, 20.0])  # two series
    starts, origins = np.array([0, 3]), np.array([3, 4])
    spread = np.zeros(2)
    assert naive(target, starts, origins, 2, [0.5], spread)[..., 0].tolist() == [[3, 3], [10, 10]]
    # The second has no season before its origin and falls back on its last value, not on the first series.
    seasonal = seasonal_naive(target, starts, origins, 2, [0.5], spread, season=2)[..., 0]
    assert seasonal.tolist() == [[2, 3], [10, 10]]


def test_seasonal_naive_goes_back_to_the_last_season_that_was_observed() -> None:
    target = np.array([1.0, 2.0, 3.0, np.nan, 5.0, np.nan])
    found = seasonal_naive(target, np.array([0]), np.array([6]), 4, [0.5], np.zeros(1), season=2)
    assert found[0, :, 0].tolist() == [5, 2, 5, 2]


def test_nothing_observed_gives_nan() -> None:
    target = np.array([np.nan, np.nan, 3.0])
    for season in (1, 2):
        found = seasonal_naive(target, np.array([0]), np.array([2]), 1, [0.5], np.zeros(1), season)
        assert np.isnan(found).all()


def test_intervals_widen_as_fpp3_says() -> None:
    target = np.arange(8.0)
    starts, origins, spread = np.array([0]), np.array([8]), np.array([2.0])
    widths = np.diff(naive(target, starts, origins, 4, [0.1, 0.9], spread), axis=-1)[0, :, 0]
    assert widths == pytest.approx(2 * 1.2815515655 * 2 * np.sqrt([1, 2, 3, 4]))
    widths = np.diff(seasonal_naive(target, starts, origins, 4, [0.1, 0.9], spread, 2), axis=-1)[0, :, 0]
    assert widths == pytest.approx(2 * 1.2815515655 * 2 * np.sqrt([1, 1, 2, 2]))


def test_intervals_of_a_random_walk_cover_what_they_say() -> None:
    generator = np.random.default_rng(0)
    walks = generator.normal(size=(2000, 60)).cumsum(axis=1)
    starts = np.arange(2000) * 60
    spread = np.array([residual_spread(walk[:50], 1) for walk in walks])
    forecast = naive(walks.ravel(), starts, starts + 50, 10, [0.1, 0.5, 0.9], spread)
    inside = (walks[:, 50:] >= forecast[..., 0]) & (walks[:, 50:] <= forecast[..., 2])
    # 2000 walks: three standard errors of a share of 0.8 are 0.027; the spread is itself estimated
    assert inside.mean(axis=0) == pytest.approx(np.full(10, 0.8), abs=0.03)
