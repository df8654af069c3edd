"""What must not go wrong: sizes beyond any address, values that are no numbers, several callers, forked children."""

import subprocess
import sys
import threading

import pytest
import torch

from fastlstm import _native
from fastlstm.ops import Cell, sequence

CELLS = [
    Cell(),
    Cell(projected=True),
    Cell(peephole=True, coupled=True),
    Cell(layer_norm=True),
    Cell("gru"),
    Cell("rnn_tanh"),
    Cell("rnn_relu"),
]


def expanded(*shape):
    """A tensor of a size that nobody has the memory for: all its values are one."""
    return torch.zeros(1).expand(shape)


def weights_of(hidden, inputs):
    return [expanded(4 * hidden, inputs), expanded(4 * hidden, hidden), *[expanded(4 * hidden)] * 2]


SIZES = {
    "T": lambda: sequence(Cell(), expanded(2**60, 1, 1), None, None, weights_of(2, 1)),
    "T and B": lambda: sequence(Cell(), expanded(2**31, 2**32, 1), None, None, weights_of(2, 1)),
    "T, B and H": lambda: sequence(Cell(), expanded(2**20, 2**20, 1), None, None, weights_of(2**24, 1)),
    "I and H": lambda: sequence(Cell(), expanded(1, 1, 2**40), None, None, weights_of(2**20, 2**40)),
    "H": lambda: sequence(Cell(), expanded(1, 1, 1), None, None, weights_of(2**31, 1)),
}


@pytest.mark.parametrize("call", SIZES.values(), ids=SIZES)
def test_sizes_that_overflow(call):
    with pytest.raises(RuntimeError, match=r"overflow|can't allocate memory|not enough memory"):
        call()


def test_a_reserve_that_overflows():
    """It grows with T times H, unlike all that a caller brings where there is a projection to few values."""
    for values in (2**61, 2**63, 2**64 - 1):  # times four bytes: 2^63, and more than 64 bits hold
        with pytest.raises(ValueError, match="more than can be addressed: use checkpoint_every"):
            _native.empty32(values)


OUT_OF_MEMORY = """
import resource
import torch
from fastlstm.ops import Cell, sequence

def zeros(H):
    return [torch.zeros(4 * H, 1), torch.zeros(4 * H, H), torch.zeros(4 * H), torch.zeros(4 * H)]

small, large, x = zeros(6), zeros(6000), torch.ones(3, 2, 1)
expected = sequence(Cell(), x, None, None, small)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
try:
    sequence(Cell(), x, None, None, large)  # packs 4 * 6000^2 values, 550 MiB
except MemoryError:
    print("refused")
found = sequence(Cell(), x, None, None, small)
print(all(torch.equal(a, b) for a, b in zip(found, expected)))
"""


