"""What autocast converts, and what it leaves alone: as torch's layers, or the more exact of what there is."""

import pytest
import torch

import fastlstm

X = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(0))
KINDS = ["LSTM", "GRU", "RNN"]
SIXTEEN_BITS = [torch.bfloat16, torch.float16]


def state(kind: str, layers: int, dtype: torch.dtype):
    h = torch.ones(layers, 2, 6, dtype=dtype)
    return (h, h) if kind == "LSTM" else h


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learns", [True, False])
def test_double_precision_is_left_alone(kind, learns):
    layer = getattr(fastlstm, kind)(4, 6, 2, dtype=torch.float64)
    given = X.double(), state(kind, 2, torch.float64)
    expected = layer(*given)[0]
    with torch.set_grad_enabled(learns), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(*given)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_what_autocast_does_not_convert_must_fit(kind, dtype):
    layer = getattr(fastlstm, kind)(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(ValueError, match="does not match weight dtype"):
            layer(X.to(dtype))
        with pytest.raises(RuntimeError, match=r"hx has dtype .* but the input has torch\.float32"):
            layer(X, state(kind, 1, dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", SIXTEEN_BITS)
@pytest.mark.parametrize("autocast", SIXTEEN_BITS)
@pytest.mark.parametrize("learns", [True, False])
def test_layers_of_sixteen_bits(kind, own, autocast, learns):
    layer = getattr(fastlstm, kind)(4, 6, 2, dtype=own)
    with torch.set_grad_enabled(learns), torch.autocast("cpu", autocast):
        y, after = layer(X, state(kind, 2, torch.float32))
    h = after[0] if kind == "LSTM" else after
    assert y.dtype == h.dtype == autocast
    torch.testing.assert_close(
        y.float(), layer.float()(X, state(kind, 2, torch.float32))[0], atol=0.02, rtol=0.02
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("own", SIXTEEN_BITS)
@pytest.mark.parametrize("autocast", SIXTEEN_BITS)
def test_recomputed_segments_are_joined_whatever_their_type(kind, bidirectional, own, autocast):
    layer = getattr(fastlstm, kind)(4, 6, bidirectional=bidirectional, dtype=own)
    found = []
    for layer.checkpoint_every in (None, 2):
        with torch.autocast("cpu", autocast):
            y = layer(X.to(own), lengths=[5, 3], output_steps=torch.tensor([4, 1]))[0]
        found.append((y, *torch.autograd.grad(y.float().sum(), layer.weight_hh_l0)))
    (whole, gradient), (segments, gradient_of_segments) = found
    assert segments.dtype == whole.dtype == autocast
    torch.testing.assert_close(segments, whole, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(gradient_of_segments, gradient, atol=3e-2, rtol=3e-2)
