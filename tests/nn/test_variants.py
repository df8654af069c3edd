"""What the layers do beyond torch.nn's: cells, masks, resets, steps, traces, recomputation."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fastlstm import GRU, LSTM, RNN
from fastlstm.ops import reference, sequence

VARIANTS = {
    "LSTM": (LSTM, {}),
    "projection": (LSTM, {"proj_size": 3}),
    "layer norm": (LSTM, {"layer_norm": True}),
    "peephole": (LSTM, {"peephole": True}),
    "coupled": (LSTM, {"coupled": True}),
    "all variants": (LSTM, {"layer_norm": True, "peephole": True, "coupled": True, "proj_size": 3}),
    "GRU": (GRU, {}),
    "RNN": (RNN, {}),
}
every_variant = pytest.mark.parametrize(("kind", "options"), VARIANTS.values(), ids=VARIANTS)
# Those that a mask can act on, with all masks that they take.
MASKED = {
    "LSTM": (LSTM, {"recurrent_dropout": 0.3, "zoneout": (0.2, 0.4)}),
    "projection": (LSTM, {"recurrent_dropout": 0.3, "proj_size": 3}),
    "all variants": (LSTM, {"layer_norm": True, "peephole": True, "coupled": True, "zoneout": 0.2}),
    "GRU": (GRU, {"recurrent_dropout": 0.3, "zoneout": 0.2}),
    "RNN": (RNN, {"recurrent_dropout": 0.3, "zoneout": 0.2, "nonlinearity": "relu"}),
}
every_mask = pytest.mark.parametrize(("kind", "options"), MASKED.values(), ids=MASKED)


@pytest.fixture(autouse=True)
def _one_thread(set_threads):
    set_threads(1)


def double(kind, *sizes, **options):
    layer = kind(*sizes, dtype=torch.float64, **options)
    for name, parameter in layer.named_parameters():
        if name.startswith(("gain", "bias_c")) or name in ("h0", "c0"):
            nn.init.normal_(parameter, 1.0, 0.3)
    return layer


def states(state):
    return state if isinstance(state, tuple) else (state,)


def flat(outputs):
    y, state = outputs
    return [y, *states(state)]


def gradients(layer, outputs, *more):
    total = sum((v * v).sum() for v in flat(outputs))
    return torch.autograd.grad(total, [*layer.parameters(), *more])


def random_state(layer, batch):
    D = 2 if layer.bidirectional else 1
    widths = [layer.proj_size or layer.hidden_size] + [layer.hidden_size] * isinstance(layer, LSTM)
    state = tuple(torch.randn(layer.num_layers * D, batch, width).double() for width in widths)
    return state if isinstance(layer, LSTM) else state[0]


def generator(seed=11):
    return torch.Generator().manual_seed(seed)


# Parameters


def test_what_the_variants_add():
    layer = LSTM(
        4, 6, 2, bidirectional=True, proj_size=3, layer_norm=True, peephole=True, learn_initial_state=True
    )
    torchs = nn.LSTM(4, 6, 2, bidirectional=True, proj_size=3)
    names = list(layer.state_dict())
    count = len(torchs.state_dict())
    assert names[:count] == list(torchs.state_dict())
    per_direction = {"weight_ch": 18, "gain_ih": 24, "gain_hh": 24, "gain_c": 6, "bias_c": 6}
    own = [f"{n}_l{i}{r}" for i in (0, 1) for r in ("", "_reverse") for n in per_direction]
    assert names[count:] == [*own, "h0", "c0"]
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    for name in own:
        assert shapes[name] == (per_direction[name.partition("_l")[0]],)
    assert shapes["h0"] == (4, 1, 3)
    assert shapes["c0"] == (4, 1, 6)
    coupled = LSTM(4, 6, coupled=True, peephole=True, bias=False)
    assert {name: tuple(p.shape) for name, p in coupled.named_parameters()} == {
        "weight_ih_l0": (18, 4), "weight_hh_l0": (18, 6), "weight_ch_l0": (12,),
    }  # fmt: skip


def test_where_they_start():
    torch.manual_seed(5)
    torchs = nn.LSTM(4, 6, 2, bidirectional=True)
    torch.manual_seed(5)
    layer = LSTM(4, 6, 2, bidirectional=True, layer_norm=True, peephole=True, learn_initial_state=True)
    ours = dict(layer.named_parameters())
    assert all(torch.equal(p, ours[name]) for name, p in torchs.named_parameters())
    for name, p in ours.items():
        if name.startswith("gain"):
            assert torch.equal(p, torch.ones_like(p))
        elif name.startswith("bias_c_") or name in ("h0", "c0"):
            assert not p.any()
        elif name.startswith("weight_ch"):
            assert 0 < p.abs().max() <= 6**-0.5
            assert p.unique().numel() == p.numel()
    with torch.no_grad():
        for p in layer.parameters():
            p.fill_(9)
    before = {name: p.clone() for name, p in ours.items()}
    torch.manual_seed(5)
    layer.reset_parameters()
    assert not any(torch.equal(before[name], p) for name, p in ours.items())
    assert all(torch.equal(p, ours[name]) for name, p in torchs.named_parameters())


@pytest.mark.parametrize(
    ("coupled", "gate", "value"), [(False, slice(6, 12), 1.5), (True, slice(0, 6), -1.5)]
)
def test_forget_bias(coupled, gate, value):
    torch.manual_seed(5)
    plain = LSTM(4, 6, 2, bidirectional=True, coupled=coupled)
    torch.manual_seed(5)
    layer = LSTM(4, 6, 2, bidirectional=True, coupled=coupled, forget_bias=1.5)
    for (name, p), expected in zip(layer.named_parameters(), plain.parameters(), strict=True):
        expected = expected.detach().clone()
        if name.startswith("bias"):
            expected[gate] = value if "ih" in name else 0.0
        assert torch.equal(p, expected)
    # With all else zero, the cell shrinks by the forget gate at each step.
    with torch.no_grad():
        for name, p in layer.named_parameters():
            p.mul_(1.0 if name.startswith("bias") else 0.0)
    trace = layer.trace(torch.randn(3, 2, 4))
    torch.testing.assert_close(trace.f, torch.full_like(trace.f, 1.5).sigmoid())


@every_variant
def test_learnt_initial_state(kind, options):
    layer = double(kind, 4, 6, 2, bidirectional=True, learn_initial_state=True, **options)
    x = torch.randn(5, 3, 4).double()
    learnt = [getattr(layer, name) for name in ("h0", "c0") if hasattr(layer, name)]
    assert len(learnt) == 1 + (kind is LSTM)
    given = tuple(s.detach().expand(-1, 3, -1) for s in learnt)
    found = layer(x)
    torch.testing.assert_close(found, layer(x, given if kind is LSTM else given[0]))
    assert all(g.any() for g in torch.autograd.grad(found[0].sum(), learnt))
    y, state = layer(x[:, 0])
    torch.testing.assert_close(y, found[0][:, 0])
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 3]), enforce_sorted=False)
    y_packed, state = layer(packed)
    y_lengths, expected = layer(x, lengths=[2, 5, 3])
    torch.testing.assert_close(pad_packed_sequence(y_packed)[0], y_lengths)
    torch.testing.assert_close(state, expected)


@every_variant
def test_state_dict_pickle_deepcopy(kind, options):
    layer = double(kind, 4, 6, 2, learn_initial_state=True, checkpoint_every=2, **options)
    other = double(kind, 4, 6, 2, learn_initial_state=True, checkpoint_every=2, **options)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(5, 3, 4).double()
    for twin in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.copy(layer)):
        torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)
        assert repr(twin) == repr(layer)
        assert twin.cell == layer.cell
    layer.to("meta")
    assert layer(x.to("meta"))[0].shape == other(x)[0].shape


def test_repr():
    layer = LSTM(4, 6, layer_norm=True, coupled=True, zoneout=0.1, forget_bias=1.0, checkpoint_every=8)
    assert repr(layer) == (
        "LSTM(4, 6, layer_norm=True, coupled=True, zoneout=0.1, forget_bias=1.0, checkpoint_every=8)"
    )


def test_gradients_of_the_two_biases_are_apart():
    layer = LSTM(4, 6)
    first, second = torch.autograd.grad(
        layer(torch.randn(5, 3, 4))[0].sum(), (layer.bias_ih_l0, layer.bias_hh_l0)
    )
    kept = second.clone()
    first.mul_(2)
    assert torch.equal(second, kept)


# Numbers


@every_variant
@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_on_layers(kind, options, batch_first):
    """Two layers in two directions are the reference twice, with the weights under their names."""
    layer = double(kind, 4, 6, 2, bidirectional=True, batch_first=batch_first, **options)
    x = torch.randn(3, 5, 4).double()
    reset = torch.rand(3, 5) < 0.3
    hx = random_state(layer, 3 if batch_first else 5)
    y, ends = x, []
    parameters = dict(layer.named_parameters())
    prefixes = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    prefixes += ["weight_ch", "gain_ih", "gain_hh", "gain_c", "bias_c"]
    for number in (0, 1):
        weights = [
            parameters[f"{prefix}_l{number}{suffix}"]
            for suffix in ("", "_reverse")
            for prefix in prefixes
            if f"{prefix}_l{number}{suffix}" in parameters
        ]
        own = [s[2 * number : 2 * number + 2] for s in states(hx)] + [None] * (kind is not LSTM)
        y, *end = reference.sequence(layer.cell, y, *own, weights, reset=reset, batch_first=batch_first)
        ends.append(end[: len(states(hx))])
    expected = [y, *(torch.cat(parts) for parts in zip(*ends, strict=True))]
    torch.testing.assert_close(flat(layer(x, hx, reset=reset)), expected)


@every_variant
def test_float32(kind, options):
    layer = double(kind, 4, 6, 2, **options)
    x = torch.randn(5, 3, 4)
    exact = flat(layer(x.double()))
    torch.testing.assert_close(flat(layer.float()(x)), [v.float() for v in exact], rtol=1e-5, atol=1e-5)


@every_variant
def test_half_precision_and_autocast(kind, options):
    layer = kind(4, 6, 2, zoneout=0.0, **options)
    x = torch.randn(5, 3, 4)
    exact = flat(layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        cast = flat(layer(x))
    for found in (cast, flat(copy.deepcopy(layer).bfloat16()(x.bfloat16()))):
        assert all(v.dtype == torch.bfloat16 for v in found)
        # A bfloat16 has 8 bits; normalised sums amplify what that leaves off.
        torch.testing.assert_close([v.float() for v in found], exact, rtol=0.05, atol=0.06)


@every_variant
def test_compile_without_graph_breaks(kind, options):
    torch._dynamo.reset()
    layer = kind(4, 6, batch_first=True, bidirectional=True, **options)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x, reset = torch.randn(3, 5, 4, requires_grad=True), torch.rand(3, 5) < 0.3
    found, expected = compiled(x, reset=reset), layer(x, reset=reset)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(layer, found), gradients(layer, expected))


# Resets


@every_variant
def test_reset(kind, options):
    """Time-major, batch-first, packed, with lengths, and single sequences agree, and each with sequences cut in two."""
    layer = double(kind, 4, 6, 2, **options)
    x, hx = torch.randn(6, 3, 4).double(), random_state(layer, 3)
    reset = torch.zeros(6, 3, dtype=torch.bool)
    reset[0, 0] = reset[2, 0] = reset[5, 2] = True
    y, state = layer(x, hx, reset=reset)
    first, middle = layer(x[:2, 0])[0], layer(x[2:, 0])
    torch.testing.assert_close(y[:, 0], torch.cat([first, middle[0]]))
    torch.testing.assert_close([s[:, 0] for s in states(state)], [*states(middle[1])])
    torch.testing.assert_close(y[5:, 2], layer(x[5:, 2])[0])
    untouched = layer(x[:, 1], tuple(s[:, 1] for s in hx) if kind is LSTM else hx[:, 1])
    torch.testing.assert_close(y[:, 1], untouched[0])

    turned = copy.deepcopy(layer)
    turned.batch_first = True
    y_turned, state_turned = turned(x.transpose(0, 1), hx, reset=reset.T)
    torch.testing.assert_close([y_turned.transpose(0, 1), state_turned], [y, state])
    single = layer(x[:, 2], tuple(s[:, 2] for s in hx) if kind is LSTM else hx[:, 2], reset=reset[:, 2])
    torch.testing.assert_close(single[0], y[:, 2])
    lengths = torch.tensor([3, 6, 5])
    padded = layer(x, hx, lengths=lengths, reset=reset)
    packed, packed_reset = (pack_padded_sequence(t, lengths, enforce_sorted=False) for t in (x, reset))
    found_y, found_state = layer(packed, hx, reset=packed_reset.data)
    torch.testing.assert_close([pad_packed_sequence(found_y)[0], found_state], [*padded])


def test_reset_as_a_list():
    layer, x = LSTM(4, 6), torch.randn(2, 1, 4)
    assert torch.equal(layer(x, reset=[[False], [True]])[0][1], layer(x[1:])[0][0])


# Steps


@every_variant
@pytest.mark.parametrize("batch_first", [False, True])
def test_stepping_equals_running(kind, options, batch_first):
    layer = double(
        kind, 4, 6, 2, batch_first=batch_first, learn_initial_state=True, zoneout=0.0, **options
    ).eval()
    x, reset = torch.randn(5, 3, 4).double(), torch.rand(5, 3) < 0.3
    turn = (lambda t: t.transpose(0, 1)) if batch_first else (lambda t: t)
    y, expected = layer(turn(x), reset=turn(reset))
    state = None
    for x_t, reset_t, y_t in zip(x, reset, turn(y), strict=True):
        found, state = layer.step(x_t, state, reset=reset_t)
        torch.testing.assert_close(found, y_t)
    torch.testing.assert_close(state, expected)
    y, expected = layer(x[:, 0])
    state = None
    for x_t, y_t in zip(x[:, 0], y, strict=True):
        found, state = layer.step(x_t, state)
        torch.testing.assert_close(found, y_t)
    torch.testing.assert_close(state, expected)


def test_steps_of_zoneout_in_evaluation():
    layer = double(LSTM, 4, 6, zoneout=(0.3, 0.1)).eval()
    x, state = torch.randn(5, 3, 4).double(), None
    for x_t, y_t in zip(x, layer(x)[0], strict=True):
        found, state = layer.step(x_t, state)
        torch.testing.assert_close(found, y_t)


# Masks


@every_mask
def test_masks_are_those_that_the_generator_draws(kind, options):
    layer = double(kind, 4, 6, 2, bidirectional=True, dropout=0.5, **options)
    x = torch.randn(5, 3, 4).double()
    draws = [flat(layer(x, generator=generator())) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))
    assert not torch.equal(draws[0][0], layer(x, generator=generator(12))[0])
    assert not torch.equal(layer(x)[0], layer(x)[0])
    torch.manual_seed(0)
    first = layer(x)[0]
    torch.manual_seed(0)
    assert torch.equal(layer(x)[0], first)
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x, generator=generator())[0])


def test_recurrent_dropout_is_one_mask_a_sequence():
    layer = double(LSTM, 4, 64, recurrent_dropout=0.25)
    x = torch.randn(5, 200, 4).double()
    y, *_ = flat(layer(x, generator=generator()))
    mask = torch.empty(1, 200, 64).double().bernoulli_(0.75, generator=generator()) / 0.75
    expected, *_ = sequence(layer.cell, x, None, None, list(layer.parameters()), recurrent_mask=mask)
    assert torch.equal(y, expected)
    assert torch.equal(layer.eval()(x)[0], sequence(layer.cell, x, None, None, list(layer.parameters()))[0])


@pytest.mark.parametrize(("kind", "zoneout"), [(LSTM, (0.3, 0.6)), (GRU, 0.3), (RNN, 0.3)])
def test_zoneout_keeps_old_values(kind, zoneout):
    layer = double(kind, 4, 128, zoneout=zoneout)
    x, hx = torch.randn(40, 20, 4).double(), random_state(layer, 20)
    y, *_ = flat(layer(x, hx, generator=generator()))
    before = torch.cat([states(hx)[0], y[:-1]])
    share = (y == before).double().mean()
    assert abs(share - 0.3) <= 5 * (0.3 * 0.7 / y.numel()) ** 0.5
    if kind is LSTM:
        trace = layer.trace(x, hx, generator=generator())
        assert torch.equal(trace.h[0] == torch.cat([hx[0], trace.h[0][:-1]]), y == before)
        kept = trace.c[0] == torch.cat([hx[1], trace.c[0][:-1]])
        assert abs(kept.double().mean() - 0.6) <= 5 * (0.6 * 0.4 / y.numel()) ** 0.5
    layer.eval()
    fresh = double(kind, 4, 128)
    fresh.load_state_dict(layer.state_dict())
    found, expected = flat(layer(x[:1], hx))[1:], flat(fresh(x[:1], hx))[1:]
    rates = zoneout if kind is LSTM else (zoneout,)
    for value, new, old, rate in zip(found, expected, states(hx), rates, strict=True):
        torch.testing.assert_close(value, rate * old + (1 - rate) * new)


# Traces


@pytest.mark.parametrize("options", [o for kind, o in VARIANTS.values() if kind is LSTM], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_trace(options, batch_first):
    layer = double(LSTM, 4, 6, 2, bidirectional=True, batch_first=batch_first, **options)
    x, hx = torch.randn(3, 5, 4).double(), random_state(layer, 3 if batch_first else 5)
    lengths = torch.tensor([5, 0, 3] if batch_first else [3, 0, 1, 2, 3])
    trace = layer.trace(x, hx, lengths=lengths)
    y, (_, c) = layer(x, hx, lengths=lengths)
    for name, value in zip(trace._fields, trace, strict=True):
        assert value.shape == (2, 3, 5, 2 * (layer.proj_size if name == "h" and layer.proj_size else 6))
    torch.testing.assert_close(trace.h[-1], y)
    sequence_, last = (0, 4) if batch_first else (0, 2)
    at = (sequence_, last) if batch_first else (last, sequence_)
    torch.testing.assert_close(trace.c[1][at][:6], c[2, sequence_])
    torch.testing.assert_close(trace.c[0][(0, 0)][6:], c[1, sequence_])
    assert ((trace.i >= 0) & (trace.i <= 1) & (trace.g.abs() <= 1)).all()
    if layer.coupled:
        alive = trace.i != 0
        torch.testing.assert_close((trace.f + trace.i)[alive], torch.ones_like(trace.i)[alive])
    one = layer.trace(x[0] if batch_first else x[:, 0], tuple(s[:, 0] for s in hx))
    torch.testing.assert_close(one.c, trace.c[:, 0] if batch_first else trace.c[:, :, 0])
    assert trace.f.sum().requires_grad


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "several"])
def test_a_trace_is_exact_where_products_are_rounded(options, learns):
    layer, x = LSTM(4, 6, **options), torch.randn(5, 3, 4)
    wanted = layer.trace(x)
    with torch.set_grad_enabled(learns), torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer.trace(x)
    for own, value in zip(wanted, found, strict=True):
        assert value.dtype == torch.float32
        # Without gradients autocast rounds what a layer reads.
        torch.testing.assert_close(value, own, rtol=0, atol=1e-6 if learns else 0.02)
    half = copy.deepcopy(layer).bfloat16()
    found = half.trace(x.bfloat16())
    for own, value in zip(wanted, found, strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, own, rtol=0, atol=0.02)


# Recomputation


@every_variant
@pytest.mark.parametrize("every", [1, 3, 7, 20])
def test_recomputed_segments_change_nothing(kind, options, every):
    masks = {} if "proj_size" in options else {"zoneout": 0.2}
    layer = double(kind, 4, 6, 2, bidirectional=True, recurrent_dropout=0.2, dropout=0.3, **masks, **options)
    layer.checkpoint_every = every
    plain = copy.deepcopy(layer)
    plain.checkpoint_every = None
    for batch_first in (False, True):
        layer.batch_first = plain.batch_first = batch_first
        shape = (3, 7) if batch_first else (7, 3)
        x = torch.randn(*shape, 4).double().requires_grad_()
        hx = random_state(layer, 3)
        arguments = {"lengths": torch.tensor([4, 0, 7]), "reset": torch.rand(shape) < 0.3}
        for names in ((), ("lengths",), ("reset",), ("lengths", "reset")):
            given = {name: arguments[name] for name in names}
            found, expected = (m(x, hx, generator=generator(), **given) for m in (layer, plain))
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(gradients(layer, found, x), gradients(plain, expected, x))
        read = {"output_steps": torch.tensor([5, 0, 6, 5, 1]), "generator": generator()}
        found, expected = layer(x, **read), plain(x, output_steps=read["output_steps"], generator=generator())
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(layer, found, x), gradients(plain, expected, x))
        torch.testing.assert_close(layer.eval()(x), plain.eval()(x))
        layer.train(), plain.train()
        torch.testing.assert_close(layer(x[0], generator=generator()), plain(x[0], generator=generator()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_recomputed_segments_keep_less():
    """What 4096 steps need beside inputs and outputs, as the process's peak tells it: less than a tenth."""
    program = """
import pathlib, torch
from fastlstm import LSTM
torch.set_num_threads(1)
def peak(T, every):
    layer = LSTM(8, 64, checkpoint_every=every)
    layer(torch.randn(T, 32, 8))[1][0].sum().backward()
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
before = peak(64, 64)
print(peak(4096, 64) - before, peak(4096, None) - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    segments, whole = map(int, done.stdout.split())
    rows, floats = 4096 * 32, 4
    assert whole > rows * 4 * 64 * floats  # the gates
    beside = rows * (8 + 2 * 64) * floats  # x; y in parts and as one
    assert segments - beside < (whole - beside) / 10


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_lengths_of_any_integer_type(dtype):
    layer, x = LSTM(4, 5, checkpoint_every=8), torch.randn(20, 2, 4)
    lengths = torch.tensor([5, 20])
    wanted = layer(x, lengths=lengths)[0]
    assert torch.equal(layer(x, lengths=lengths.to(dtype))[0], wanted)
    assert torch.equal(wanted[5:, 0], torch.zeros(15, 5))