def run_script(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells and limits the memory used")
def test_scratch_that_does_not_fit_into_memory():
    """It is an error like any other: the next call works."""
    assert run_script(OUT_OF_MEMORY) == ["refused", "True"]


def problem(cell, T=10, B=30, I=4, H=40, P=20, directions=2):  # noqa: E741
    P = P if cell.projected else H
    shapes = [*cell.weight_shapes(I, H, P).values()] * directions
    return torch.randn(T, B, I), [(torch.rand(shape) - 0.5) / 3 for shape in shapes]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_stays_in_its_row(cell, value, instruction_set, threads):
    x, weights = problem(cell)
    spoilt = x.clone()
    spoilt[3, 7, 2] = value
    found = []
    for given in (x, spoilt):
        leaf = given.requires_grad_()
        outputs = sequence(cell, leaf, None, None, weights)
        dx = torch.autograd.grad([y.sum() for y in outputs if y.requires_grad], leaf)
        found.append([y.detach() for y in (*outputs, *dx) if y.numel()])
    others = torch.arange(30) != 7
    for clean, after in zip(*found, strict=True):
        assert torch.equal(after[:, others], clean[:, others])
        assert clean.isfinite().all()
    if value is torch.nan:
        assert found[1][0][3:, 7, : found[1][0].shape[2] // 2].isnan().all()


@pytest.mark.parametrize(
    "cell", [Cell(), Cell(peephole=True, coupled=True), Cell("gru"), Cell("rnn_tanh")], ids=str
)
def test_infinite_inputs_saturate_gates_and_leave_gradients_numbers(cell, instruction_set, threads):
    """Also where units do not fill the vectors, whose other lanes would be 0 times infinity."""
    x, weights = problem(cell, H=37, directions=1)
    x[3, 7, 2] = torch.inf
    inputs = [weight.requires_grad_() for weight in weights]
    y, _, _ = sequence(cell, x, None, None, inputs)
    assert y.isfinite().all()
    for name, gradient in zip(cell.weight_names, torch.autograd.grad(y.sum(), inputs), strict=True):
        read = [0, 1, 3] if name == "w_ih" else slice(None)  # 0 times the infinite input itself is no number
        assert gradient[..., read].isfinite().all(), name


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_several_threads_at_once_give_the_same_bits(cell, threads):
    problems = [problem(cell, T=4 + 3 * number, B=9 * number + 1, H=70) for number in range(4)]

    def compute(place):
        x, weights = problems[place]
        leaves = [x.detach().requires_grad_(), *(weight.detach().requires_grad_() for weight in weights)]
        outputs = sequence(cell, leaves[0], None, None, leaves[1:])
        return [*outputs, *torch.autograd.grad([y.sum() for y in outputs if y.requires_grad], leaves)]

    expected = [compute(place) for place in range(4)]
    same, start = [], threading.Barrier(4)

    def repeat(place):
        start.wait()
        repeated = (zip(compute(place), expected[place], strict=True) for _ in range(10))
        same.extend(all(torch.equal(a, b) for a, b in pairs) for pairs in repeated)

    callers = [threading.Thread(target=repeat, args=(place,)) for place in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert same == [True] * 40


# Each child computes what the parent does. torch's own parallel functions are not called in it: they hang there.
FORKED = """
import multiprocessing
import sys
import torch
from torch.utils.data import DataLoader, Dataset
from fastlstm import LSTM

torch.set_num_threads(2)
layer, x, dy = LSTM(64, 128), torch.randn(50, 64, 64), torch.ones(50, 64, 128)
leaves = [x.requires_grad_(), *layer.parameters()]

def compute():
    y = layer(x)[0]
    return [y.detach(), *torch.autograd.grad(y, leaves, dy)]

if "ours" in sys.argv:
    compute()
if "torch" in sys.argv:
    torch.ones(1_000_000).sum()

def child(results):
    results.put([tensor.numpy() for tensor in compute()])

context = multiprocessing.get_context("fork")
results = context.SimpleQueue()
process = context.Process(target=child, args=(results,))
process.start()
found = results.get()
process.join(60)
expected = [tensor.numpy() for tensor in compute()]
print(process.exitcode, all((a == b).all() for a, b in zip(found, expected)))

class Encoded(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, place):
        with torch.no_grad():
            return layer(x[:, place])[1][0][0]

with torch.no_grad():
    expected = torch.stack([layer(x[:, place])[1][0][0] for place in range(4)])
loader = DataLoader(Encoded(), batch_size=4, num_workers=1, multiprocessing_context="fork")
print(torch.allclose(next(iter(loader)), expected, atol=1e-6))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
@pytest.mark.parametrize("before", ["nothing", "ours", "torch"])
def test_a_forked_child_computes(before):
    """Whoever used threads before the fork, in the child there are none of them left."""
    assert run_script(FORKED, before) == ["0", "True", "True"]


def small_call():
    weights = [torch.randn(8, 3), torch.randn(8, 2), torch.randn(8), torch.randn(8)]
    return Cell(), torch.randn(5, 4, 3), None, None, [weight.requires_grad_() for weight in weights]


WRONG = {
    "a mask of bools": (
        {"recurrent_mask": torch.ones(1, 4, 2, dtype=torch.bool)},
        RuntimeError,
        "recurrent_mask",
    ),
    "a mask in float64": ({"recurrent_mask": torch.ones(1, 4, 2).double()}, RuntimeError, "recurrent_mask"),
    "a mask that learns": (
        {"recurrent_mask": torch.ones(1, 4, 2, requires_grad=True)},
        ValueError,
        r"recurrent_mask\.detach\(\)",
    ),
    "a reset elsewhere": (
        {"reset": torch.ones(5, 4, dtype=torch.bool, device="meta")},
        RuntimeError,
        "reset",
    ),
    "a seed elsewhere": (
        {"seed": torch.ones(1, dtype=torch.int64, device="meta"), "zoneout": (0.1, 0.1)},
        RuntimeError,
        "seed",
    ),
}


def test_time_steps_of_packed_rows_are_refused():
    cell, x, *rest = small_call()
    with pytest.raises(ValueError, match="read_steps: packed rows are no time steps"):
        sequence(
            cell,
            x[:, 0],
            *rest,
            batch_sizes=torch.tensor([3, 2]),
            packed_batch=3,
            read_steps=torch.tensor([1]),
        )


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_the_kernel_cannot_read_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        sequence(*small_call(), **options)


def test_steps_to_read_of_any_integer_type():
    given = small_call()
    gradients = []
    for dtype in (torch.int64, torch.int32):
        y, _, _ = sequence(*given, read_steps=torch.tensor([3, 1], dtype=dtype))
        gradients.append(torch.autograd.grad(y.sum(), given[4]))
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


class Wrapped(torch.Tensor):
    """As distributed and quantized tensors are: it has no memory of its own, and ops are told of the one inside."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        def bare(value):
            if isinstance(value, (list, tuple)):
                return type(value)(map(bare, value))
            return value.inner if isinstance(value, cls) else value

        return function(*bare(args), **{name: bare(value) for name, value in (kwargs or {}).items()})


def test_weights_that_wrap_others_are_read_where_they_lie():
    cell, x, _, _, weights = small_call()
    with torch.no_grad():
        wanted = sequence(cell, x, None, None, weights)
        found = sequence(cell, x, None, None, [Wrapped(weight.detach()) for weight in weights])
    for one, other in zip(wanted, found, strict=True):
        assert torch.equal(one, other)
