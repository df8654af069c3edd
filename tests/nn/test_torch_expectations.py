"""PyTorch's own expectations of its recurrent layers (torch.testing._internal.common_modules), held against ours."""

import copy
import io
import pickle

import pytest
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
from torch.testing._internal.common_utils import freeze_rng_state
from torch.utils._pytree import tree_leaves, tree_map

from fastlstm import GRU, LSTM, RNN

# torch says so of its own projected LSTM, once a process
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

OURS = {torch.nn.LSTM: LSTM, torch.nn.GRU: GRU, torch.nn.RNN: RNN}
INFOS = [info for info in module_db if info.module_cls in OURS]
DTYPES = [torch.float32, torch.float64]
everywhere = pytest.mark.parametrize("dtype", DTYPES, ids=str)
in_both_modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@pytest.fixture(params=INFOS, ids=lambda info: info.module_cls.__name__)
def info(request):
    return request.param


@pytest.fixture
def entries(info):
    """What torch has to try on one of its layers."""

    def make(dtype, requires_grad=False, training=True):
        return info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training
        )

    return make


@pytest.fixture
def build(info):
    """Our layer for an entry."""

    def make(entry, dtype, **more):
        arguments = {"dtype": dtype, **entry.constructor_input.kwargs, **more}
        return OURS[info.module_cls](*entry.constructor_input.args, **arguments)

    return make


@pytest.fixture
def twin(info):
    """torch's layer for an entry, with the parameters of ours."""

    def make(entry, ours):
        arguments = {**entry.constructor_input.kwargs, "dtype": next(ours.parameters()).dtype}
        theirs = info.module_cls(*entry.constructor_input.args, **arguments).train(ours.training)
        theirs.load_state_dict(ours.state_dict())
        return theirs

    return make


def test_there_are_entries(info, entries):
    assert len(entries(torch.float32)) == {"LSTM": 32, "GRU": 16, "RNN": 32}[info.module_cls.__name__]


@everywhere
@in_both_modes
def test_forward(entries, build, twin, dtype, training):
    for entry in entries(dtype, training=training):
        module = build(entry, dtype).train(training)
        args, kwargs = entry.forward_input.args, entry.forward_input.kwargs
        outputs = module(*args, **kwargs)
        expected = entry.reference_fn(twin(entry, module), *args, **kwargs)
        torch.testing.assert_close(outputs, expected)


@everywhere
@in_both_modes
def test_gradients_are_those_of_torch(entries, build, twin, dtype, training):
    for entry in entries(dtype, requires_grad=True, training=training):
        module = build(entry, dtype).train(training)
        found = []
        for layer in (module, twin(entry, module)):
            inputs = tree_map(lambda t: t.detach().clone().requires_grad_(), entry.forward_input.args)
            outputs = tree_leaves(layer(*inputs))
            leaves = [*tree_leaves(inputs), *layer.parameters()]
            found.append(torch.autograd.grad([(y * y).sum() for y in outputs], leaves))
        # The entries' values go up to 9: where tanh saturates, 1 - tanh² has few digits left of a float32, and either
        # side is off by up to 1e-5 of the largest value when compared with float64.
        tolerance = 3e-5 if dtype == torch.float32 else 1e-10
        for ours, theirs in zip(*found, strict=True):
            assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max().clamp(min=1)


@pytest.mark.parametrize(
    ("check", "training"),
    [
        (torch.autograd.gradcheck, True),
        (torch.autograd.gradcheck, False),
        (torch.autograd.gradgradcheck, False),
    ],
    ids=["train", "eval", "second derivatives"],
)
def test_gradcheck(entries, build, check, training):
    for entry in entries(torch.float64, requires_grad=True, training=training):
        module = build(entry, torch.float64).train(training)
        names, parameters = zip(*module.named_parameters(), strict=True)
        inputs = tree_leaves(entry.forward_input.args)

        def run(*leaves, module=module, names=names):
            x, *state = leaves[: -len(names)]
            state = tuple(state) if len(state) == 2 else state[0] if state else None
            parameters = dict(zip(names, leaves[-len(names) :], strict=True))
            return tree_leaves(torch.func.functional_call(module, parameters, (x, state)))

        assert check(run, (*inputs, *parameters), fast_mode=True)


@everywhere
def test_pickle_and_deepcopy(entries, build, dtype):
    for entry in entries(dtype):
        module = build(entry, dtype)
        args = entry.forward_input.args
        with freeze_rng_state():
            expected = module(*args)
        buffer = io.BytesIO()
        torch.save(module, buffer)
        buffer.seek(0)
        for twin_ in (
            torch.load(buffer, weights_only=False),
            pickle.loads(pickle.dumps(module)),
            copy.deepcopy(module),
            copy.copy(module),
        ):
            torch.testing.assert_close(twin_(*args), expected, rtol=0, atol=0)
            assert repr(twin_) == repr(module)


@everywhere
def test_non_contiguous_input(entries, build, dtype):
    for entry in entries(dtype, requires_grad=True):
        module = build(entry, dtype)
        args = entry.forward_input.args

        def spread(t):
            wide = torch.stack([t, torch.full_like(t, torch.nan)], dim=-1).detach()
            return wide[..., 0].requires_grad_()

        spread_args = tree_map(spread, args)
        assert any(not t.is_contiguous() for t in tree_leaves(spread_args) if t.numel() > 1)
        outputs, spread_outputs = (tree_leaves(module(*a)) for a in (args, spread_args))
        torch.testing.assert_close(spread_outputs, outputs, rtol=0, atol=0)
        # … and gradients that are not contiguous either
        gradients = [torch.randn(*y.shape, 2, dtype=dtype)[..., 0] for y in outputs]
        torch.testing.assert_close(
            torch.autograd.grad(spread_outputs, tree_leaves(spread_args), gradients),
            torch.autograd.grad(outputs, tree_leaves(args), gradients),
            rtol=0, atol=0,
        )  # fmt: skip


def test_to_another_dtype_and_back(entries, build):
    for entry in entries(torch.float32):
        module = build(entry, torch.float32)
        expected = module(*entry.forward_input.args)
        wide = module.to(torch.float64)(*tree_map(torch.Tensor.double, entry.forward_input.args))
        torch.testing.assert_close(tree_map(torch.Tensor.float, wide), expected)
        torch.testing.assert_close(
            module.to(torch.float32)(*entry.forward_input.args), expected, rtol=0, atol=0
        )


def test_initialised_on_a_device(entries, build):
    for entry in entries(torch.float32):
        on_meta = build(entry, torch.float32, device="meta")
        assert all(p.is_meta for p in on_meta.parameters())
        with torch.device("meta"):
            assert all(p.is_meta for p in build(entry, torch.float32).parameters())
        expected = build(entry, torch.float32)(*entry.forward_input.args)
        shapes = on_meta(*tree_map(lambda t: t.to("meta"), entry.forward_input.args))
        assert tree_map(lambda t: t.shape, shapes) == tree_map(lambda t: t.shape, expected)
        on_meta.to_empty(device="cpu").reset_parameters()
        assert all(torch.isfinite(p).all() for p in on_meta.parameters())


def test_error_inputs(info, build):
    errors = info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    )
    assert len(errors) > 10
    for error in errors:
        entry = error.module_error_input
        if error.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error.error_type, match=error.error_regex):
                build(entry, torch.float32)
        else:
            module = build(entry, torch.float32)
            with pytest.raises(error.error_type, match=error.error_regex):
                module(*entry.forward_input.args, **entry.forward_input.kwargs)
