"""Layers of every kind, and whether a step of one is the fast one."""

import numpy as np
import pytest
import torch
from torch import nn

from fastlstm import GRU, LSTM, RNN
from fastlstm.ops import step as step_op

LAYERS = {
    "LSTM": (LSTM, {}),
    "two layers": (LSTM, {"num_layers": 2}),
    "no bias": (LSTM, {"bias": False}),
    "projection": (LSTM, {"proj_size": 3, "num_layers": 2}),
    "all variants": (LSTM, {"layer_norm": True, "peephole": True, "coupled": True, "proj_size": 3}),
    "zoneout": (LSTM, {"zoneout": (0.3, 0.1)}),
    "dropout": (LSTM, {"dropout": 0.5, "num_layers": 2}),
    "initial state": (LSTM, {"learn_initial_state": True, "num_layers": 2}),
    "batch first": (LSTM, {"batch_first": True}),
    "GRU": (GRU, {"num_layers": 2}),
    "GRU, initial state": (GRU, {"learn_initial_state": True}),
    "RNN": (RNN, {}),
    "RNN, relu": (RNN, {"nonlinearity": "relu"}),
}
every_layer = pytest.mark.parametrize(("kind", "options"), LAYERS.values(), ids=LAYERS)


def make(kind, options, dtype=torch.float32):
    layer = kind(4, 6, dtype=dtype, **options).eval()
    for name in ("h0", "c0"):
        if hasattr(layer, name):
            nn.init.normal_(getattr(layer, name))
    return layer


def tensors(state):
    both = [state] if isinstance(state, (torch.Tensor, np.ndarray)) else list(state)
    return [torch.as_tensor(part) for part in both]


def is_fast(layer, *arguments, weights=None):
    """Whether the step kernel takes such a call."""
    layer.step(*arguments, weights=weights)
    state = arguments[1] if len(arguments) > 1 else None
    return step_op.take_step(layer, arguments[0], state, None, weights) is not NotImplemented
