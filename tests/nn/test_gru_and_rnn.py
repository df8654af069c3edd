"""What people do with nn.GRU and nn.RNN, done with ours."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from fastlstm import GRU, RNN

LAYERS = {
    "GRU": (nn.GRU, GRU, {}),
    "RNN tanh": (nn.RNN, RNN, {}),
    "RNN relu": (nn.RNN, RNN, {"nonlinearity": "relu"}),
}
OPTIONS = [
    dict(zip(("num_layers", "bias", "batch_first", "bidirectional"), values, strict=True))
    for values in itertools.product((1, 3), (True, False), (True, False), (True, False))
]


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def pair(request):
    """Make torch's layer and ours from the same seed."""
    torchs, own, options = request.param

    def make(*args, **kwargs):
        layers = []
        for kind in (torchs, own):
            torch.manual_seed(3)
            layers.append(kind(*args, **options, **kwargs))
        return layers

    return make


def gradients(layer, outputs):
    y, h = outputs
    y = y.data if isinstance(y, PackedSequence) else y
    return torch.autograd.grad(y.square().sum() + h.sum(), list(layer.parameters()))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bit_identical_start_and_same_numbers(pair, options):
    theirs, ours = pair(4, 6, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert repr(ours) == repr(theirs)
    x = torch.randn(3, 7, 4)
    h0 = torch.randn(
        options["num_layers"] * (1 + options["bidirectional"]), 3 if options["batch_first"] else 7, 6
    )
    for arguments in ((x,), (x, h0), (x[0],), (x[0], h0[:, 0])):
        found, expected = ours(*arguments), theirs(*arguments)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(ours, found), gradients(theirs, expected))


def test_positional_arguments_as_torch_takes_them():
    assert repr(GRU(3, 4, 2, False, True, 0.5, True)) == repr(nn.GRU(3, 4, 2, False, True, 0.5, True))
    for nonlinearity in ("tanh", "relu"):
        arguments = (3, 4, 2, nonlinearity, False, True, 0.5, True)
        ours, theirs = RNN(*arguments), nn.RNN(*arguments)
        assert repr(ours) == repr(theirs)
        assert ours.nonlinearity == theirs.nonlinearity
        assert ours.mode == theirs.mode


def test_state_dict_both_ways(pair):
    theirs, ours = pair(4, 6, 2, bidirectional=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 2, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_packed_sequences(pair, enforce_sorted, bidirectional, with_state):
    theirs, ours = pair(4, 6, 2, bidirectional=bidirectional)
    sequences = [torch.randn(n, 4) for n in ((5, 3, 3, 1) if enforce_sorted else (3, 1, 5, 3))]
    packed = pack_sequence(sequences, enforce_sorted=enforce_sorted)
    state = torch.randn(4 if bidirectional else 2, 4, 6) if with_state else None
    found, expected = ours(packed, state), theirs(packed, state)
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(pad_packed_sequence(found[0]), pad_packed_sequence(expected[0]))
    torch.testing.assert_close(gradients(ours, found), gradients(theirs, expected))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_are_a_packed_sequence_without_the_packing(pair, bidirectional):
    theirs, ours = pair(4, 6, 2, batch_first=True, bidirectional=bidirectional)
    x, lengths = torch.randn(5, 7, 4), torch.tensor([3, 7, 1, 7, 2])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected_y, expected_state = theirs(packed)
    y, state = ours(x, lengths=lengths)
    padded, _ = pad_packed_sequence(expected_y, batch_first=True, total_length=7)
    torch.testing.assert_close(y, padded)
    torch.testing.assert_close(state, expected_state)
    torch.testing.assert_close(gradients(ours, (y, state)), gradients(theirs, (expected_y, expected_state)))


def test_length_zero_keeps_the_state_it_came_with(pair):
    _, layer = pair(4, 6, 2)
    h0 = torch.randn(2, 3, 6)
    y, h = layer(torch.randn(5, 3, 4), h0, lengths=[0, 5, 0])
    assert not y[:, [0, 2]].any()
    assert torch.equal(h[:, [0, 2]], h0[:, [0, 2]])


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.randn(0, 3, 4),),
        (torch.randn(5, 3, 5),),
        (torch.randn(4),),
        (torch.randn(5, 3, 4), torch.randn(1, 3, 7)),
        (torch.randn(5, 3, 4), torch.randn(1, 2, 6)),
        (torch.randn(5, 3, 4), torch.randn(1, 6)),
        (torch.randn(5, 4), torch.randn(1, 3, 6)),
        (torch.randn(5, 3, 4).double(),),
    ],
    ids=lambda arguments: str([tuple(t.shape) for t in arguments]),
)
def test_torchs_own_errors(pair, arguments):
    theirs, ours = pair(4, 6)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(*arguments)
    with pytest.raises(expected.type) as found:
        ours(*arguments)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        (nn.GRU, GRU, {"proj_size": 2}),
        (nn.RNN, RNN, {"proj_size": 2}),
        (nn.RNN, RNN, {"nonlinearity": "sine"}),
        (nn.GRU, GRU, {"dropout": 1.5}),
    ],
)
def test_torchs_own_errors_of_construction(theirs, ours, options):
    messages = []
    for kind in (theirs, ours):
        with pytest.raises(ValueError) as raised:  # noqa: PT011 the messages are compared
            kind(3, 4, 2, **options)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_a_state_that_is_not_one(pair):
    _, ours = pair(4, 6)
    h0 = torch.zeros(1, 3, 6)
    with pytest.raises(TypeError, match="is one tensor h, got tuple"):
        ours(torch.randn(5, 3, 4), (h0, h0))
    with pytest.raises(RuntimeError, match=r"hx has dtype torch.float64, but the input has torch.float32"):
        ours(torch.randn(5, 3, 4), h0.double())


def test_zero_batch(pair):
    theirs, ours = pair(4, 6, 2)
    x = torch.randn(5, 0, 4)
    found, expected = ours(x), theirs(x)
    assert [v.shape for v in found] == [v.shape for v in expected]
    assert not any(g.any() for g in gradients(ours, found))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(pair, dtype):
    layer = pair(4, 6, 2)[1].to(dtype)
    x = torch.randn(5, 3, 4, dtype=dtype)
    y, h = layer(x)
    exact, _ = copy.deepcopy(layer).float()(x.float())
    assert y.dtype == h.dtype == dtype
    torch.testing.assert_close(y.float(), exact, rtol=2e-2, atol=8e-3)  # a bfloat16 has 8 bits
    y.sum().backward()
    assert all(p.grad.dtype == dtype and p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("with_state", [False, True])
def test_autocast(pair, with_state):
    theirs, ours = pair(4, 6, 2)
    x = torch.randn(5, 3, 4)
    state = torch.randn(2, 3, 6) if with_state else None
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = ours(x, state), theirs(x, state)
    # What every layer of torch's gives but its GRU on the CPU, which returns float32.
    assert all(value.dtype == torch.bfloat16 for value in found)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-2, check_dtype=False)
    assert all(g.dtype == torch.float32 for g in gradients(ours, found))


def test_compile_without_graph_breaks(pair):
    torch._dynamo.reset()
    _, layer = pair(4, 6, 2, batch_first=True, bidirectional=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for shape in ((3, 5, 4), (2, 8, 4)):
        x, lengths = torch.randn(shape, requires_grad=True), torch.randint(0, shape[1] + 1, shape[:1])
        for options in ({}, {"lengths": lengths}, {"hx": torch.randn(4, shape[0], 6)}):
            found, expected = compiled(x, **options), layer(x, **options)
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(gradients(layer, found), gradients(layer, expected))
