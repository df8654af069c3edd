"""The loss with smoothed labels against PyTorch's, and what is above it."""

import pytest
import torch
from torch.nn import functional as F

from fastlstm.ops.smoothed_loss import smoothed_cross_entropy


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (33, 129), (100, 801)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_loss_and_gradient_are_pytorchs(shape, smoothing, instruction_set, threads):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, generator=generator, dtype=torch.float64) * 5
    targets = torch.randint(0, shape[1], shape[:1], generator=generator)
    found = []
    for loss in (
        lambda x: smoothed_cross_entropy(x, targets, smoothing),
        lambda x: F.cross_entropy(x, targets, label_smoothing=smoothing),
    ):
        x = logits.clone().requires_grad_()
        value = loss(x)
        (value * 3).backward()
        found.append((value.detach(), x.grad))
    # float64 sums in another order
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_float32_is_as_good_as_pytorchs_where_a_probability_underflows():
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss = smoothed_cross_entropy(logits, torch.tensor([2]))
    loss.backward()
    assert loss.item() == 400.0
    assert logits.grad.tolist() == [[1.0, 0.0, -1.0]]


def test_half_precision_is_computed_in_float32():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(1)).bfloat16()
    loss = smoothed_cross_entropy(logits, torch.arange(4), 0.1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), torch.arange(4), label_smoothing=0.1))


def test_without_gradients_nothing_is_kept():
    logits = torch.randn(4, 9)
    assert smoothed_cross_entropy(logits, torch.arange(4)).grad_fn is None


@pytest.mark.parametrize("wrong", [-1, 9])
def test_a_target_that_is_no_class_is_refused(wrong):
    with pytest.raises(IndexError, match="classes from 0 to 8"):
        smoothed_cross_entropy(torch.zeros(3, 9), torch.tensor([0, wrong, 1]))


def test_a_class_that_is_barred_bars_nothing_else():
    logits = torch.tensor([[1.0, -torch.inf, 2.0]], requires_grad=True)
    loss = smoothed_cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([0])))
    assert logits.grad[0, 1] == 0


def test_a_nan_is_told(instruction_set):
    logits = torch.randn(4, 9)
    logits[2, 3] = torch.nan
    logits.requires_grad_()
    loss = smoothed_cross_entropy(logits, torch.arange(4), 0.1)
    loss.backward()
    assert loss.isnan()
    assert logits.grad.isnan().all(1).tolist() == [False, False, True, False]


def test_transforms_are_pytorchs():
    logits, targets = torch.randn(5, 4, 9), torch.arange(4)
    found = torch.vmap(torch.func.grad(lambda x: smoothed_cross_entropy(x, targets, 0.1)))(logits)
    expected = torch.vmap(torch.func.grad(lambda x: F.cross_entropy(x, targets, label_smoothing=0.1)))(logits)
    torch.testing.assert_close(found, expected)


def test_the_way_back_can_be_gone_twice():
    logits, targets = torch.randn(6, 5, requires_grad=True), torch.randint(5, (6,))
    loss = smoothed_cross_entropy(logits, targets, 0.1) / 2
    wanted = torch.autograd.grad(F.cross_entropy(logits, targets, label_smoothing=0.1) / 2, logits)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(loss, logits, retain_graph=True), wanted)


@pytest.mark.parametrize("classes", [1, 5, 16, 33])
def test_logits_far_below_zero(classes, instruction_set):
    """What fills a vector up behind the last class is not the largest."""
    logits, targets = torch.randn(4, classes) - 500, torch.randint(classes, (4,))
    torch.testing.assert_close(smoothed_cross_entropy(logits, targets, 0), F.cross_entropy(logits, targets))
