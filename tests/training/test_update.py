import copy

import pytest
import torch
from torch import nn

from fastlstm.training.update import WeightUpdate


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


@pytest.mark.parametrize("clip", [0.01, 100.0])
def test_it_is_adamw_with_clipped_gradients(clip: float) -> None:
    ours, theirs = network(), network()
    update = WeightUpdate(ours.parameters(), weight_decay=0.1, clip=clip)
    optimizer = torch.optim.AdamW(theirs.parameters(), weight_decay=0.1)
    inputs = torch.randn(20, 7, 3)
    for step, batch in enumerate(inputs):
        rate = 0.01 * (step + 1)
        update(ours(batch).square().mean(), rate)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        theirs(batch).square().mean().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)  # the norm is summed in another order


def test_frozen_weights_stay() -> None:
    frozen = network()
    frozen[0].requires_grad_(False)
    before = copy.deepcopy(frozen.state_dict())
    WeightUpdate(frozen.parameters(), weight_decay=0.1, clip=1.0)(frozen(torch.ones(2, 3)).sum(), 0.1)
    assert torch.equal(frozen[0].weight, before["0.weight"])
    assert not torch.equal(frozen[2].weight, before["2.weight"])


def test_weights_can_be_loaded_saved_and_copied_afterwards() -> None:
    updated = network()
    update = WeightUpdate(updated.parameters(), weight_decay=0.0, clip=1.0)
    kept = {name: value.clone() for name, value in updated.state_dict().items()}
    update(updated(torch.ones(2, 3)).sum(), 0.1)
    updated.load_state_dict(kept)
    update(updated(torch.ones(2, 3)).sum(), 0.1)
    assert not torch.equal(updated[0].weight, kept["0.weight"])  # still the weights that are updated
    assert torch.equal(copy.deepcopy(updated)[0].weight, updated[0].weight)


def test_a_scaled_loss_gives_the_same_steps_and_one_that_overflows_gives_none() -> None:
    plain, scaled = network(), network()
    without = WeightUpdate(plain.parameters(), weight_decay=0.1, clip=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    update = WeightUpdate(scaled.parameters(), weight_decay=0.1, clip=0.05, scaler=scaler)
    for batch in torch.randn(10, 7, 3):
        without(plain(batch).square().mean(), 0.01)
        update(scaled(batch).square().mean(), 0.01)
    for mine, other in zip(scaled.parameters(), plain.parameters(), strict=True):
        # A power of two scales without rounding.
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)
    before = copy.deepcopy(scaled.state_dict())
    update(scaled(torch.ones(2, 3)).sum() * float("inf"), 0.01)
    assert all(torch.equal(value, before[name]) for name, value in scaled.state_dict().items())
    assert scaler.get_scale() == 512.0
