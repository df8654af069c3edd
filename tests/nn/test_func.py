"""torch.func, forward-mode differentiation and derivatives of derivatives, against autograd one call at a time."""

import pytest
import torch
from torch.autograd import forward_ad, functional
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from fastlstm import GRU, LSTM, RNN

# torch's forward-mode differentiation says so of itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

FLOAT64 = {"dtype": torch.float64}
LAYERS = {
    "LSTM": lambda: LSTM(3, 4, 2, bidirectional=True, **FLOAT64),
    "GRU": lambda: GRU(3, 4, batch_first=True, **FLOAT64),
    "RNN": lambda: RNN(3, 4, bias=False, **FLOAT64),
    "variants": lambda: LSTM(3, 4, layer_norm=True, peephole=True, coupled=True, **FLOAT64),
    "projection": lambda: LSTM(3, 4, proj_size=2, learn_initial_state=True, **FLOAT64),
}
every_layer = pytest.mark.parametrize("layer", LAYERS, indirect=True)
T, B, V = 5, 2, 6


@pytest.fixture
def layer(request):
    made = LAYERS[request.param]()
    if made.learn_initial_state:
        with torch.no_grad():
            for state in (made.h0, made.c0):
                state.normal_()
    return made


def inputs(layer, *more):
    return torch.randn(*more, *((B, T) if layer.batch_first else (T, B)), 3, dtype=torch.float64)


def ragged(layer):
    """Lengths and resets, the way in which a layer takes them."""
    shape = (B, T) if layer.batch_first else (T, B)
    return {"lengths": torch.tensor([5, 2]), "reset": torch.rand(shape) < 0.3}


def parameters_of(layer):
    return {name: parameter.detach() for name, parameter in layer.named_parameters()}


def losses(layer, **options):
    def loss(parameters, x):
        y, state = functional_call(layer, parameters, (x,), options)
        return y.square().sum() + (state if isinstance(state, torch.Tensor) else state[1]).sum()

    return loss


def gradients(layer, loss, parameters, x):
    leaves = {name: parameter.clone().requires_grad_() for name, parameter in parameters.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves, x), list(leaves.values())), strict=True))


@every_layer
@pytest.mark.parametrize("is_ragged", [False, True])
def test_gradients_of_each_sample(layer, is_ragged):
    loss = losses(layer, **ragged(layer) if is_ragged else {})
    parameters, xs = parameters_of(layer), inputs(layer, V)
    found = vmap(grad(loss), in_dims=(None, 0))(parameters, xs)
    expected = [gradients(layer, loss, parameters, x) for x in xs]
    for name in parameters:
        torch.testing.assert_close(found[name], torch.stack([each[name] for each in expected]))


@every_layer
def test_gradients_of_inputs_of_each_sample(layer):
    loss, parameters, xs = losses(layer, **ragged(layer)), parameters_of(layer), inputs(layer, V)
    found = vmap(grad(loss, argnums=1), in_dims=(None, 0))(parameters, xs)
    torch.testing.assert_close(found, torch.stack([grad(loss, argnums=1)(parameters, x) for x in xs]))
    leaf = xs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(sum(loss(parameters, x) for x in leaf), leaf)
    torch.testing.assert_close(found, expected)


@every_layer
def test_an_ensemble(layer):
    loss, x = losses(layer), inputs(layer)
    members = {name: torch.stack([p, p / 2, -p]) for name, p in parameters_of(layer).items()}
    one = [{name: p[place] for name, p in members.items()} for place in range(3)]
    outputs = vmap(lambda own: functional_call(layer, own, (x,))[0])(members)
    torch.testing.assert_close(outputs, torch.stack([functional_call(layer, own, (x,))[0] for own in one]))
    found = vmap(grad(loss), in_dims=(0, None))(members, x)
    for place, own in enumerate(one):
        expected = gradients(layer, loss, own, x)
        torch.testing.assert_close({name: g[place] for name, g in found.items()}, expected)


def _steps(layer, x, options):
    return layer(x, output_steps=options)[0]


# What else than the input may be mapped: (values for each place, the call that takes them)
ALSO_MAPPED = {
    "lengths": (lambda: torch.randint(0, T + 1, (V, B)), lambda layer, x, n: layer(x, lengths=n)[0]),
    "resets": (lambda: torch.rand(V, T, B) < 0.3, lambda layer, x, reset: layer(x, reset=reset)[0]),
    "states": (
        lambda: torch.randn(V, 2, 4, B, 4, dtype=torch.float64),
        lambda layer, x, state: layer(x, (state[0], state[1]))[1][1],
    ),
    "output steps": (lambda: torch.randint(0, T, (V, 2)), _steps),
}


@pytest.mark.parametrize("what", ALSO_MAPPED)
@pytest.mark.parametrize("dim", [0, 2])
def test_what_is_mapped(what, dim):
    layer, (make, run) = LAYERS["LSTM"](), ALSO_MAPPED[what]
    xs, more = inputs(layer, V), make()
    found = vmap(lambda x, m: run(layer, x, m), in_dims=(dim, 0), out_dims=1)(xs.movedim(0, dim), more)
    expected = torch.stack([run(layer, x, m) for x, m in zip(xs, more, strict=True)], dim=1)
    torch.testing.assert_close(found, expected)

    def loss(x, m):
        return run(layer, x, m).square().sum()

    torch.testing.assert_close(
        vmap(grad(loss))(xs, more), torch.stack([grad(loss)(x, m) for x, m in zip(xs, more, strict=True)])
    )
    torch.testing.assert_close(  # what is mapped, without what is not
        vmap(lambda m: run(layer, xs[0], m))(more), torch.stack([run(layer, xs[0], m) for m in more])
    )


