import pytest
import torch

from fastlstm.model.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(400, 1000), (7, 11, 13001)])
def test_the_share_is_dropped_and_the_mean_kept(rate, shape):
    y = Dropout(rate)(torch.ones(shape))
    share = (y == 0).double().mean().item()
    dropped = min(round(256 * rate), 255) / 256
    assert abs(dropped - rate) <= 1 / 256
    assert abs(share - dropped) < 5 * (dropped * (1 - dropped) / y.numel()) ** 0.5
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / (1 - dropped)))


def test_values_are_dropped_one_by_one():
    kept = Dropout(0.5)(torch.ones(64, 4096)) > 0
    assert kept.float().mean(0).std() < 0.1
    neighbours = (kept[:, 1:] == kept[:, :-1]).float().mean().item()
    assert abs(neighbours - 0.5) < 0.01


def test_gradients_are_dropped_with_their_values():
    x = torch.randn(30, 50, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x, y)


def test_a_seed_drops_the_same():
    dropout, x = Dropout(0.3), torch.randn(9, 9)
    first, other = (torch.manual_seed(1) and dropout(x) for _ in range(2))
    assert torch.equal(first, other)
    assert not torch.equal(first, dropout(x))


def test_nothing_is_dropped_outside_training_or_at_rate_0():
    x = torch.randn(3, 4)
    assert Dropout(0.3).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert Dropout(0.3)(x[:0]).shape == (0, 4)
    assert Dropout(0.3)(x.bfloat16()).dtype == torch.bfloat16
