"""What people do with nn.LSTM, done with fastlstm.LSTM."""

import copy
import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

import fastlstm
from fastlstm import LSTM

OPTIONS = [
    dict(zip(("num_layers", "bias", "batch_first", "bidirectional", "proj_size"), values, strict=True))
    for values in itertools.product((1, 3), (True, False), (True, False), (True, False), (0, 3))
]
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def pair(*args, **kwargs):
    """A torch.nn.LSTM and a fastlstm.LSTM made from the same seed."""
    torch.manual_seed(3)
    theirs = nn.LSTM(*args, **kwargs)
    torch.manual_seed(3)
    return theirs, LSTM(*args, **kwargs)


def gradients(layer, outputs):
    y, (h, c) = outputs
    y = y.data if isinstance(y, PackedSequence) else y
    return torch.autograd.grad(y.square().sum() + h.sum() + c.square().sum(), list(layer.parameters()))


def test_the_two_first_snippets():
    """The examples of torch.nn.LSTM's documentation, with the import changed."""
    rnn = LSTM(10, 20, 2)
    input_ = torch.randn(5, 3, 10)
    h0, c0 = torch.randn(2, 3, 20), torch.randn(2, 3, 20)
    output, (hn, cn) = rnn(input_, (h0, c0))
    assert output.shape == (5, 3, 20)
    assert hn.shape == cn.shape == (2, 3, 20)

    rnn = LSTM(10, 20, 2, batch_first=True)
    output, (hn, cn) = rnn(torch.randn(3, 5, 10))
    assert output.shape == (3, 5, 20)
    assert hn.shape == cn.shape == (2, 3, 20)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bit_identical_start_and_same_numbers(options):
    theirs, ours = pair(4, 6, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert repr(ours) == repr(theirs)
    x = torch.randn(3, 7, 4)
    found, expected = ours(x), theirs(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(ours, found), gradients(theirs, expected))


def test_state_dict_both_ways():
    theirs, ours = nn.LSTM(4, 6, 2, bidirectional=True), LSTM(4, 6, 2, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 2, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    other = LSTM(4, 6, 2, bidirectional=True)
    theirs.load_state_dict(other.state_dict())
    torch.testing.assert_close(other(x), theirs(x))


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_packed_sequences(enforce_sorted, bidirectional, with_state):
    theirs, ours = pair(4, 6, 2, bidirectional=bidirectional)
    sequences = [torch.randn(n, 4) for n in ((5, 3, 3, 1) if enforce_sorted else (3, 1, 5, 3))]
    packed = pack_sequence(sequences, enforce_sorted=enforce_sorted)
    layers = 4 if bidirectional else 2
    state = (torch.randn(layers, 4, 6), torch.randn(layers, 4, 6)) if with_state else None
    found, expected = ours(packed, state), theirs(packed, state)
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(pad_packed_sequence(found[0]), pad_packed_sequence(expected[0]))
    torch.testing.assert_close(gradients(ours, found), gradients(theirs, expected))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_are_a_packed_sequence_without_the_packing(bidirectional):
    theirs, ours = pair(4, 6, 2, batch_first=True, bidirectional=bidirectional)
    x, lengths = torch.randn(5, 7, 4), torch.tensor([3, 7, 1, 7, 2])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected_y, expected_state = theirs(packed)
    y, state = ours(x, lengths=lengths)
    padded, _ = pad_packed_sequence(expected_y, batch_first=True, total_length=7)
    torch.testing.assert_close(y, padded)
    torch.testing.assert_close(state, expected_state)
    torch.testing.assert_close(gradients(ours, (y, state)), gradients(theirs, (expected_y, expected_state)))
    for same in (lengths.tolist(), lengths.int(), lengths.numpy()):
        torch.testing.assert_close(ours(x, lengths=same)[0], y, rtol=0, atol=0)


def test_length_zero_keeps_the_state_it_came_with():
    layer = LSTM(4, 6, 2)
    state = torch.randn(2, 3, 6), torch.randn(2, 3, 6)
    y, (h, c) = layer(torch.randn(5, 3, 4), state, lengths=[0, 5, 0])
    assert not y[:, [0, 2]].any()
    for last, first in ((h, state[0]), (c, state[1])):
        assert torch.equal(last[:, [0, 2]], first[:, [0, 2]])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 2], r"expected shape \(3,\)"),
        ([1.0, 2.0, 3.0], "expected integers, got torch.float32"),
        ([1, 2, 6], "must lie in 0 … 5"),
        ([True, False, True], "expected integers, got torch.bool"),
    ],
)
def test_lengths_that_do_not_fit(lengths, message):
    with pytest.raises(ValueError, match=message):
        LSTM(4, 6)(torch.randn(5, 3, 4), lengths=lengths)


