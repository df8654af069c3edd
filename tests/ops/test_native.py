"""The native kernel against the equations in float64: outputs, states and every gradient."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastlstm import _native
from fastlstm.ops import Cell, explain, reference, sequence

# A float32 sum of n terms is off by about 6e-8 times √n of its terms' size; 4e-6 leaves room for n = 1000.
TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-13}
# Normalisation divides by a standard deviation, at every step anew: of a few nearly equal values it makes as much of
# their rounding. How much shows in the equations themselves, with every given value off by one rounding.
ROUNDINGS = 200

CELLS = [
    Cell(),
    Cell(has_bias=False),
    Cell(projected=True),
    Cell(coupled=True),
    Cell(peephole=True),
    Cell(peephole=True, coupled=True, projected=True),
    Cell(layer_norm=True),
    Cell(layer_norm=True, has_bias=False, coupled=True),
    Cell(layer_norm=True, peephole=True, projected=True),
    Cell("gru"),
    Cell("gru", has_bias=False),
    Cell("rnn_tanh"),
    Cell("rnn_relu"),
]

sizes = st.one_of(st.integers(1, 5), st.integers(6, 40), st.sampled_from([16, 17, 31, 32, 33, 64, 65, 130]))
small = st.integers(1, 12)


@st.composite
def problems(draw):
    hidden = draw(sizes)
    return {
        "cell": draw(st.sampled_from(CELLS)),
        "T": draw(small),
        "B": draw(st.one_of(small, st.sampled_from([13, 24, 49]))),
        "I": draw(sizes),
        "H": hidden,
        "P": draw(st.integers(1, hidden)),
        "directions": draw(st.integers(1, 2)),
        "reverse": draw(st.booleans()),
        "has_state": draw(st.booleans()),
        "layout": draw(st.sampled_from(["time-major", "batch-first", "packed"])),
        "ragged": draw(st.booleans()),
        "reset": draw(st.booleans()),
        "recurrent_mask": draw(st.booleans()),
        "zoneout": draw(st.sampled_from([None, "draw", "expectation"])),
        "read_steps": draw(st.booleans()),
        "instruction_set": draw(st.sampled_from(_native.instruction_sets())),
        "threads": draw(st.integers(1, 2)),
        "seed": draw(st.integers(0, 1000)),
    }


def make(problem, dtype):
    """The arguments of sequence() for a problem: the cell, tensors that want gradients, and the rest."""
    generator = torch.Generator().manual_seed(problem["seed"])
    cell = problem.get("cell", Cell())
    T, B, I, H = (problem[letter] for letter in "TBIH")  # noqa: E741
    P, D = (problem["P"] if cell.projected else H), problem["directions"]

    def random(*shape, scale=1.0):
        return (
            (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype).requires_grad_()
        )

    weights = [
        random(*shape, scale=shape[-1] ** -0.5 if len(shape) == 2 else 0.3)
        for _ in range(D)
        for shape in cell.weight_shapes(I, H, P).values()
    ]
    options = {"reverse": bool(problem.get("reverse")) and D == 1}
    lengths = torch.randint(0, T + 1, (B,), generator=generator) if problem["ragged"] else torch.full((B,), T)
    if problem["layout"] == "packed":
        lengths = lengths.clamp(min=1).sort(descending=True).values
        options["batch_sizes"] = torch.stack([(lengths > t).sum() for t in range(int(lengths[0]))])
        rows = (int(lengths.sum()),)
    else:
        options["batch_first"] = problem["layout"] == "batch-first"
        rows = (B, T) if options["batch_first"] else (T, B)
        if problem["ragged"]:
            options["lengths"] = lengths
        if problem.get("read_steps"):
            options["read_steps"] = torch.randint(0, T, (3,), generator=generator)
    if problem.get("reset"):
        options["reset"] = torch.rand(rows, generator=generator) < 0.2
    if problem.get("recurrent_mask"):
        options["recurrent_mask"] = (torch.rand(D, B, P, generator=generator) < 0.7).to(dtype) / 0.7
    if problem.get("zoneout") and not cell.projected:
        options["zoneout"] = (0.3, 0.2 if cell.has_cell_state else 0.0)
        options["seed"] = torch.tensor([problem["seed"]]) if problem["zoneout"] == "draw" else None
    state = [None, None]
    if problem["has_state"]:
        state = [random(D, B, P), random(D, B, H) if cell.has_cell_state else None]
    return cell, random(*rows, I), state, weights, options


def run(function, cell, x, state, weights, options):
    """Outputs, and gradients of everything for fixed random output gradients."""
    outputs = function(cell, x, *state, weights, **options)
    generator = torch.Generator().manual_seed(7)
    given_ = [torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype) for y in outputs]
    leaves = [t for t in (x, *state, *weights) if t is not None]
    used = [(y, dy) for y, dy in zip(outputs, given_, strict=True) if y.requires_grad]
    gradients = torch.autograd.grad(
        [y for y, _ in used], leaves, [dy for _, dy in used], allow_unused=True, materialize_grads=True
    )
    return [*outputs, *gradients]


def as_double(problem_parts):
    cell, x, state, weights, options = problem_parts
    widen = [t if t is None else t.detach().double().requires_grad_() for t in (x, *state, *weights)]
    if "recurrent_mask" in options:
        options = {**options, "recurrent_mask": options["recurrent_mask"].double()}
    return cell, widen[0], widen[1:3], widen[3:], options


def rounded(problem_parts, dtype):
    """The same in float64, with every value off by up to one rounding of dtype."""
    cell, x, state, weights, options = as_double(problem_parts)
    generator = torch.Generator().manual_seed(1)

    def off(t):
        noise = torch.rand(t.shape, generator=generator, dtype=torch.float64) - 0.5
        return (t.detach() * (1 + noise * torch.finfo(dtype).eps)).requires_grad_()

    state, weights = [t if t is None else off(t) for t in state], [off(w) for w in weights]
    return cell, off(x), state, weights, options


def equations(cell, x, h0, c0, weights, read_steps=None, **options):
    y, hn, cn = reference.sequence(cell, x, h0, c0, weights, **options)
    return (y if read_steps is None else y.index_select(int(options["batch_first"]), read_steps)), hn, cn


def native(cell, x, h0, c0, weights, **options):
    assert explain(x, cell=cell).startswith("native")
    if "batch_sizes" in options:
        options["packed_batch"] = int(options["batch_sizes"][0])
    return sequence(cell, x, h0, c0, weights, **options)


def lstm(x, h0, c0, weights, **options):
    return sequence(Cell(), x, h0, c0, weights, **options)


@pytest.fixture(autouse=True)
def _restore():
    instruction_set, threads = _native.instruction_set(), torch.get_num_threads()
    yield
    _native.use_instruction_set(instruction_set)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems())
def test_kernel_agrees_with_the_equations(dtype, problem):
    _native.use_instruction_set(problem["instruction_set"])
    torch.set_num_threads(problem["threads"])
    parts = make(problem, dtype)
    expected = run(equations, *as_double(parts))
    found = run(native, *parts)
    normalised = problem["cell"].layer_norm
    nearby = run(equations, *rounded(parts, dtype)) if normalised else expected
    for value, truth, near in zip(found, expected, nearby, strict=True):
        assert value.dtype == dtype
        if value.numel():
            own = (10 if normalised else 1) * TOLERANCE[dtype] * truth.abs().max().clamp(min=1)
            allowed = own + ROUNDINGS * (near - truth).abs().max()
            assert (value.double() - truth).abs().max() <= allowed


# Sizes at which the kernel takes its other ways: hidden slices, chunks of steps, several panels and blocks.
LARGE = [
    {"T": 6, "B": 4, "I": 30, "H": 350},
    {"T": 300, "B": 1, "I": 5, "H": 40},
    {"T": 20, "B": 70, "I": 300, "H": 48, "P": 20},
    {"T": 3, "B": 150, "I": 9, "H": 130},
]


@pytest.mark.parametrize("size", LARGE, ids=str)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("everything", [False, True], ids=["plain", "everything"])
def test_large_sizes(size, directions, everything, instruction_set, threads):
    for cell in CELLS[::3] if not everything else CELLS[1::3]:
        if cell.projected and "P" not in size:
            continue
        problem = {
            **size, "cell": cell, "directions": directions, "has_state": True, "layout": "batch-first",
            "ragged": everything, "reset": everything, "recurrent_mask": everything,
            "zoneout": "draw" if everything else None, "seed": 3,
        }  # fmt: skip
        parts = make(problem, torch.float64)
        torch.testing.assert_close(run(native, *parts), run(equations, *parts), rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("rounding")
class TestRoundedProducts:
    # An operand of 8 bits is off by up to 2^-9 of itself; a few steps and sums make some times that of it, and
    # gradients of weights are sums over all rows, whose errors add up like a random walk.
    tolerance = 2**-5

    def close(self, parts, threads):
        torch.set_num_threads(threads)
        cell, x, state, weights, options = parts
        expected = run(equations, *as_double(parts))
        found = run(native, cell, x, state, weights, {**options, "rounded": True})
        for value, truth in zip(found, expected, strict=True):
            assert value.dtype == torch.float32
            if value.numel():
                terms = 1 if value.shape[: x.dim() - 1] == x.shape[:-1] else x[..., 0].numel()
                allowed = self.tolerance * truth.abs().max().clamp(min=terms**0.5)
                assert (value.double() - truth).abs().max() <= allowed

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(problem=problems())
    def test_are_close_to_the_equations(self, problem):
        if problem["cell"].kind == "rnn_relu":  # whose slope jumps
            problem["cell"] = Cell("rnn_tanh")
        self.close(make(problem, torch.float32), problem["threads"])

    @pytest.mark.parametrize("size", LARGE, ids=str)
    @pytest.mark.parametrize("everything", [False, True], ids=["plain", "everything"])
    def test_large_sizes(self, size, everything, threads):
        problem = {
            **size, "cell": Cell(projected="P" in size), "directions": 2, "has_state": True, "layout": "batch-first",
            "ragged": everything, "reset": everything, "recurrent_mask": everything, "zoneout": None, "seed": 3,
        }  # fmt: skip
        self.close(make(problem, torch.float32), threads)

    def test_only_products_are_rounded(self):
        """1 + 2^-9 counts as 1 in a product, but not in a sum; and only where one asked for it."""
        cell, value = Cell("rnn_relu"), 1 + 2**-9
        weights = [torch.ones(1, 1), torch.zeros(1, 1), torch.full((1,), value), torch.zeros(1)]
        x = torch.full((1, 1, 1), value)
        for options, expected in (({"rounded": True}, 1 + value), ({}, 2 * value)):
            assert sequence(cell, x, None, None, weights, **options)[0].item() == expected

    def test_a_nan_stays_in_its_row(self, threads):
        x, weights = torch.randn(10, 45, 4), list(torch.nn.LSTM(4, 70).parameters())
        clean, *_ = lstm(x, None, None, weights, rounded=True)
        x[3, 7, 2] = torch.nan
        y, *_ = lstm(x, None, None, weights, rounded=True)
        assert y[3:, 7].isnan().all()
        y[3:, 7] = clean[3:, 7]
        assert torch.equal(y, clean)


@pytest.mark.parametrize(
    ("B", "T", "I", "H"), [(8, 50, 16, 64), (16, 100, 32, 128), (4, 200, 8, 256), (33, 60, 64, 32)]
)
def test_float32_is_as_exact_as_torch(B, T, I, H, instruction_set):  # noqa: E741
    """The root mean square error against float64 is at most twice that of torch.nn.LSTM, tensor by tensor."""
    theirs = torch.nn.LSTM(I, H)
    x, weights = torch.randn(T, B, I).requires_grad_(), list(theirs.parameters())
    zeros = [torch.zeros(1, B, H), torch.zeros(1, B, H)]

    def torch_lstm(_, x, h0, c0, weights):
        y, h, c = torch.lstm(x, (h0, c0), weights, True, 1, 0.0, True, False, False)
        return y, h, c

    parts = (Cell(), x, [z.requires_grad_() for z in zeros], weights, {})
    truth = run(equations, *as_double(parts))
    errors = [
        [
            (value.double() - true).square().mean().sqrt()
            for value, true in zip(run(f, *parts), truth, strict=True)
        ]
        for f in (sequence, torch_lstm)
    ]
    for ours, torchs in zip(*errors, strict=True):
        assert ours <= 2 * torchs


@pytest.mark.parametrize("function", [native, equations], ids=["native", "reference"])
def test_what_lies_past_an_end_does_not_matter(function):
    problem = {
        "T": 6, "B": 3, "I": 4, "H": 5, "directions": 2, "has_state": True,
        "layout": "time-major", "ragged": False, "seed": 1,
    }  # fmt: skip
    cell, x, state, weights, options = make(problem, torch.float64)
    options["lengths"] = torch.tensor([2, 0, 6])
    expected = run(function, cell, x, state, weights, options)
    spoilt = x.detach().clone()
    spoilt[2:, 0], spoilt[:, 1] = torch.nan, torch.inf
    found = run(function, cell, spoilt.requires_grad_(), state, weights, options)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    y, hn = found[:2]
    assert not y[2:, 0].any()
    assert not y[:, 1].any()
    torch.testing.assert_close(hn[:, 1], state[0][:, 1])


def test_a_nan_stays_in_its_row(instruction_set, threads):
    x = torch.randn(10, 30, 4)
    weights = list(torch.nn.LSTM(4, 70).parameters())
    clean, *_ = lstm(x, None, None, weights)
    x[3, 7, 2] = torch.nan
    y, *_ = lstm(x, None, None, weights)
    assert y[3:, 7].isnan().all()
    y[3:, 7] = clean[3:, 7]
    assert torch.equal(y, clean)


@pytest.mark.parametrize("value", [1e4, -1e4, torch.inf, -torch.inf])
def test_saturated_gates(value, instruction_set):
    """Sums far outside the exponential's range give the limits, as torch's functions do."""
    weights = [torch.zeros(12, 1), torch.zeros(12, 3), torch.full((12,), value), torch.zeros(12)]
    x = torch.zeros(4, 2, 1)
    expected = reference.sequence(Cell(), x, None, None, weights)
    torch.testing.assert_close(lstm(x, None, None, weights), expected)


def test_denormals_flush_inside_and_are_kept_outside(instruction_set):
    """A denormal times a huge weight is 0.1 where it is kept, and 0 where it is flushed."""
    tiny = torch.full((3, 2, 4), 1e-39)
    weights = [torch.full((20, 4), 1e38), torch.zeros(20, 5), torch.zeros(20), torch.zeros(20)]
    assert not lstm(tiny, None, None, weights)[0].any()
    assert lstm(tiny * 1e3, None, None, weights)[0].all()
    assert (tiny * 0.5).all()


def test_same_bits_again(threads):
    parts = make(
        {"T": 20, "B": 25, "I": 40, "H": 70, "directions": 2, "has_state": True,
         "layout": "batch-first", "ragged": True, "seed": 5}, torch.float32,
    )  # fmt: skip
    first = run(native, *parts)
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(run(native, *parts), first, strict=True))


@pytest.mark.parametrize("lengths", [[4, 0, 0], [-1, 2, 2]])
def test_lengths_out_of_range(lengths):
    with pytest.raises(ValueError, match="lengths must lie in 0 … 3"):
        lstm(
            torch.zeros(3, 3, 2),
            None,
            None,
            list(torch.nn.LSTM(2, 2).parameters()),
            lengths=torch.tensor(lengths),
        )


def test_lengths_of_another_number():
    with pytest.raises(ValueError, match=r"lengths: expected shape \(3,\), got \(2,\)"):
        lstm(
            torch.zeros(3, 3, 2),
            None,
            None,
            list(torch.nn.LSTM(2, 2).parameters()),
            lengths=torch.tensor([1, 2]),
        )


@pytest.mark.parametrize(
    "batch_sizes", [[2, 3, 1], [4, 1, 1], [3, 2, 0], [3, 3, 1], [3, 4, -1]],
    ids=["rising", "more than the batch", "too few", "too many", "negative"],
)  # fmt: skip
def test_batch_sizes_that_are_none(batch_sizes):
    with pytest.raises(ValueError, match="batch_sizes: expected numbers of sequences that never rise"):
        lstm(
            torch.zeros(6, 2),
            None,
            None,
            list(torch.nn.LSTM(2, 2).parameters()),
            batch_sizes=torch.tensor(batch_sizes),
            packed_batch=3,
        )


def test_explain():
    assert explain(torch.zeros(1, 1, 1)).startswith("native: torch.float32 on the CPU")
    assert "computed in float32 with" in explain(torch.zeros(1, 1, 1, dtype=torch.float16))
    products = " but for products" if _native.has_bfloat16() else ""
    assert f"computed in float32{products} with" in explain(torch.zeros(1, 1, 1, dtype=torch.bfloat16))


def test_opcheck():
    """What torch.library expects of an op: schema, fake kernel, autograd registration, tracing."""
    weights = [w.detach().double().requires_grad_() for w in torch.nn.LSTM(3, 5).parameters()]
    x, h0, c0 = (
        torch.randn(s, dtype=torch.float64, requires_grad=True) for s in [(4, 2, 3), (1, 2, 5), (1, 2, 5)]
    )
    torch.library.opcheck(
        torch.ops.fastlstm.sequence.default,
        (x, h0, c0, weights, *[None] * 6, "lstm", Cell().variants, 0, 0, [0.0, 0.0], False, False, True),
        test_utils=("test_schema", "test_faketensor", "test_aot_dispatch_dynamic"),
    )
    # With lengths, what is kept for the backward pass is not filled past the ends: its values cannot be compared.
    torch.library.opcheck(
        torch.ops.fastlstm.sequence.default,
        (
            x,
            h0,
            c0,
            weights,
            torch.tensor([1, 4]),
            *[None] * 5,
            "lstm",
            Cell().variants,
            0,
            0,
            [0.0, 0.0],
            False,
            False,
            True,
        ),
        test_utils=("test_schema", "test_faketensor"),
    )