@pytest.mark.parametrize("V", [1, 3])
def test_mapped_twice(V):
    """What the inner level's forward pass kept is of as many sequences as the outer level has."""
    layer = LAYERS["LSTM"]()
    xs = inputs(layer, V, 3)[:, :, :3]

    def jacobian(x):
        return jacrev(lambda x: layer(x)[0].sum(0))(x)

    loss, parameters = losses(layer), parameters_of(layer)
    for function in (
        jacobian,
        lambda x: grad(loss, argnums=1)(parameters, x),
        lambda x: grad(loss)(parameters, x)["weight_hh_l1"],
        lambda x: jacrev(lambda own: functional_call(layer, own, (x,))[0].sum((0, 1)))(parameters)[
            "bias_ih_l0"
        ],
    ):
        expected = torch.stack([torch.stack([function(x) for x in row]) for row in xs])
        torch.testing.assert_close(vmap(vmap(function))(xs), expected)


@pytest.mark.parametrize("randomness", ["same", "different"])
@pytest.mark.parametrize(
    "options", [{"recurrent_dropout": 0.5}, {"zoneout": 0.5}, {"dropout": 0.5, "num_layers": 2}], ids=str
)
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_masks_of_each_sample(kind, options, randomness):
    layer = kind(3, 8, **options, **FLOAT64)
    loss, same = losses(layer), inputs(layer).expand(V, -1, -1, -1)
    found = vmap(grad(loss), in_dims=(None, 0), randomness=randomness)(parameters_of(layer), same)
    y = vmap(lambda x: layer(x)[0], randomness=randomness)(same)
    for first, second in (found["weight_hh_l0"][:2], y[:2]):
        assert torch.equal(first, second) == (randomness == "same")


@every_layer
def test_jacobians(layer):
    x = inputs(layer)
    x = x[:, :3] if layer.batch_first else x[:3]

    def run(x):
        return layer(x)[0]

    expected = functional.jacobian(run, x)
    for found in (jacrev(run)(x), jacfwd(run)(x), functional.jacobian(run, x, vectorize=True)):
        torch.testing.assert_close(found, expected)


@every_layer
def test_hessians(layer):
    x = inputs(layer)
    x = x[:, :3] if layer.batch_first else x[:3]

    def loss(x):
        return layer(x)[0].square().sum()

    expected = functional.hessian(loss, x)
    for found in (hessian(loss), jacrev(jacrev(loss)), jacrev(jacfwd(loss)), jacfwd(jacfwd(loss))):
        torch.testing.assert_close(found(x), expected)
    tangent = torch.randn_like(x)
    expected = functional.hvp(loss, x, tangent)[1]
    torch.testing.assert_close(jvp(grad(loss), (x,), (tangent,))[1], expected)
    torch.testing.assert_close(grad(lambda x: jvp(loss, (x,), (tangent,))[1])(x), expected)


@every_layer
def test_forward_mode(layer):
    x = inputs(layer)
    tangents = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    parameters, tangent = parameters_of(layer), torch.randn_like(x)
    options = ragged(layer)

    def run(parameters, x):
        return functional_call(layer, parameters, (x,), options)[0]

    y, found = jvp(run, (parameters, x), (tangents, tangent))
    torch.testing.assert_close(y, run(parameters, x))
    names = list(parameters)

    def flat(x, *own):
        return run(dict(zip(names, own, strict=True)), x)

    _, expected = functional.jvp(flat, (x, *parameters.values()), (tangent, *tangents.values()))
    torch.testing.assert_close(found, expected)
    with forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(p, tangents[name]) for name, p in parameters.items()}
        y = run(dual, forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, expected)


def test_gradcheck_in_forward_mode():
    layer = LAYERS["LSTM"]()
    x = inputs(layer)[:3].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: layer(x)[0],
        (x,),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_lengths_out_of_range_under_a_transform(mode):
    layer = LAYERS["LSTM"]()
    lengths = torch.full((V, B), T)
    lengths[3, 1] = T + 1

    def run(x, own):
        def loss(x):
            return layer(x, lengths=own)[0].sum()

        return grad(loss)(x) if mode == "reverse" else jvp(loss, (x,), (x,))

    with pytest.raises(ValueError, match="lengths must lie in 0 … 5"):
        vmap(run)(inputs(layer, V), lengths)


@every_layer
def test_third_derivatives_and_mixtures(layer):
    """Levels of torch.func, autograd outside of them, and a gradient that is used after its level is no more."""
    x = inputs(layer)
    x = x[:, :3] if layer.batch_first else x[:3]

    def loss(x):
        return layer(x)[0].square().sum()

    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), leaf, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), leaf)

    def slope(x):
        return grad(lambda x: grad(loss)(x).square().sum())(x)

    torch.testing.assert_close(slope(x), second.detach())
    torch.testing.assert_close(grad(lambda x: slope(x).sum())(x), third)
    (mixed,) = torch.autograd.grad(grad(loss)(leaf).square().sum(), leaf)
    torch.testing.assert_close(mixed, second.detach())
    y, pull_back = vjp(lambda x: layer(x)[0], x)
    dy = torch.randn_like(y)
    dx, tangent = jvp(lambda dy: pull_back(dy)[0], (dy,), (2 * dy,))
    torch.testing.assert_close(tangent, 2 * dx)  # it is linear