def test_lengths_and_packed():
    with pytest.raises(ValueError, match="a PackedSequence has its own"):
        LSTM(4, 6)(pack_sequence([torch.randn(2, 4)]), lengths=[2])


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.randn(0, 3, 4),),
        (torch.randn(5, 3, 5),),
        (torch.randn(4),),
        (torch.randn(5, 3, 4), (torch.randn(1, 3, 7), torch.randn(1, 3, 6))),
        (torch.randn(5, 3, 4), (torch.randn(1, 3, 6), torch.randn(1, 2, 6))),
        (torch.randn(5, 3, 4), (torch.randn(1, 6), torch.randn(1, 6))),
        (torch.randn(5, 4), (torch.randn(1, 3, 6), torch.randn(1, 3, 6))),
        (torch.randn(5, 3, 4).double(),),
    ],
    ids=lambda arguments: str([tuple(t.shape) if torch.is_tensor(t) else "state" for t in arguments]),
)
def test_torchs_own_errors(arguments):
    theirs, ours = pair(4, 6)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(*arguments)
    with pytest.raises(expected.type) as found:
        ours(*arguments)
    assert str(found.value) == str(expected.value)


def test_a_state_of_another_dtype():
    state = torch.zeros(1, 3, 6, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"hx has dtype torch.float64, but the input has torch.float32"):
        LSTM(4, 6)(torch.randn(5, 3, 4), (state, state))


@pytest.mark.parametrize("batch_first", [False, True])
def test_zero_batch(batch_first):
    theirs, ours = pair(4, 6, 2, batch_first=batch_first)
    x = torch.randn(0, 5, 4) if batch_first else torch.randn(5, 0, 4)
    found, expected = ours(x), theirs(x)
    assert found[0].shape == expected[0].shape
    assert [s.shape for s in found[1]] == [s.shape for s in expected[1]]
    assert not any(g.any() for g in gradients(ours, found))


def test_dropout_between_layers():
    x = torch.randn(50, 20, 4)
    layer = LSTM(4, 64, 2, dropout=0.5)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    torch.manual_seed(0)
    first = layer(x)[0]
    torch.manual_seed(0)
    assert torch.equal(layer(x)[0], first)
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    all_dropped = LSTM(4, 64, 2, dropout=1.0)
    without_input = LSTM(64, 64)
    without_input.load_state_dict(
        {k.replace("l1", "l0"): v for k, v in all_dropped.state_dict().items() if "l1" in k}
    )
    torch.testing.assert_close(all_dropped(x)[0], without_input(torch.zeros(50, 20, 64))[0])
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        LSTM(4, 6, dropout=0.5)


