import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error as reference_mae
from sklearn.metrics import mean_pinball_loss as reference_pinball
from sklearn.metrics import mean_squared_error as reference_mse

from fastlstm.training import metrics

generator = np.random.default_rng(0)
TRUTH = generator.normal(10, 3, (6, 5))
FORECASTS = np.sort(TRUTH[..., None] + generator.normal(0, 2, (6, 5, 3)), axis=-1)
QUANTILES = [0.1, 0.5, 0.9]
MISSING = generator.random((6, 5)) > 0.7
WITH_GAPS = np.where(MISSING, np.nan, TRUTH)


def test_errors_agree_with_scikit_learn_on_what_was_observed() -> None:
    found = metrics.forecast_metrics(WITH_GAPS, FORECASTS, QUANTILES, np.ones(6))
    truth, point = TRUTH[~MISSING], FORECASTS[..., 1][~MISSING]
    assert found["mae"] == pytest.approx(reference_mae(truth, point))
    assert found["mse"] == pytest.approx(reference_mse(truth, point))
    assert found["rmse"] == pytest.approx(math.sqrt(reference_mse(truth, point)))
    pinball = [
        reference_pinball(truth, FORECASTS[..., place][~MISSING], alpha=level)
        for place, level in enumerate(QUANTILES)
    ]
    assert found["quantile_loss"] == pytest.approx(np.mean(pinball))
    assert tuple(found) == metrics.METRICS


def test_mase_of_seasonal_naive_in_sample_is_one() -> None:
    history = generator.normal(size=48).cumsum()
    season = 12
    scale = metrics.seasonal_scale(history, season)
    truth, forecast = history[None, season:], history[None, :-season]
    found = metrics.scaled(metrics.absolute_error(truth, forecast), np.array([scale]))
    assert found.mean() == pytest.approx(1)


def test_mase_scales_each_window_by_its_own_series_and_skips_the_constant_ones() -> None:
    truth, forecast = np.zeros((3, 2)), np.array([[2.0, 2.0], [30.0, 30.0], [1.0, 1.0]])
    found = metrics.forecast_metrics(truth, forecast[..., None], [0.5], np.array([2.0, 10.0, 0.0]))
    assert found["mase"] == pytest.approx(2)


def test_smape_lies_between_0_and_200() -> None:
    found = metrics.symmetric_percentage_error(np.array([[1.0, 0.0, 5.0]]), np.array([[-1.0, 0.0, 5.0]]))
    assert found.tolist() == [[200, 0, 0]]


def test_smape_of_a_missing_truth_counts_nowhere() -> None:
    truth, forecasts = np.array([[np.nan, 1.0]]), np.array([[[0.0], [3.0]]])
    assert metrics.forecast_metrics(truth, forecasts, [0.5], np.ones(1))["smape"] == 100


def test_coverage_counts_the_edges_in() -> None:
    truth = np.array([[1.0, 2.0, 3.0, np.nan]])
    lower, upper = np.array([[1.0, 0.0, 4.0, 0.0]]), np.array([[1.0, 1.0, 5.0, 1.0]])
    assert np.nanmean(metrics.covered(truth, lower, upper)) == pytest.approx(1 / 3)


def test_nothing_observed_is_nan_and_no_warning() -> None:
    found = metrics.forecast_metrics(np.full((2, 5), np.nan), FORECASTS[:2], QUANTILES, np.ones(2))
    assert all(math.isnan(value) for value in found.values())


def test_seasonal_scale_passes_over_gaps() -> None:
    history = np.array([1.0, 5.0, np.nan, 8.0, 4.0, 9.0])
    assert metrics.seasonal_scale(history, 2) == pytest.approx((3 + 1) / 2)  # 8 - 5 and 9 - 8
    assert math.isnan(metrics.seasonal_scale(history, 6))


@pytest.mark.parametrize("groups", [np.array([0, 1, 0, 2, 2, 4])[:, None], np.array([[0, 0, 1, 3, 1]])])
def test_groups_have_the_errors_of_their_own_windows_and_steps(groups):
    scale = np.array([1.0, 2.0, 0.0, 4.0, np.nan, 3.0])
    found = metrics.metrics_by_group(WITH_GAPS, FORECASTS, QUANTILES, scale, groups, 5)
    assert tuple(found) == metrics.METRICS
    for group in range(5):
        of_group = np.where(np.broadcast_to(groups, TRUTH.shape) == group, WITH_GAPS, np.nan)
        alone = metrics.forecast_metrics(of_group, FORECASTS, QUANTILES, scale)
        for name, value in alone.items():
            assert found[name][group] == pytest.approx(value, nan_ok=True), (group, name)
