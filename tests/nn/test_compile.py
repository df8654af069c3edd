"""torch.compile, torch.export and torch.jit.trace: the graph holds the op, whatever the sizes."""

import io
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._dynamo import compiled_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.nn.utils.rnn import pack_padded_sequence

from fastlstm import GRU, LSTM, RNN

# What torch's own compilers and exporters warn of in themselves
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning",
    "ignore::torch.jit.TracerWarning",
)

SIZES = [(5, 3), (9, 7), (4, 11), (12, 2)]  # T, B
LAYERS = {
    "LSTM": lambda: LSTM(4, 6, 2, bidirectional=True, batch_first=True),
    "variants": lambda: LSTM(
        4, 6, layer_norm=True, peephole=True, coupled=True, zoneout=0.3, recurrent_dropout=0.3
    ),
    "projection": lambda: LSTM(4, 6, 2, proj_size=3, dropout=0.3, learn_initial_state=True),
    "GRU": lambda: GRU(4, 6, bidirectional=True, recurrent_dropout=0.3, zoneout=0.3),
    "RNN": lambda: RNN(4, 6, 2, dropout=0.3, zoneout=0.3),
    "checkpoints": lambda: LSTM(4, 6, checkpoint_every=2),
}


@pytest.fixture(autouse=True)
def _afresh():
    torch._dynamo.reset()


def arguments_for(layer, T, B):
    """An input with lengths, resets and, for two layers, output steps."""
    rows = (B, T) if layer.batch_first else (T, B)
    options = {"lengths": torch.randint(0, T + 1, (B,)), "reset": torch.rand(rows) < 0.3}
    if layer.num_layers == 2:
        options["output_steps"] = torch.tensor([T - 1, 0])
    return torch.randn(*rows, 4, requires_grad=True), options


def with_gradients(layer, x, options):
    """Outputs, and gradients of everything, for the same draws every time."""
    torch.manual_seed(3)
    y, state = layer(x, **options)
    outputs = [y, *(state if isinstance(state, tuple) else [state])]
    weights = [torch.linspace(-1, 1, output.numel()).view(output.shape) for output in outputs]
    loss = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True))
    return [*outputs, *torch.autograd.grad(loss, [x, *layer.parameters()], allow_unused=True)]


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_one_graph_for_all_sizes(make):
    layer, counter = make(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=counter)
    graphs = set()
    for T, B in SIZES:
        arguments = arguments_for(layer, T, B)
        found = with_gradients(compiled, *arguments)
        torch.testing.assert_close(found, with_gradients(layer, *arguments))
        graphs.add(counter.frame_count)
    assert len(graphs) == 1


def test_one_more_graph_when_sizes_turn_out_to_change():
    layer, counter = LAYERS["LSTM"](), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    counts = []
    for T, B in SIZES:
        arguments = arguments_for(layer, T, B)
        torch.testing.assert_close(with_gradients(compiled, *arguments), with_gradients(layer, *arguments))
        counts.append(counter.frame_count)
    assert len(set(counts[1:])) == 1


def test_packed_sequences():
    layer, counter = GRU(4, 6, bidirectional=True), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=counter)
    graphs = set()
    for T, B in SIZES:
        lengths = torch.tensor([T, *torch.randint(1, T + 1, (B - 1,)).tolist()])
        packed = pack_padded_sequence(torch.randn(T, B, 4), lengths, enforce_sorted=False)
        (found, state), (expected, expected_state) = compiled(packed), layer(packed)
        torch.testing.assert_close((found.data, state), (expected.data, expected_state))
        graphs.add(counter.frame_count)
    assert len(graphs) == 1


def test_inductor():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = LSTM(4, 6, bidirectional=True), nn.Linear(12, 3)

        def forward(self, x, lengths):
            return self.out(torch.relu(self.lstm(x * 2, lengths=lengths)[0]))

    model = Model()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for T, B in SIZES[:2]:
        x, lengths = torch.randn(T, B, 4), torch.randint(0, T + 1, (B,))
        found, expected = compiled(x, lengths), model(x, lengths)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(
            *(torch.autograd.grad(y.sum(), model.parameters()) for y in (found, expected))
        )


