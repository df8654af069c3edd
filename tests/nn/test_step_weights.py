"""Weights that change between two steps, however they do."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from fastlstm import LSTM


def by_optimizer(kind, **options):
    def change(layer):
        optimizer = kind(layer.parameters(), lr=0.1, **options)
        for parameter in layer.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()

    return change


def by_loading(layer):
    layer.load_state_dict({name: torch.randn_like(value) for name, value in layer.state_dict().items()})


def by_data(layer):
    for parameter in layer.parameters():
        parameter.data.mul_(0.9)


def by_other_data(layer):
    for parameter in layer.parameters():
        parameter.data = torch.randn_like(parameter)


def by_other_parameters(layer):
    for name, parameter in list(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(torch.randn_like(parameter)))


def by_init(layer):
    for parameter in layer.parameters():
        nn.init.uniform_(parameter)


def by_one_entry(layer):
    with torch.no_grad():
        layer.weight_hh_l0[5, 3] += 1


CHANGES = {
    "SGD": by_optimizer(torch.optim.SGD),
    "Adam": by_optimizer(torch.optim.Adam, foreach=False),
    "Adam, foreach": by_optimizer(torch.optim.Adam, foreach=True),
    "AdamW, fused": by_optimizer(torch.optim.AdamW, fused=True),
    "load_state_dict": by_loading,
    "parameter.data in place": by_data,
    "other parameter.data": by_other_data,
    "other parameters": by_other_parameters,
    "init": by_init,
    "one entry": by_one_entry,
}


@pytest.mark.parametrize("weights", [None, "bfloat16", "int8"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_are_seen(change, weights):
    layer = LSTM(4, 40, 2).eval()
    x, state = torch.randn(4), tuple(torch.randn(2, 40) for _ in "hc")
    before, _ = layer.step(x, state, weights=weights)
    change(layer)
    found, _ = layer.step(x, state, weights=weights)
    fresh = LSTM(4, 40, 2).eval()
    fresh.load_state_dict(layer.state_dict())
    expected, _ = fresh.step(x, state, weights=weights)
    assert torch.equal(found, expected)
    assert not torch.equal(found, before)


@pytest.mark.parametrize("how", ["spectral norm", "pruned", "weight norm"])
def test_computed_weights(how):
    layer = LSTM(4, 6).eval()
    x = torch.randn(4)
    layer.step(x)
    if how == "spectral norm":
        parametrizations.spectral_norm(layer, "weight_hh_l0")
    elif how == "weight norm":
        parametrizations.weight_norm(layer, "weight_hh_l0")
        with torch.no_grad():
            layer.parametrizations.weight_hh_l0.original0.mul_(2)
    else:
        prune.random_unstructured(layer, "weight_ih_l0", amount=0.5)
    state = tuple(torch.ones(1, 6) for _ in "hc")
    found = layer.step(x, state)[0]
    torch.testing.assert_close(found, layer(x.unsqueeze(0), state)[0][0].detach())
    assert not found.requires_grad
    with pytest.raises(ValueError, match=r"weights='int8': weight_[ih]h_l0 is not a parameter but computed"):
        layer.step(x, state, weights="int8")


def test_functional_call():
    layer, other = LSTM(4, 6).eval(), LSTM(4, 6)

    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = layer

        def forward(self, x):
            return self.lstm.step(x)[0]

    x, stream = torch.randn(4), Stream()
    before = stream(x)
    weights = {f"lstm.{name}": value for name, value in other.state_dict().items()}
    found = torch.func.functional_call(stream, weights, x)
    assert torch.equal(found, other.eval().step(x)[0])
    assert torch.equal(stream(x), before)
    # What stands in the place of a parameter is differentiated where it asks for it.
    wanted = {name: value.clone().requires_grad_() for name, value in weights.items()}
    with torch.no_grad():
        assert torch.equal(torch.func.functional_call(stream, wanted, x), found)
    y = torch.func.functional_call(stream, wanted, x)
    torch.testing.assert_close(y, found)
    gradients = torch.autograd.grad(y.sum(), list(wanted.values()))
    expected = torch.autograd.grad(other(x.unsqueeze(0))[0].sum(), list(other.parameters()))
    torch.testing.assert_close(gradients, expected)


def test_zoneout_and_dropout_that_change():
    layer = LSTM(4, 6, 2).eval()
    x, state = torch.randn(4), tuple(torch.ones(2, 6) for _ in "hc")
    layer.step(x, state)
    layer.zoneout = (0.5, 0.5)
    torch.testing.assert_close(layer.step(x, state)[0], layer(x.unsqueeze(0), state)[0][0])
    layer.zoneout, layer.dropout = (0.0, 0.0), 0.5
    layer.train()
    with torch.no_grad():
        found = torch.stack([layer.step(x, state)[0] for _ in range(20)])
    assert (found != found[0]).any()
