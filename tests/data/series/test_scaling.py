import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.data.series.scaling import Standardizer, WindowScale


def windows(seed: int, missing: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    observed = (generator.random((5, 12)) > missing).astype(np.float32)
    target = generator.normal(50, 7, (5, 12)).astype(np.float32) * observed
    return torch.from_numpy(target), torch.from_numpy(observed)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_centred_scale_is_the_mean_and_deviation_of_what_was_observed(seed: int) -> None:
    target, observed = windows(seed)
    scale = WindowScale.of(target, observed)
    for row in range(len(target)):
        known = target[row].numpy()[observed[row].numpy() > 0].astype(np.float64)
        if len(known) < 2:
            continue
        # float32 sums of a dozen values near 50
        assert scale.location[row].item() == pytest.approx(known.mean(), rel=1e-6)
        assert scale.scale[row].item() == pytest.approx(known.std(), rel=1e-4)


def test_ratio_scale_is_the_mean_absolute_value_and_keeps_zero_at_zero() -> None:
    target = torch.tensor([[2.0, 0.0, 4.0]])
    observed = torch.ones(1, 3)
    scale = WindowScale.of(target, observed, location="zero")
    assert (scale.location.item(), scale.scale.item()) == (0.0, 2.0)
    assert scale.apply(target, observed).tolist() == [[1.0, 0.0, 2.0]]


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["zero", "mean", "last"]))
def test_inverting_undoes_scaling(seed: int, location: str) -> None:
    target, observed = windows(seed)
    scale = WindowScale.of(target[:, :8], observed[:, :8], location=location)
    back = scale.invert(scale.apply(target, torch.ones_like(observed)))
    torch.testing.assert_close(back, target, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 5.0, -3e6, 0.1])
def test_a_constant_context_scales_by_its_size(value: float) -> None:
    target = torch.full((1, 100), value)
    scale = WindowScale.of(target, torch.ones(1, 100))
    assert scale.scale.item() == pytest.approx(abs(value) or 1.0)
    assert scale.apply(target, torch.ones(1, 100)).abs().max() < 1e-5


@pytest.mark.parametrize("location", ["zero", "mean", "last"])
def test_nothing_observed_gives_the_identity(location: str) -> None:
    scale = WindowScale.of(torch.zeros(1, 4), torch.zeros(1, 4), location=location)
    assert (scale.location.item(), scale.scale.item()) == (0.0, 1.0)


def test_a_distant_level_does_not_swallow_the_spread() -> None:
    target = 1000 + torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    assert WindowScale.of(target, torch.ones(1, 4)).scale.item() == pytest.approx(0.5)


def test_standardizer_marks_what_is_missing() -> None:
    values = np.array([[1, np.nan], [3, 7], [np.nan, 7]], np.float32)
    standardizer = Standardizer.fit(values)
    assert standardizer.transform(values).tolist() == [[-1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]


def test_standardizer_of_a_column_that_is_missing_throughout() -> None:
    standardizer = Standardizer.fit(np.full((3, 1), np.nan, np.float32))
    assert standardizer == Standardizer((0.0,), (1.0,))


def test_standardizer_without_columns() -> None:
    assert Standardizer.fit(np.empty((3, 0), np.float32)).transform(np.empty((2, 0), np.float32)).shape == (
        2,
        0,
    )


@pytest.mark.parametrize("location", ["mean", "last"])
def test_large_levels_that_vary_little_are_scaled_by_what_they_vary(location):
    values = 3e6 + np.array([[0.0, 2.0, 4.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    target, observed = torch.from_numpy(values).float(), torch.ones(2, 4)
    scale = WindowScale.of(target, observed, location=location)
    assert scale.scale[0, 0].item() == pytest.approx(np.sqrt(2))  # of 0, 2, 4, 2
    assert scale.scale[1, 0].item() == pytest.approx(3e6)  # constant: by its size
    torch.testing.assert_close(scale.invert(scale.apply(target, observed)), target, rtol=0, atol=0.25)


def test_a_counter_far_from_zero():
    counter = 12_345_678 + torch.arange(12.0)[None]
    scale = WindowScale.of(counter, torch.ones(1, 12))
    assert scale.scale.item() == pytest.approx(np.sqrt((12**2 - 1) / 12), rel=1e-3)
