"""The reference against the equations by hand and against torch.nn; the op against the reference.

What goes through ``sequence`` is computed by the kernel that serves the call, so it holds that kernel to the same.
"""

import by_hand
import pytest
import torch
from by_hand import CELLS, _one_thread, problem  # noqa: F401 a fixture
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fastlstm.ops import Cell, _torch_sequence, reference, sequence

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
both = pytest.mark.parametrize("function", [sequence, reference.sequence], ids=["op", "reference"])
SEED = torch.tensor([-1234567890123456789])
LENGTHS = torch.tensor([4, 0, 6])


def random_reset(*shape):
    reset = torch.rand(shape) < 0.3
    reset[0, 0] = reset[3, 2] = True
    return reset


def extras(cell, T=6, B=3, H=5, P=2, directions=2):
    """Every option a cell takes, by name."""
    mask = torch.rand(directions, B, P if cell.projected else H, dtype=torch.float64) * 2
    rates = (0.4, 0.3 if cell.has_cell_state else 0.0)
    options = {
        "nothing": {},
        "reset": {"reset": random_reset(T, B)},
        "recurrent mask": {"recurrent_mask": mask},
        "lengths": {"lengths": LENGTHS},
    }
    if not cell.projected:
        options["zoneout"] = {"zoneout": rates, "seed": SEED}
        options["zoneout's expectation"] = {"zoneout": rates}
        options["zoneout of h"] = {"zoneout": (0.4, 0.0), "seed": SEED}
    options["everything"] = {key: value for option in options.values() for key, value in option.items()}
    return options


def detached(*tensors):
    return [None if t is None else t.detach() for t in tensors]


@every_cell
@both
def test_by_hand(cell, function):
    x, h0, c0, weights = problem(cell)
    x, h0, c0, *weights = detached(x, h0, c0, *weights)
    for options in extras(cell).values():
        found = function(cell, x, h0, c0, weights, **options)
        expected = by_hand.run(cell, x, h0, c0, weights, **options)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@every_cell
def test_layouts(cell):
    """Batch-first and packed input give what time-major input gives."""
    x, h0, c0, weights = problem(cell)
    lengths = torch.tensor([6, 4, 1])  # decreasing, as a packed sequence is
    for options in extras(cell).values():
        options = {**options, "lengths": lengths}
        y, hn, cn = sequence(cell, x, h0, c0, weights, **options)
        reset = options.pop("reset", None)
        turned = {**options, "reset": None if reset is None else reset.T}
        y_turned, *states = sequence(cell, x.transpose(0, 1), h0, c0, weights, **turned, batch_first=True)
        torch.testing.assert_close([y_turned.transpose(0, 1), *states], [y, hn, cn])
        packed = pack_padded_sequence(x, lengths)
        del options["lengths"]
        if reset is not None:
            options["reset"] = pack_padded_sequence(reset, lengths).data
        y_packed, *states = sequence(
            cell, packed.data, h0, c0, weights, **options, batch_sizes=packed.batch_sizes, packed_batch=3
        )
        y_padded, _ = pad_packed_sequence(packed._replace(data=y_packed))
        torch.testing.assert_close([y_padded, *states], [y, hn, cn])


