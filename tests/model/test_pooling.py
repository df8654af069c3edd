"""Pooling against a loop over sequences and steps."""

import math

import pytest
import torch
from torch import Tensor

from fastlstm.model.pooling import Pooling

LENGTHS = [4, 1, 3]
H = 6


def outputs_and_steps() -> tuple[Tensor, Tensor]:
    steps = (torch.arange(4) < torch.tensor(LENGTHS)[:, None]).float()
    return torch.randn(3, 4, H) * steps[..., None], steps


@pytest.mark.parametrize("both", [False, True], ids=["forwards", "both ways"])
def test_the_last_step_is_that_of_each_sequence_and_the_first_of_the_way_back(both: bool) -> None:
    outputs, steps = outputs_and_steps()
    pooled = Pooling("last", H, bidirectional=both)(outputs, steps)
    for place, length in enumerate(LENGTHS):
        expected = outputs[place, length - 1].clone()
        if both:
            expected[H // 2 :] = outputs[place, 0, H // 2 :]
        assert torch.equal(pooled[place], expected)


def test_mean_and_max_are_over_the_steps_that_there_are() -> None:
    outputs, steps = outputs_and_steps()
    outputs = outputs - 5 * steps[..., None]  # all below the zeros past the ends
    mean, largest = (Pooling(kind, H)(outputs, steps) for kind in ("mean", "max"))
    for place, length in enumerate(LENGTHS):
        torch.testing.assert_close(mean[place], outputs[place, :length].mean(0))
        assert torch.equal(largest[place], outputs[place, :length].amax(0))
    assert (largest < 0).all()


def test_attention_is_that_of_its_equation() -> None:
    outputs, steps = outputs_and_steps()
    pooling = Pooling("attention", H).requires_grad_(False)
    pooled = pooling(outputs, steps)
    weight, bias, vector = pooling.weigh[0].weight, pooling.weigh[0].bias, pooling.weigh[2].weight[0]
    for place, length in enumerate(LENGTHS):
        scores = [float(vector @ torch.tanh(weight @ outputs[place, t] + bias)) for t in range(length)]
        total = sum(math.exp(score) for score in scores)
        expected = sum(math.exp(score) / total * outputs[place, t] for t, score in enumerate(scores))
        torch.testing.assert_close(pooled[place], expected)
    torch.testing.assert_close(pooled[1], outputs[1, 0])


@pytest.mark.parametrize("kind", ["last", "max", "attention"])  # the mean takes the zeros past the ends along
def test_no_gradient_comes_from_past_an_end(kind: str) -> None:
    outputs, steps = outputs_and_steps()
    outputs.requires_grad_()
    Pooling(kind, H, bidirectional=True)(outputs, steps).square().sum().backward()
    assert not outputs.grad[steps == 0].any()
    assert outputs.grad.isfinite().all()
    assert outputs.grad[1, 0].any()
