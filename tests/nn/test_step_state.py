"""The state of a step: what it is, outlives and shares."""

import copy
import io
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_map

from fastlstm import LSTM
from fastlstm.ops import step as step_op


@pytest.fixture
def stepped():
    lstm = LSTM(4, 6, 2).eval()
    return lstm, lstm.step(torch.randn(3, 4))[1]


def test_a_state_is_a_sequence_of_two(stepped):
    x, state = stepped
    h, c = state
    assert h.shape == c.shape == (2, 3, 6)
    assert len(state) == 2
    assert state[0] is h
    assert state[-1] is c
    assert isinstance(state, Sequence)
    assert isinstance(state, tuple)
    assert repr(state) == f"State{(h, c)!r}"
    assert state[-2:] == state[:] == (h, c)
    assert state[1:] == (c,)
    assert state + (x,) == (h, c, x)  # noqa: RUF005 (it is the sum that is tested)
    for outside in (2, -3):
        with pytest.raises(IndexError, match="two parts: h and c"):
            state[outside]
    with pytest.raises(TypeError):
        state[0] = h


def test_a_tree_of_tensors_holds_both_parts(stepped):
    lstm, state = stepped
    halved = tree_map(lambda part: part / 2, {"state": state})["state"]
    assert type(halved) is tuple
    torch.testing.assert_close(halved, tuple(part / 2 for part in state))
    x = torch.randn(3, 4)
    mapped = torch.func.vmap(lambda x, hx: lstm.step(x, hx)[0], (0, 1))(x, state)
    torch.testing.assert_close(mapped, lstm.step(x, state)[0])


def test_a_state_outlives_its_parts_and_they_it(stepped):
    _, state = stepped
    h, c = state
    kept = h.clone(), c.clone()
    del state
    assert torch.equal(h, kept[0])
    del h
    assert torch.equal(c, kept[1])


def test_copies_of_a_state(stepped):
    _, state = stepped
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state)), tuple(state)):
        assert type(other) is tuple
        torch.testing.assert_close(other, tuple(state))
    assert copy.deepcopy(state)[0].data_ptr() != state[0].data_ptr()
    saved = io.BytesIO()
    torch.save({"state": state}, saved)
    saved.seek(0)
    torch.testing.assert_close(torch.load(saved)["state"], tuple(state))


def test_writing_into_a_state_changes_it(stepped):
    lstm, state = stepped
    x = torch.randn(3, 4)
    h, c = (part.clone() for part in state)
    h[:, 1], c[:, 1] = 0, 0
    for part in state:
        part[:, 1] = 0
    found, expected = lstm.step(x, state), lstm.step(x, (h, c))
    assert torch.equal(found[0], expected[0])
    state[0].data = torch.ones(2, 3, 6)  # other memory
    found, expected = lstm.step(x, state), lstm.step(x, (torch.ones(2, 3, 6), c))
    assert torch.equal(found[0], expected[0])


def test_a_step_leaves_what_it_was_given(stepped):
    lstm, state = stepped
    before = [part.clone() for part in state]
    x = torch.randn(3, 4)
    first, _ = lstm.step(x, state)
    again, _ = lstm.step(x, state)
    assert torch.equal(first, again)
    assert all(torch.equal(part, was) for part, was in zip(state, before, strict=True))


def test_outputs_are_tensors_of_their_own(stepped):
    lstm, state = stepped
    y, after = lstm.step(torch.randn(3, 4), state)
    h = after[0].clone()
    y.zero_()
    assert torch.equal(after[0], h)
    assert y.is_contiguous()
    assert not y.requires_grad


@pytest.mark.parametrize("exchange", [True, False])
def test_numpy_state(exchange):
    step_op._native.use_exchange(exchange)
    try:
        lstm = LSTM(4, 6).eval()
        y, (h, c) = lstm.step(np.ones(4, np.float32))
        assert all(isinstance(a, np.ndarray) for a in (y, h, c))
        assert y.shape == (6,)
        assert h.shape == c.shape == (1, 6)
        expected, _ = lstm(torch.ones(1, 4))
        np.testing.assert_allclose(y, expected[0].detach(), atol=1e-6)
    finally:
        step_op._native.use_exchange(True)


def test_a_states_part_that_asks_for_a_gradient(stepped):
    lstm, state = stepped
    state[1].requires_grad_()
    y, _ = lstm.step(torch.randn(3, 4), state)
    assert torch.autograd.grad(y.sum(), state[1])[0].any()