@every_cell
def test_no_state_is_a_state_of_zeros(cell):
    x, h0, c0, weights = problem(cell)
    zeros = (None if s is None else torch.zeros_like(s) for s in (h0, c0))
    for found, expected in zip(
        sequence(cell, x, None, None, weights), sequence(cell, x, *zeros, weights), strict=True
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_torchs_own_cells(kind, has_bias, directions):
    cell = Cell(kind, has_bias)
    x, h0, c0, weights = problem(cell, directions=directions)
    run = getattr(torch, kind)
    theirs = run(x, h0 if c0 is None else (h0, c0), weights, has_bias, 1, 0.0, False, directions == 2, False)
    found = sequence(cell, x, h0, c0, weights)
    torch.testing.assert_close(found[: len(theirs)], theirs)
    for batch_first in (False, True):  # what other devices are served by
        x = x.transpose(0, 1) if batch_first else x
        for state in ((h0, c0), (None, None)):
            torch.testing.assert_close(
                _torch_sequence(cell, x, *state, weights, None, 0, batch_first),
                sequence(cell, x, *state, weights, batch_first=batch_first),
            )


@every_cell
def test_stepping_in_two_halves(cell):
    x, h0, c0, weights = problem(cell, directions=1)
    reset = random_reset(6, 3)
    y, hn, cn = sequence(cell, x, h0, c0, weights, reset=reset)
    first, h, c = sequence(cell, x[:2], h0, c0, weights, reset=reset[:2])
    second, h, c = sequence(cell, x[2:], h, c if cell.has_cell_state else None, weights, reset=reset[2:])
    torch.testing.assert_close([torch.cat([first, second]), h, c], [y, hn, cn])


@every_cell
def test_a_reset_is_a_new_sequence(cell):
    """In both directions, outputs and gradients: as if what lies between two resets had come as a sequence."""
    x, h0, c0, weights = problem(cell, B=1)
    reset = torch.zeros(6, 1, dtype=torch.bool)
    reset[2] = True
    y, hn, cn = sequence(cell, x, h0, c0, weights, reset=reset)
    zeros = torch.zeros_like(h0), None if c0 is None else torch.zeros_like(c0)
    parts = []
    for t, forwards in ((slice(0, 2), True), (slice(2, 6), False)):  # who starts with the initial state
        h_c = []
        for given, zero in zip((h0, c0), zeros, strict=True):
            start = (given, zero) if forwards else (zero, given)
            h_c.append(None if given is None else torch.cat([start[0][:1], start[1][1:]]))
        parts.append(sequence(cell, x[t], *h_c, weights))
    (y_first, h_first, c_first), (y_second, h_second, c_second) = parts
    last = [torch.cat([h_second[:1], h_first[1:]])]
    if cell.has_cell_state:
        last.append(torch.cat([c_second[:1], c_first[1:]]))
    expected = [torch.cat([y_first, y_second]), *last]
    found = [y, hn, cn][: len(expected)]
    torch.testing.assert_close(found, expected)
    leaves = [t for t in (x, h0, c0, *weights) if t is not None]
    torch.testing.assert_close(
        *(torch.autograd.grad([v.square().sum() for v in o], leaves) for o in (found, expected))
    )


@every_cell
def test_nothing_passes_a_reset(cell):
    x, h0, c0, weights = problem(cell)
    reset = torch.zeros(6, 3, dtype=torch.bool)
    reset[3] = True
    y, *_ = sequence(cell, x, h0, c0, weights, reset=reset)
    forwards, backwards = y.chunk(2, dim=-1)
    (dx,) = torch.autograd.grad(forwards[3:].sum() + backwards[:3].sum() * 0, x, retain_graph=True)
    assert not dx[:3].any()
    assert dx[3:].any()
    (dx,) = torch.autograd.grad(backwards[:3].sum(), x)
    assert not dx[3:].any()
    assert dx[:3].any()
    spoilt = x.detach().clone()
    spoilt[1] = torch.nan
    y_spoilt, *_ = sequence(cell, spoilt, h0, c0, weights, reset=reset)
    assert torch.equal(y_spoilt[3:], y[3:])


@every_cell
def test_reverse_is_the_second_direction(cell):
    x, h0, c0, weights = problem(cell)
    own = weights[cell.weights_per_direction :]
    for options in extras(cell).values():
        y, hn, cn = sequence(cell, x, h0, c0, weights, **options)
        if "recurrent_mask" in options:
            options["recurrent_mask"] = options["recurrent_mask"][1:]
        alone = sequence(cell, x, h0[1:], None if c0 is None else c0[1:], own, reverse=True, **options)
        torch.testing.assert_close(alone, (y.chunk(2, dim=-1)[1], hn[1:], cn[1:]))


@every_cell
def test_gates_inside(cell):
    if not cell.has_cell_state:
        pytest.skip("gates are told of LSTM cells")
    x, h0, c0, weights = problem(cell)
    inside = []
    y, _, cn = reference.sequence(cell, x, h0, c0, weights, lengths=LENGTHS, inside=inside)
    assert len(inside) == 2
    alive = (torch.arange(6).unsqueeze(-1) < LENGTHS).unsqueeze(-1)
    for d, gates in enumerate(inside):
        assert all(value.shape == (6, 3, 5) and not value.masked_select(~alive).any() for value in gates)
        before = torch.cat([c0[d][None], gates.c[:-1]]) if d == 0 else torch.cat([gates.c[1:], c0[d][None]])
        ends = torch.zeros(6, 3, 1, dtype=torch.bool)
        if d == 1:  # where the backward direction starts
            ends[3, 0] = True
            before = torch.where(ends, c0[d], before)
        torch.testing.assert_close(gates.c, (gates.f * before + gates.i * gates.g) * alive)
        torch.testing.assert_close(cn[0, 0], inside[0].c[3, 0])
    if not (cell.projected or cell.layer_norm):
        torch.testing.assert_close(y, torch.cat([g.o * g.c.tanh() for g in inside], -1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_cell
def test_half_precision_is_computed_in_float32(cell, dtype):
    x, h0, c0, weights = problem(cell, dtype=torch.float32)
    narrow = [None if t is None else t.to(dtype) for t in (x, h0, c0, *weights)]
    wide = [None if t is None else t.float() for t in narrow]
    found = sequence(cell, *narrow[:3], narrow[3:])
    # Of bfloat16, products may be of rounded operands; all else is as in float32.
    expected = sequence(cell, *wide[:3], wide[3:], rounded=dtype == torch.bfloat16)
    assert all(value.dtype == dtype for value in found)
    torch.testing.assert_close(found, tuple(value.to(dtype) for value in expected), rtol=0, atol=0)


@every_cell
def test_autocast_does_not_reach_inside(cell):
    x, h0, c0, weights = problem(cell, dtype=torch.float32)
    expected = reference.sequence(cell, x, h0, c0, weights)
    with torch.autocast("cpu", torch.bfloat16):
        found = reference.sequence(cell, x, h0, c0, weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "elman"}, "expected one of lstm, gru, rnn_tanh, rnn_relu, got 'elman'"),
        ({"kind": "gru", "peephole": True}, "peephole: only an LSTM cell"),
        ({"kind": "rnn_tanh", "projected": True}, "projected: only an LSTM cell"),
    ],
)
def test_cells_that_there_are_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cell(**arguments)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (
            Cell(),
            {"reset": torch.zeros(3, 6, dtype=torch.bool)},
            r"reset: expected torch.bool of shape \(6, 3\)",
        ),
        (Cell(), {"reset": torch.zeros(6, 3)}, "reset: expected torch.bool.*got torch.float32"),
        (Cell(), {"recurrent_mask": torch.ones(1, 3, 5)}, r"recurrent_mask: expected shape \(2, 3, 5\)"),
        (Cell(), {"zoneout": (1.0, 0.0)}, "zoneout: expected rates in 0 ≤ rate < 1"),
        (Cell(), {"zoneout": (0.0, -0.1)}, "zoneout: expected rates in 0 ≤ rate < 1"),
        (Cell(projected=True), {"zoneout": (0.1, 0.0)}, "zoneout: not with a projection"),
        (Cell("gru"), {"zoneout": (0.1, 0.1)}, "zoneout: a gru cell has no cell state"),
        (Cell(), {"seed": torch.tensor([1.0])}, "seed: expected torch.int64"),
        (Cell(), {"reverse": True}, "weights: expected 4 for the one direction"),
    ],
)
def test_arguments_that_do_not_fit(cell, options, message):
    with pytest.raises(ValueError, match=message):
        sequence(cell, *problem(cell), **options)


def test_weights_that_do_not_fit():
    x, h0, c0, weights = problem(Cell())
    with pytest.raises(
        ValueError, match=r"expected 6 for each of one or two directions \(w_ih, .*bias_c\), got 8"
    ):
        sequence(Cell(has_bias=False, layer_norm=True), x, h0, c0, weights)
    with pytest.raises(ValueError, match="c0: a gru cell has no cell state"):
        sequence(Cell("gru"), x, h0, c0, weights)
