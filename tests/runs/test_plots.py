"""Pictures show what they are given."""

import numpy as np
import pytest

from fastlstm.errors import InputError
from fastlstm.runs.attention_plot import attention_weights
from fastlstm.runs.folder import _to_png
from fastlstm.runs.plots import error_by_horizon, forecast_against_truth, learning_curve, write_figure


def test_the_best_validation_is_marked():
    losses = [0.9, 0.4, 0.6]
    history = [{"step": 10 * (i + 1), "loss": 1.0, "validation_loss": loss} for i, loss in enumerate(losses)]
    axes = learning_curve(history).axes[0]
    assert [line.get_label() for line in axes.lines] == ["training", "validation", "best: 0.4 at step 20"]
    assert list(axes.lines[1].get_ydata()) == losses


def test_bands_lie_between_paired_quantiles(tmp_path):
    times = np.arange("2024-01-01", "2024-01-05", dtype="M8[D]")
    quantiles = {level: np.full(2, 10 * level) for level in (0.05, 0.1, 0.5, 0.9, 0.95)}
    figure = forecast_against_truth(
        times[:2], [5, np.nan], times[2:], quantiles, target="rentals", title="Shop 1"
    )
    axes = figure.axes[0]
    assert [band.get_label() for band in axes.collections] == ["90 % interval", "80 % interval"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [5, 5])
    assert (axes.get_ylabel(), axes.get_title()) == ("rentals", "Shop 1")
    figure.savefig(tmp_path / "forecast.png")


def test_a_picture_goes_where_it_can_be_one(tmp_path):
    figure = error_by_horizon({"LSTM": [1, 2, 3]})
    assert write_figure(figure, None) is figure
    write_figure(figure, tmp_path / "error.SVG")
    assert b"<svg" in (tmp_path / "error.SVG").read_bytes()
    with pytest.raises(
        InputError, match=r"error\.xyz ends in '\.xyz', which says no kind of picture: .*\.png"
    ):
        write_figure(figure, tmp_path / "error.xyz")
    with pytest.raises(InputError, match="error has no suffix"):
        write_figure(figure, tmp_path / "error")
    with pytest.raises(InputError, match="its folder does not exist"):
        write_figure(figure, tmp_path / "nowhere" / "error.png")


def test_every_step_ahead_has_its_error():
    axes = error_by_horizon({"LSTM": [1, 2, 3], "naive": [2, 3, 4]}).axes[0]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert [line.get_label() for line in axes.lines] == ["LSTM", "naive"]


def test_a_script_that_the_font_lacks_is_drawn_without_a_warning():
    figure = attention_weights([[0.9]], ["ka"], ["か"])
    assert _to_png(figure).startswith(b"\x89PNG")