def _weights_gradient(layer, x):
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}

    def loss(parameters, x):
        return functional_call(layer, parameters, (x,))[0].square().sum()

    return vmap(grad(loss), in_dims=(None, 1))(parameters, x)


TRANSFORMED = {
    "vmap(grad)": _weights_gradient,
    "jvp": lambda layer, x: jvp(lambda x: layer(x)[0], (x,), (x,)),
    "jacrev": lambda layer, x: jacrev(lambda x: layer(x)[0].sum(0))(x),
}


@pytest.mark.parametrize("function", TRANSFORMED.values(), ids=TRANSFORMED)
def test_transforms_inside(function):
    layer, x = LSTM(4, 6), torch.randn(3, 2, 4)
    compiled = torch.compile(lambda x: function(layer, x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), function(layer, x))


def test_a_compiled_backward_pass_of_a_call_that_was_not():
    layer, x = LSTM(4, 6), torch.randn(5, 3, 4)
    leaves = [x.requires_grad_(), *layer.parameters()]
    expected = torch.autograd.grad(layer(x)[0].sum(), leaves)
    loss = layer(x)[0].sum()
    with compiled_autograd._enable(torch.compile(backend="aot_eager", fullgraph=True)):
        loss.backward()
    torch.testing.assert_close([leaf.grad for leaf in leaves], list(expected))


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = LSTM(4, 6, 2, bidirectional=True, batch_first=True)
        self.gru = GRU(12, 5, batch_first=True, zoneout=0.1)
        self.rnn = RNN(5, 3, batch_first=True, recurrent_dropout=0.2)

    def forward(self, x, lengths, reset):
        y, _ = self.lstm(x, lengths=lengths)
        y, _ = self.gru(y, lengths=lengths, reset=reset)
        return self.rnn(y)

    @staticmethod
    def arguments(T, B):
        return torch.randn(B, T, 4), torch.randint(0, T + 1, (B,)), torch.rand(B, T) < 0.3


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict):
    model, (B, T) = Stack().eval(), (torch.export.Dim(letter) for letter in "BT")
    program = torch.export.export(
        model, model.arguments(5, 3), dynamic_shapes=({0: B, 1: T}, {0: B}, {0: B, 1: T}), strict=strict
    )
    assert "fastlstm.sequence" in str(program.graph)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    for exported in (
        program.module(),
        torch.export.load(file).module(),
        program.run_decompositions().module(),
    ):
        for T, B in (*SIZES, (1, 1), (1, 4), (4, 1)):
            arguments = model.arguments(T, B)
            torch.testing.assert_close(exported(*arguments), model(*arguments))


def test_a_program_does_not_know_the_number_of_threads(threads):
    """It is exported with one thread, and gives the bits of a call with as many threads as there are now."""
    layer, x = LSTM(64, 300), torch.randn(20, 50, 64)
    torch.set_num_threads(1)
    program = torch.export.export(layer, (x,)).module()
    torch.set_num_threads(threads)
    assert torch.equal(program(x)[0], layer(x)[0])


def test_jit_trace():
    model = Stack().eval()
    traced = torch.jit.trace(model, model.arguments(5, 3))
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    for again in (traced, torch.jit.load(file)):
        for T, B in SIZES:
            x, *rest = model.arguments(T, B)
            x.requires_grad_()
            found, expected = again(x, *rest)[0], model(x, *rest)[0]
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(*(torch.autograd.grad(y.sum(), x) for y in (found, expected)))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_jit_script_says_what_to_use(kind):
    with pytest.raises(TypeError, match=rf"not take fastlstm's {kind.__name__}; use torch\.jit\.trace"):
        torch.jit.script(torch.nn.Sequential(kind(3, 4)))


def test_the_compiler_is_not_imported_before_it_is_asked_for():
    """It takes as long to import as torch itself."""
    code = (
        "import sys, torch; from fastlstm import LSTM; LSTM(3, 4)(torch.zeros(2, 3)); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