def test_backward_in_eval_mode():
    layer = LSTM(4, 6).eval()
    layer(torch.randn(5, 3, 4))[0].sum().backward()
    assert all(p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("hidden", [64, 256])
@pytest.mark.parametrize(("forward", "backward"), [(1, 2), (2, 1), (3, 1)])
def test_threads_may_change_between_the_passes(hidden, forward, backward, set_threads):
    """The backward pass reads what the forward pass kept, which lies as its threads shared the work."""
    theirs, ours = pair(8, hidden)
    x = torch.randn(4, 64, 8)
    expected = gradients(theirs, theirs(x))
    set_threads(forward)
    found = ours(x)
    set_threads(backward)
    torch.testing.assert_close(gradients(ours, found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    layer = LSTM(4, 6, 2).to(dtype)
    x = torch.randn(5, 3, 4, dtype=dtype)
    y, (h, c) = layer(x)
    exact, _ = copy.deepcopy(layer).float()(x.float())
    assert y.dtype == h.dtype == c.dtype == dtype
    torch.testing.assert_close(y.float(), exact, rtol=2e-2, atol=4e-3)  # a bfloat16 has 8 bits
    y.sum().backward()
    assert all(p.grad.dtype == dtype and p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("with_state", [False, True])
def test_autocast(with_state):
    theirs, ours = pair(4, 6, 2)
    x = torch.randn(5, 3, 4)
    state = (torch.randn(2, 3, 6), torch.randn(2, 3, 6)) if with_state else None
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = ours(x, state), theirs(x, state)
        ours(x.bfloat16())
    assert found[0].dtype == expected[0].dtype == torch.bfloat16
    assert found[1][1].dtype == expected[1][1].dtype
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-2)
    assert all(g.dtype == torch.float32 for g in gradients(ours, found))


class TestParametersAreReadAtEveryCall:
    x = torch.randn(5, 3, 4)

    def both(self, change):
        """Outputs and gradients of both layers after the same change."""
        layers = pair(4, 6)
        for layer in layers:
            change(layer)
        for _ in range(2):
            expected, found = (layer(self.x) for layer in layers)
            torch.testing.assert_close(found, expected)
        theirs, ours = layers
        torch.testing.assert_close(gradients(ours, found), gradients(theirs, expected))
        return ours

    def test_weight_norm(self):
        ours = self.both(lambda layer: parametrizations.weight_norm(layer, "weight_hh_l0"))
        before = ours(self.x)[0]
        with torch.no_grad():
            ours.parametrizations.weight_hh_l0.original0.mul_(0)
        assert not torch.equal(ours(self.x)[0], before)

    def test_parametrize(self):
        class Half(nn.Module):
            def forward(self, weight):
                return weight / 2

        self.both(lambda layer: parametrize.register_parametrization(layer, "weight_hh_l0", Half()))

    def test_prune(self):
        def change(layer):
            torch.manual_seed(0)
            prune.random_unstructured(layer, "weight_ih_l0", 0.5)

        self.both(change)

    def test_functional_call(self):
        layer = LSTM(4, 6)
        doubled = {name: 2 * p for name, p in layer.named_parameters()}
        y, _ = torch.func.functional_call(layer, doubled, (self.x,))
        with torch.no_grad():
            for p in layer.parameters():
                p.mul_(2)
        torch.testing.assert_close(layer(self.x)[0], y)

    def test_writes_to_data(self):
        layer = LSTM(4, 6)
        before = layer(self.x)[0]
        for p in layer.parameters():
            p.data.zero_()
        assert not layer(self.x)[0].any()
        assert before.any()


@pytest.mark.parametrize("dynamic", [None, True])
def test_compile_without_graph_breaks(dynamic):
    torch._dynamo.reset()
    layer = LSTM(4, 6, 2, batch_first=True, bidirectional=True)
    compiled = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for shape in ((3, 5, 4), (2, 8, 4)):
        x, lengths = torch.randn(shape, requires_grad=True), torch.randint(0, shape[1] + 1, shape[:1])
        for options in (
            {},
            {"lengths": lengths},
            {"hx": (torch.randn(4, shape[0], 6), torch.randn(4, shape[0], 6))},
        ):
            found, expected = compiled(x, **options), layer(x, **options)
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(gradients(layer, found), gradients(layer, expected))
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), layer(x))


def test_export():
    layer = LSTM(4, 6, 2)
    x = torch.randn(5, 3, 4)
    program = torch.export.export(
        layer, (x,), dynamic_shapes=({0: torch.export.Dim("T", min=2), 1: torch.export.Dim("B", min=2)},)
    )
    for shape in ((5, 3, 4), (9, 7, 4)):
        x = torch.randn(shape)
        torch.testing.assert_close(program.module()(x), layer(x))


def test_shared_memory_of_outputs_is_safe_to_change():
    layer = LSTM(4, 6)
    y, (h, _) = layer(torch.randn(5, 3, 4))
    assert y.data_ptr() != h.data_ptr()
    before = h.clone()
    y.detach().zero_()
    assert torch.equal(h, before)


def test_no_warning_for_a_weight_that_is_not_one_block():
    """torch.nn.LSTM warns where its weights are not one chunk of memory; nothing here needs that."""
    layer = LSTM(4, 6)
    layer.weight_hh_l0 = nn.Parameter(torch.randn(6, 24).T)
    layer.flatten_parameters()
    theirs = nn.LSTM(4, 6)
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(5, 3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = layer(x)
    torch.testing.assert_close(found, theirs(x))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda layer, x: layer(x, lengths="abc"),
            TypeError,
            "lengths: expected integers, one a sequence, got 'abc'",
        ),
        (lambda layer, x: layer(x, lengths=[None, 1]), TypeError, "lengths: expected integers"),
        (lambda layer, x: layer(x, generator=0), TypeError, "expected a torch.Generator or None, got int"),
        (lambda layer, x: fastlstm.replace(type(layer)), TypeError, "replace: expected a model, got <class"),
        (lambda layer, x: layer(x[:, :0], weights="bfloat16"), ValueError, "they let no gradient through"),
    ],
)
def test_what_was_given_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call(LSTM(4, 6), torch.zeros(3, 2, 4))
