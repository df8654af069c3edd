"""Single steps, as a stream takes them: of microseconds where no gradient is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.compiler import is_compiling, is_dynamo_compiling

from fastlstm.nn import arguments
from fastlstm.nn.parameters import RecurrentParameters
from fastlstm.nn.reduced import ReducedError, check_measured, compare, refuse
from fastlstm.ops import private
from fastlstm.ops import step as step_op
from fastlstm.ops.step import take_step


class Stepping(RecurrentParameters):
    """Layers that can take single steps."""

    def step(
        self,
        input: Any,  # noqa: A002
        hx: Any = None,
        *,
        reset: Any = None,
        generator: torch.Generator | None = None,
        weights: str | None = None,
    ) -> tuple[Any, Any]:
        """Take a single step, as a stream does: steps one after the other give what the whole sequence gives.

        It takes microseconds under ``torch.no_grad()`` and in evaluation (``eval()``), where no gradient is kept of the
        parameters. In training, or where the input, the state or what ``torch.func.functional_call`` puts in the place
        of a parameter asks for a gradient, it is :meth:`forward` for one step, and can be differentiated. Parameters
        are read at every call.

        Parameters
        ----------
        input
            ``(B, I)``, or ``(I,)`` for a single sequence: a tensor, or a numpy array, for which it costs no more.
        hx
            The state before the step: what the step before returned, or as :meth:`forward` takes it, of tensors or
            arrays. Where not given, zeros, or the parameters of ``learn_initial_state``.
        reset
            bool ``(B,)``, or a single one: which sequences begin anew with this step, from zeros.
        generator
            As in :meth:`forward`.
        weights
            ``"bfloat16"`` or ``"int8"``: steps of a float32 layer with copies of its weight matrices in so few bits. It
            pays the more, the more they outgrow the caches. int8 has one scale a row. Biases, sums and states remain
            float32. Copies are made anew when parameters change, but may not see single entries that were written by
            way of ``parameter.data``. :meth:`step_error` tells what they cost.

        Returns
        -------
        output
            ``(B, P)`` or ``(P,)``, of the input's kind.
        state
            After the step, ``h (num_layers, B, P)``, of an LSTM with ``c (num_layers, B, H)``: a tuple where a tuple
            was given, else a sequence of the two whose tensors (or arrays) are made when one looks at them. To write
            into them is to change the state. What torch.compile is to see must be a tuple: ``tuple(state)``.

        Raises
        ------
        ValueError
            For an input or state of the wrong shape, an input or arrays of another dtype, for a bidirectional layer,
            which would have to know what follows, in training with ``recurrent_dropout``, whose mask stays the same
            along a sequence, and for reduced weights where there is no such kernel, with the reason.
        TypeError
            For what is neither a tensor nor an array.
        RuntimeError
            For a tensor of the state of another dtype, as of :meth:`forward`.

        Examples
        --------
        >>> import torch
        >>> from fastlstm import LSTM
        >>> lstm, x, state = LSTM(10, 20).eval(), torch.randn(5, 3, 10), None
        >>> for x_t in x:
        ...     y_t, state = lstm.step(x_t, state)
        >>> torch.allclose(y_t, lstm(x)[0][-1], atol=1e-6)
        True
        >>> h, c = state
        >>> h.shape
        torch.Size([1, 3, 20])
        """
        if not is_dynamo_compiling() and not private.in_forward_mode():
            result = take_step(self, input, hx, reset, weights)
            if result is not NotImplemented:
                return result
        return self._step_slowly(input, hx, reset, generator, weights)

    def step_error(self, input: Tensor, hx: Any = None, *, weights: str) -> ReducedError:  # noqa: A002
        """Measure what reduced weights cost in accuracy: step through sequences with them and with the full ones.

        Parameters
        ----------
        input
            ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, or ``(T, I)``.
        hx
            The state before the first step.
        weights
            ``"bfloat16"`` or ``"int8"``.

        Returns
        -------
        error
            Of the outputs at all steps.

        Raises
        ------
        ValueError
            As :meth:`step` does, and for an input that holds no step.
        TypeError
            For what is no tensor.

        Examples
        --------
        >>> import torch
        >>> from fastlstm import LSTM
        >>> lstm, x = LSTM(10, 20).eval(), torch.randn(50, 3, 10)
        >>> lstm.step_error(x, weights="int8").largest < 0.01
        True
        """
        check_measured("step_error", input)
        steps = input.transpose(0, 1) if self.batch_first and input.dim() == 3 else input
        outputs = []
        with torch.no_grad():
            for kind in (None, weights):
                state, y = hx, []
                for x_t in steps:
                    y_t, state = self.step(x_t, state, weights=kind)
                    y.append(y_t)
                outputs.append(torch.stack(y))
        return compare(*outputs)

    def _step_slowly(
        self, x: Any, hx: Any, reset: Any, generator: torch.Generator | None, weights: str | None
    ) -> tuple[Any, Any]:
        """Take a step for which nothing is prepared, or in the way of whole sequences, or say what is wrong."""
        if self.bidirectional:
            raise ValueError(
                "step: a bidirectional layer reads what follows; call the layer on whole sequences"
            )
        handle = vars(self).get("_step_handle")
        if not is_compiling() and (handle is None or handle.zoneout is not self.zoneout):
            self._step_handle = step_op.handle(
                self.cell, self.input_size, self.hidden_size, self.proj_size or self.hidden_size,
                self._all_weights, self.zoneout, self.learn_initial_state,
            )  # fmt: skip
            return self.step(x, hx, reset=reset, generator=generator, weights=weights)
        if self.recurrent_dropout and self.training:
            raise ValueError(
                "step: recurrent_dropout has one mask for a whole sequence; call the layer on whole sequences, "
                "or eval() first"
            )
        dtype = getattr(self, self._all_weights[0][0]).dtype
        tensor = _as_tensor("input", x, dtype)
        if tensor.dim() not in (1, 2):
            raise ValueError(f"step: expected an input (B, I) or (I,), got {tensor.dim()} dimensions")
        if tensor.shape[-1] != self.input_size:
            raise ValueError(
                f"step: expected an input of {self.input_size} values a sequence, got shape {tuple(tensor.shape)}"
            )
        state = self._state_of_tensors(hx, tensor, dtype)
        # Of an empty batch no step is taken, with whatever weights.
        if weights is not None and (tensor.numel() or weights not in step_op.REDUCED):
            self._refuse_reduced(weights, tensor, state)
        time = int(self.batch_first and tensor.dim() == 2)
        reset = None if reset is None else _reset_of(reset, tensor.shape[:-1]).unsqueeze(time)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._keeps_gradients(x, state)):
            y, after = self._forward_padded(None, tensor.unsqueeze(time), state, None, reset, generator)
        output: Any = y.squeeze(time)
        if not isinstance(x, Tensor):
            output = output.to(dtype).numpy()  # numpy has no bfloat16, which autocast gives
        given = (hx if isinstance(hx, (Tensor, np.ndarray)) else hx[0]) if hx is not None else x
        if not isinstance(given, Tensor):
            parts = [
                part.detach().to(dtype).numpy() for part in ((after,) if isinstance(after, Tensor) else after)
            ]
            after = tuple(parts) if self.cell.has_cell_state else parts[0]
        return output, after

    def _keeps_gradients(self, x: Any, state: Any) -> bool:
        """Say whether a step can be differentiated: a stream would otherwise keep all its steps in memory."""
        if not isinstance(x, Tensor):
            return False
        if self.training:
            return True
        parts = () if state is None else state if isinstance(state, tuple) else (state,)
        substitutes = [held for held in self._parameters.values() if not isinstance(held, nn.Parameter)]
        return any(t is not None and t.requires_grad for t in (x, *parts, *substitutes))

    def _forward_padded(
        self, run_layers: Any, x: Tensor, hx: Any, lengths: Any, reset: Any, generator: torch.Generator | None
    ) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def _state_of_tensors(self, hx: Any, x: Tensor, dtype: torch.dtype) -> Any:
        """Check the state's parts, and give them as tensors."""
        if hx is None:
            return None
        if not self.cell.has_cell_state:
            parts = [hx]
        elif isinstance(hx, (Tensor, np.ndarray)) or not hasattr(hx, "__len__") or len(hx) != 2:
            raise ValueError(f"step: the state of {type(self).__name__} is a pair (h, c), got {_named(hx)}")
        else:
            parts = list(hx)
        widths = (self.proj_size or self.hidden_size, self.hidden_size)
        tensors = []
        for name, part, width in zip(("h", "c"), parts, widths, strict=False):
            tensor = _as_tensor(name, part, dtype)
            expected = (self.num_layers, *x.shape[:-1], width)
            if tensor.shape != expected:
                raise ValueError(
                    f"step: expected a state {name} of shape {expected}, got {tuple(tensor.shape)}"
                )
            tensors.append(tensor)
        return tuple(tensors) if self.cell.has_cell_state else tensors[0]

    def _refuse_reduced(self, weights: str, x: Tensor, state: Any) -> None:
        names = [name for layer in self._all_weights for name in layer]
        computed = [name for name in names if name not in self._parameters]
        tensors = [getattr(self, name) for name in names]
        given = [x] if state is None else [x, *(state if isinstance(state, tuple) else (state,))]
        if is_compiling():
            reason = "not inside torch.compile; leave the step outside"
        elif computed:
            reason = f"{computed[0]} is not a parameter but computed; make it permanent first"
        elif any(t.dtype != torch.float32 or t.device.type != "cpu" for t in (*tensors, *given)):
            reason = "they need parameters, input and state of torch.float32 on the CPU"
        elif torch.is_grad_enabled() and any(t.requires_grad for t in given):
            reason = "they let no gradient through; use torch.no_grad()"
        elif self.training and (self.dropout or any(self.zoneout)):
            reason = "not with dropout or zoneout in training; call eval() first"
        else:
            reason = "parameters, input or state are not plain dense tensors"
        refuse(weights, reason)


def _reset_of(reset: Any, sequences: torch.Size) -> Tensor:
    found = arguments.tensor_given("reset", reset, "bools, one a sequence, or a single one")
    if found.numel() == 1:
        return found.reshape(()).expand(sequences)
    if found.shape != sequences:
        raise ValueError(
            f"step: expected a reset of shape {tuple(sequences)}, or a single one, got {tuple(found.shape)}"
        )
    return found


def _as_tensor(name: str, value: Any, dtype: torch.dtype) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"step: expected {name} as a tensor or a numpy array, got {_named(value)}")
    wanted = str(dtype).removeprefix("torch.")
    if value.dtype.name != wanted or not value.dtype.isnative:
        raise ValueError(
            f"step: {name} has dtype {value.dtype}, but the weights have {dtype}: use {name}.astype({wanted!r})"
        )
    return torch.from_numpy(np.ascontiguousarray(value))


def _named(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__
