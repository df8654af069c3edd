"""Log-probabilities of tokens against PyTorch's; draws are tested where they are used, in search."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fastlstm.ops.tokens import draw, log_probabilities


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize(("features", "tokens"), [(1, 1), (3, 2), (16, 16), (70, 67), (40, 1003)])
@pytest.mark.parametrize("biased", [True, False])
def test_agrees_with_torch(rows, features, tokens, biased, instruction_set):
    torch.manual_seed(tokens)
    x, w = torch.randn(rows, features), torch.randn(tokens, features) * 3
    b = torch.randn(tokens) if biased else None
    expected = F.linear(x.double(), w.double(), None if b is None else b.double()).log_softmax(-1)
    found = log_probabilities(x, w, b)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-5)
    as_array = log_probabilities(x.numpy(), w, b)
    assert isinstance(as_array, np.ndarray)
    np.testing.assert_array_equal(as_array, found.numpy())


def test_far_apart(instruction_set):
    """What is nearly impossible has a logarithm all the same."""
    found = log_probabilities(torch.ones(1, 1), torch.tensor([[0.0], [-300.0], [300.0]]), None)
    assert found.tolist() == [[-300, -600, 0]]


def test_a_nan_stays_in_its_row(instruction_set):
    x = torch.ones(3, 5)
    x[1, 2] = torch.nan
    found = log_probabilities(x, torch.randn(9, 5), None)
    assert found.isnan().all(1).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="no numbers"):
        draw(found, np.full(3, 0.5))


@pytest.mark.parametrize(
    ("x", "w", "b"),
    [
        (torch.ones(1, 3), torch.ones(2, 4), None),
        (torch.ones(1, 3).double(), torch.ones(2, 3).double(), None),
        (torch.ones(3), torch.ones(2, 3), None),
        (torch.ones(1, 3), torch.ones(3, 2).T, None),
        (torch.ones(1, 3), torch.ones(2, 3), torch.ones(3)),
        (torch.ones(1, 3), torch.ones(2, 3, requires_grad=True), None),
        (torch.ones(1, 3), torch.ones(200_000, 3), None),  # worth several threads
    ],
)
def test_what_the_kernel_does_not_take(x, w, b):
    assert log_probabilities(x, w, b) is NotImplemented
