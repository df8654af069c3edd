"""The dense layer against PyTorch's in float64: values and gradients, over odd sizes."""

import pytest
import torch
from torch.nn import functional as F

from fastlstm.ops.linear import linear


# 100 rows are shared out by outputs where they are worth two threads, more of them by rows.
@pytest.mark.parametrize("rows", [1, 7, 100, 1025])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 64), (64, 3), (64, 64), (33, 130), (129, 17)])
@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
@pytest.mark.parametrize("relu_input", [False, True], ids=["", "relu of x"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_agrees_with_torch(rows, inputs, outputs, relu, relu_input, dtype, instruction_set, threads):
    x, weight = torch.randn(rows, inputs).double(), torch.randn(outputs, inputs).double() / inputs**0.5
    bias, dy = torch.randn(outputs).double(), torch.randn(rows, outputs).double()

    def run(function, *tensors):
        leaves = [t.to(tensors[0].dtype).requires_grad_() for t in tensors[:-1]]
        y = function(*leaves)
        return [y, *torch.autograd.grad(y, leaves, tensors[-1])]

    def plain(x, weight, bias):
        y = F.linear(F.relu(x) if relu_input else x, weight, bias)
        return F.relu(y) if relu else y

    problem = [t.to(dtype) for t in (x, weight, bias, dy)]
    found = run(lambda *t: linear(*t, relu=relu, relu_input=relu_input), *problem)
    truth = run(plain, *(t.double() for t in problem))
    # A sum of n terms is off by about √n roundings of its largest partial sum.
    tolerance = (2e-6 if dtype == torch.float32 else 1e-14) * max(rows, inputs, outputs) ** 0.5
    for value, true in zip(found, truth, strict=True):
        assert value.dtype == dtype
        assert (value.double() - true).abs().max() <= tolerance * true.abs().max().clamp(min=1)


def test_leading_dimensions_strides_and_gradients_that_are_not_wanted():
    layer = torch.nn.Linear(5, 4)
    x = torch.randn(3, 5, 2).transpose(1, 2)
    torch.testing.assert_close(linear(x, layer.weight, layer.bias), layer(x))
    x.requires_grad_()
    frozen = layer.weight.detach()
    (dx,) = torch.autograd.grad(linear(x, frozen).sum(), x)
    torch.testing.assert_close(dx, frozen.sum(0).expand_as(x))
    (db,) = torch.autograd.grad(linear(x.detach(), frozen, layer.bias).sum(), layer.bias)
    torch.testing.assert_close(db, torch.full((4,), 6.0))


@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
@pytest.mark.parametrize("relu_input", [False, True], ids=["", "relu of x"])
def test_the_gradients_are_those_of_differences(relu, relu_input):
    x, weight, bias = torch.randn(9, 5), torch.randn(3, 5), torch.randn(3)
    leaves = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
    assert torch.autograd.gradcheck(lambda *t: linear(*t, relu=relu, relu_input=relu_input), leaves)


def test_a_gradient_at_zero_is_that_of_torch():
    x, weight = torch.tensor([[0.0, -0.0, 1.0]], requires_grad=True), torch.ones(1, 3)
    (found,) = torch.autograd.grad(linear(x, weight, relu_input=True), x)
    (truth,) = torch.autograd.grad(F.linear(F.relu(x), weight), x)
    assert torch.equal(found, truth)


@pytest.mark.parametrize("where", ["relu", "relu_input"])
def test_a_nan_is_not_lost_in_relu(where, instruction_set):
    y = linear(torch.tensor([[torch.nan], [1.0]]), torch.ones(1, 1), **{where: True})
    assert y[0].isnan()
    assert y[1] == 1


def test_where_the_kernel_does_not_serve():
    x, weight = torch.randn(4, 3), torch.randn(2, 3)
    assert linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16
    assert linear(x[:0], weight).shape == (0, 2)
    compiled = torch.func.vmap(lambda row: linear(row, weight, relu=True, relu_input=True))(x)
    torch.testing.assert_close(compiled, F.relu(F.relu(x) @ weight.T))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(x, weight[:, :2])


@pytest.mark.usefixtures("rounding")
class TestUnderAutocast:
    """Products of operands rounded to bfloat16, all else in float32."""

    @pytest.mark.parametrize("rows", [1, 17, 300, 1100])
    @pytest.mark.parametrize(
        ("inputs", "outputs"), [(1, 1), (3, 64), (64, 3), (33, 130), (129, 17), (1030, 40), (20, 2100)]
    )
    @pytest.mark.parametrize("biased", [True, False])
    def test_operands_alone_are_rounded(self, rows, inputs, outputs, biased, threads):
        x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs) / inputs**0.5
        bias, dy = torch.randn(outputs) if biased else None, torch.randn(rows, outputs)
        leaves = [tensor for tensor in (x, weight, bias) if tensor is not None]
        for leaf in leaves:
            leaf.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = linear(x, weight, bias)
        found = [y, *torch.autograd.grad(y, leaves, dy)]
        x2, w2, dy2 = (tensor.detach().bfloat16().double() for tensor in (x, weight, dy))
        truth = [x2 @ w2.T + (0 if bias is None else bias.double()), dy2 @ w2, dy2.T @ x2]
        truth += [dy.double().sum(0)] if biased else []
        for value, true in zip(found, truth, strict=True):
            assert value.dtype == torch.float32
            tolerance = 2e-6 * max(rows, inputs, outputs) ** 0.5
            assert (value.double() - true).abs().max() <= tolerance * true.abs().max().clamp(min=1)

    def test_what_comes_in_bfloat16_goes_on_in_float32(self):
        x, weight = torch.randn(5, 8).bfloat16(), torch.randn(3, 8)
        with torch.autocast("cpu", torch.bfloat16):
            y = linear(x, weight)
        torch.testing.assert_close(y, x.float() @ weight.bfloat16().float().T)

    def test_a_nan_stays_in_its_row(self):
        x = torch.randn(50, 40)
        x[7, 3] = torch.nan
        with torch.autocast("cpu", torch.bfloat16):
            y = linear(x, torch.randn(70, 40))
        assert y.isnan().all(1).nonzero().tolist() == [[7]]

    def test_relu_and_float16_are_pytorchs(self):
        x, weight = torch.randn(5, 8), torch.randn(3, 8)
        with torch.autocast("cpu", torch.bfloat16):
            assert linear(x, weight, relu=True).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.float16):
            assert linear(x, weight).dtype == torch.float16


def test_what_pytorch_spreads_or_refuses_is_left_to_it():
    x, weight = torch.randn(4, 5), torch.randn(3, 5)
    torch.testing.assert_close(linear(x, weight, torch.ones(1)), F.linear(x, weight) + 1)
    with pytest.raises(RuntimeError, match="device meta"):
        linear(x, weight, torch.ones(3, device="meta"))
