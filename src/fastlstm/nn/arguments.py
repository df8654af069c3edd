"""What the layers accept: each function gives back what was meant, or says what was found and the mend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

# What only an LSTM has, and what it is where nobody asks for it.
LSTM_ONLY = {"layer_norm": False, "peephole": False, "coupled": False, "forget_bias": None}


def lengths_given(lengths: Tensor | Sequence[int] | None, batch: int, batched: bool) -> Tensor | None:
    """Give ``(batch,)`` int64; a single sequence may be given a single integer."""
    if lengths is None:
        return None
    lengths = tensor_given("lengths", lengths, "integers, one a sequence")
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths: expected integers, got {lengths.dtype}")
    if not batched and lengths.dim() == 0:
        lengths = lengths.unsqueeze(0)
    if lengths.shape != (batch,):
        raise ValueError(f"lengths: expected shape ({batch},), one a sequence, got {tuple(lengths.shape)}")
    return lengths.to(torch.int64)  # differences of lengths may be negative


def reset_given(reset: Tensor | Sequence[object] | None, x: Tensor) -> Tensor | None:
    """Give bools on the input's device, one for each row of the input ``(..., I)``."""
    if reset is None:
        return None
    reset = tensor_given("reset", reset, "bools, one for each step that the input has", x.device)
    if reset.dtype != torch.bool:
        raise ValueError(f"reset: expected torch.bool, got {reset.dtype}: use reset.bool()")
    if reset.shape != x.shape[:-1]:
        raise ValueError(
            f"reset: expected shape {tuple(x.shape[:-1])}, one for each step that the input has, "
            f"got {tuple(reset.shape)}"
        )
    return reset


def output_steps_given(output_steps: Tensor | Sequence[int] | None, x: Tensor) -> Tensor | None:
    """Give the int64 numbers of some of the steps, on the input's device."""
    if output_steps is None:
        return None
    output_steps = tensor_given("output_steps", output_steps, "integers, one a step", x.device)
    if output_steps.dtype != torch.int64 or output_steps.dim() != 1:
        raise ValueError(
            f"output_steps: expected torch.int64 of one dimension, got {output_steps.dtype} of "
            f"{output_steps.dim()}"
        )
    return output_steps


def tensor_given(name: str, value: Any, expected: str, device: torch.device | None = None) -> Tensor:
    """Give a tensor; what was none is copied, for a backward pass would not see that an array changed since."""
    if isinstance(value, Tensor):
        return value if device is None else value.to(device)
    device = device or torch.device("cpu")  # whatever the default is
    if isinstance(value, (list, tuple)) and not value:
        return torch.empty(0, dtype=torch.int64, device=device)
    try:
        return torch.tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}: expected {expected}, got {value!r:.60}") from None


def generator_given(generator: torch.Generator | None, x: Tensor) -> torch.Generator | None:
    """Give a generator that can draw on the input's device."""
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(f"generator: expected a torch.Generator or None, got {type(generator).__name__}")
    if generator is not None and generator.device.type != x.device.type:
        raise ValueError(
            f"generator: it draws on {generator.device}, but the input is on {x.device}: "
            f'use torch.Generator("{x.device}")'
        )
    return generator


def is_cast(dtype: torch.dtype) -> bool:
    """Say whether autocast converts values of this type: it leaves float64, and what is no floating-point number."""
    return dtype.is_floating_point and dtype != torch.float64


def rate_given(name: str, rate: float) -> float:
    """Give a probability in 0 ≤ rate < 1."""
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= rate < 1:
        raise ValueError(f"{name}: expected a number in 0 ≤ {name} < 1, got {rate!r}")
    return float(rate)


def flag_given(name: str, flag: bool) -> bool:
    """Give a bool, as torch's layers insist on for theirs."""
    if not isinstance(flag, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
    return flag


def forget_bias_given(forget_bias: float | None, has_bias: bool) -> float | None:
    """Give a finite number, or None."""
    if forget_bias is None:
        return None
    if not isinstance(forget_bias, Real) or isinstance(forget_bias, bool) or not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias: expected a finite number or None, got {forget_bias!r}")
    if not has_bias:
        raise ValueError("forget_bias: the layer has no biases (bias=False)")
    return float(forget_bias)


def zoneout_given(
    zoneout: float | tuple[float, float], kind: str, projected: bool, has_cell_state: bool
) -> tuple[float, float]:
    """Give the rates of h and c; one number is that of all the state that there is."""
    if isinstance(zoneout, (tuple, list)):
        if not has_cell_state:
            raise ValueError(f"zoneout: the state of {kind} is h alone; expected one number, got {zoneout!r}")
        if len(zoneout) != 2:
            raise ValueError(f"zoneout: expected one number or two, for h and for c, got {zoneout!r}")
        rates = rate_given("zoneout", zoneout[0]), rate_given("zoneout", zoneout[1])
    else:
        rate = rate_given("zoneout", zoneout)
        rates = rate, rate if has_cell_state else 0.0
    if any(rates) and projected:
        raise ValueError(
            "zoneout: not with proj_size: a unit keeps its own old value, but each value of a projected h is a "
            "mixture of all units"
        )
    return rates


def steps_given(checkpoint_every: int | None) -> int | None:
    """Give a number of steps, or None."""
    if checkpoint_every is None:
        return None
    if isinstance(checkpoint_every, bool) or not isinstance(checkpoint_every, int) or checkpoint_every < 1:
        raise ValueError(
            f"checkpoint_every: expected a number of steps, 1 or more, or None, got {checkpoint_every!r}"
        )
    return checkpoint_every


def refuse(layer: str, unknown: dict[str, object]) -> None:
    """Raise for keyword arguments that a layer without gates i, f, g, o does not have.

    Raises
    ------
    ValueError
        For what only an LSTM has.
    TypeError
        For what no layer has.
    """
    for name, value in unknown.items():
        if name == "proj_size":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if name in LSTM_ONLY:
            if value is LSTM_ONLY[name]:
                continue
            raise ValueError(f"{name}: only an LSTM has it; {layer} has no input, forget and output gates")
        raise TypeError(f"{layer}: unexpected keyword argument {name!r}")
