"""What the layers LSTM, GRU and RNN share: ``torch.nn``'s interface on fastlstm's op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fastlstm import ops
from fastlstm.nn import arguments, checkpoint
from fastlstm.nn.reduced import ReducedError, check_measured, compare, refuse, step_by_step
from fastlstm.nn.step import Stepping
from fastlstm.ops import native, private
from fastlstm.ops.kernel import outputs_at
from fastlstm.ops.reference import check_lengths
from fastlstm.ops.stack import MOST_SEQUENCES, stack

_Run = Callable[..., tuple[Tensor, Tensor, Tensor]]  # one layer
_RunLayers = Callable[..., tuple[Tensor, Tensor, Tensor | None]]  # all of them
_States = tuple[Tensor, Tensor | None]  # h, and c where the cell has one


class Recurrent(Stepping):
    """A stack of recurrent layers; :class:`fastlstm.LSTM`, :class:`fastlstm.GRU` and :class:`fastlstm.RNN` are it."""

    def _pair(self, hx: Any) -> _States:
        """From the state as this layer's callers give it."""
        if not isinstance(hx, Tensor):
            raise TypeError(
                f"hx: the state of {type(self).__name__} is one tensor h, got {type(hx).__name__}"
            )
        return hx, None

    def _as_given(self, h: Tensor, c: Tensor | None) -> Any:
        """To the state as this layer's callers give it."""
        return h if c is None else (h, c)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        output_steps: Tensor | None = None,
        generator: torch.Generator | None = None,
        weights: str | None = None,
    ) -> tuple[Any, Any]:
        """Run the layer over whole sequences.

        T time steps, B sequences (left out for a single one), D directions, P = ``proj_size`` or else H.

        Parameters
        ----------
        input
            ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)``, or a packed sequence.
        hx
            The state before the first step, ``h (num_layers · D, B, P)``; of an LSTM the pair of it and
            ``c (num_layers · D, B, H)``. Where not given, zeros, or the parameters of ``learn_initial_state``.
        lengths
            ``(B,)`` integers in 0 … T, on any device and in any order: how long each sequence is. Outputs past the end
            are zero, and the state is the one at the end; what the input holds there does not matter.
        reset
            bool, one for each step that the input has: ``(T, B)``, ``(B, T)`` with ``batch_first``, ``(T,)``, or
            ``(rows,)`` in the order of a packed sequence's data. Where true, the sequence is cut between the step
            before and this one: the state, that of ``hx`` too, is taken as zero and no gradient passes. A backward
            direction forgets on its way from this step to the one before; there a reset at the first step does nothing.
        output_steps
            ``(K,)`` int64 in 0 … T - 1, in any order: the steps whose outputs are wanted. The output then has K steps,
            and the way back is spared the others. Not with a packed sequence.
        generator
            On the input's device: what dropout, recurrent dropout and zoneout draw from in training, for masks that
            can be repeated. By default they draw from torch's own.
        weights
            ``"bfloat16"`` or ``"int8"``, for a float32 layer under ``torch.no_grad()``: its weight matrices in so few
            bits. With bfloat16, input and hidden state are rounded too where the CPU multiplies bfloat16; gates, cells
            and sums remain float32. With int8 it is :meth:`step` after step, which pays for few sequences whose weights
            outgrow the caches. :meth:`forward_error` tells what they cost.

        Returns
        -------
        output
            As the input, with D·P values a step.
        state
            After the last step, shaped as ``hx``.

        Raises
        ------
        ValueError
            For an input that is neither 2-D nor 3-D, of another dtype than the weights, lengths, resets or output steps
            that do not fit, a generator on another device, or reduced weights where there are none, with the reason.
        TypeError
            For an input or a state of the wrong kind.
        RuntimeError
            For an input or state of the wrong size, or without time steps.

        Examples
        --------
        >>> import torch
        >>> from fastlstm import LSTM
        >>> y, (h, c) = LSTM(10, 20)(torch.randn(5, 3, 10), lengths=[5, 0, 2])
        >>> y[2:, 2].abs().max().item(), torch.equal(y[1, 2], h[0, 2])
        (0.0, True)
        """
        run: _Run = ops.sequence
        if weights is not None:
            self._check_reduced(weights, input)
            run = partial(ops.sequence, in_bfloat16=True)
        if isinstance(input, PackedSequence):
            if output_steps is not None:
                raise ValueError(
                    "output_steps: not with a PackedSequence, whose steps are of several lengths"
                )
            return self._forward_packed(run, input, hx, lengths, reset, generator)
        if self.checkpoint_every is not None and weights is None:
            run = partial(checkpoint.sequence, self.checkpoint_every)
        run_layers: _RunLayers = self._step_layers if weights == "int8" else partial(self._run_layers, run)
        return self._forward_padded(run_layers, input, hx, lengths, reset, generator, output_steps)

    def __prepare_scriptable__(self) -> Recurrent:
        """Say to ``torch.jit.script`` that it cannot compile what calls the kernel."""
        raise TypeError(
            f"torch.jit.script: it does not take fastlstm's {type(self).__name__}; use torch.jit.trace, "
            "torch.compile or torch.export"
        )

    def forward_error(
        self,
        input: Tensor,  # noqa: A002
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        weights: str,
    ) -> ReducedError:
        """Measure what reduced weights cost in accuracy: run :meth:`forward` with them and with the full ones.

        Parameters
        ----------
        input, hx, lengths
            As :meth:`forward` takes them, but for a packed sequence.
        weights
            ``"bfloat16"`` or ``"int8"``.

        Returns
        -------
        error
            Of the outputs at all steps.

        Raises
        ------
        ValueError
            As :meth:`forward` does, and for an input that holds no step.
        TypeError
            For what is no tensor.

        Examples
        --------
        >>> import torch
        >>> from fastlstm import LSTM
        >>> lstm, x = LSTM(10, 20, bidirectional=True), torch.randn(50, 3, 10)
        >>> lstm.forward_error(x, weights="bfloat16").largest < 0.05
        True
        """
        check_measured("forward_error", input)
        with torch.no_grad():
            full, reduced = (
                self.forward(input, hx, lengths=lengths, weights=kind)[0] for kind in (None, weights)
            )
        return compare(full, reduced)

    def _check_reduced(self, weights: str, x: Any) -> None:
        """Say why weights cannot be reduced, where they cannot."""
        reason = None
        tensors = [getattr(self, name) for layer in self._all_weights for name in layer]
        given = [x.data] if isinstance(x, PackedSequence) else [x] if isinstance(x, Tensor) else []
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*given, *tensors)):
            reason = "they let no gradient through; use torch.no_grad()"
        elif any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors):
            reason = "they need parameters of torch.float32 on the CPU"
        elif self.training and (self.dropout or self.recurrent_dropout or any(self.zoneout)):
            reason = "not with dropout or zoneout in training; call eval() first"
        elif weights == "int8" and self.bidirectional:
            reason = "step after step, which a layer of both directions does not take; use weights='bfloat16'"
        elif weights == "int8" and isinstance(x, PackedSequence):
            reason = "not of a packed sequence; give the padded tensor and lengths="
        refuse(weights, reason)

    def _forward_padded(
        self,
        run_layers: _RunLayers | None,
        x: Tensor,
        hx: Any,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        generator: torch.Generator | None,
        output_steps: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        if not isinstance(x, Tensor):
            raise TypeError(f"input: expected a tensor or a PackedSequence, got {type(x).__name__}")
        if x.dim() not in (2, 3):
            tensor = " tensor" if self.mode.startswith("RNN") else ""  # as torch words it
            name = self.mode.partition("_")[0]
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {x.dim()}D{tensor} instead")
        batched = x.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        reset = arguments.reset_given(reset, x)
        if not batched:
            x, reset = x.unsqueeze(batch_dim), None if reset is None else reset.unsqueeze(batch_dim)
        if hx is None:
            self.check_input(x, None)
        else:
            hx = self._batched_state(hx, batched)
            self.check_forward_args(x, hx, None)
        if x.shape[1 - batch_dim] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        options: dict[str, Any] = {"batch_first": self.batch_first, "reset": reset}
        options["lengths"] = arguments.lengths_given(lengths, x.shape[batch_dim], batched)
        output_steps = arguments.output_steps_given(output_steps, x)
        run_layers = run_layers or partial(self._run_layers, ops.sequence)
        y, h, c = run_layers(x, hx, x.shape[batch_dim], generator, options, output_steps)
        if not batched:
            y, h, c = y.squeeze(batch_dim), h.squeeze(1), None if c is None else c.squeeze(1)
        return y, self._as_given(h, c)

    def _forward_packed(
        self,
        run: _Run,
        packed: PackedSequence,
        hx: Any,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        generator: torch.Generator | None,
    ) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise ValueError("lengths: a PackedSequence has its own; give one or the other")
        if self.checkpoint_every is not None:
            raise ValueError(
                "checkpoint_every: not with a PackedSequence, whose steps have no common sequences to go on from; "
                "give the padded tensor and lengths="
            )
        x, batch_sizes, sorted_indices, unsorted_indices = packed
        if hx is None:
            self.check_input(x, batch_sizes)
        else:
            hx = self.permute_hidden(self._as_given(*self._pair(hx)), sorted_indices)
            self.check_forward_args(x, hx, batch_sizes)
        batch = int(batch_sizes[0])
        options = {
            "batch_sizes": batch_sizes,
            "packed_batch": batch,
            "reset": arguments.reset_given(reset, x),
        }
        y, h, c = self._run_layers(run, x, hx, batch, generator, options)
        state = self.permute_hidden(self._as_given(h, c), unsorted_indices)
        return PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices), state

    def _batched_state(self, hx: Any, batched: bool) -> Any:
        """Give the state the dimension of the sequences, or say that it lacks it."""
        h, c = self._pair(hx)
        expected = 3 if batched else 2
        dims = [state.dim() for state in (h, c) if state is not None]
        if any(dim != expected for dim in dims):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            names, found = (
                ("hx and cx", f"({dims[0]}-D, {dims[1]}-D) tensors")
                if len(dims) == 2
                else ("hx", f"{dims[0]}-D tensor")
            )
            raise RuntimeError(f"For {kind} input, {names} should also be {expected}-D but got {found}")
        return hx if batched else self._as_given(h.unsqueeze(1), None if c is None else c.unsqueeze(1))

    def _run_layers(
        self,
        run: _Run,
        x: Tensor,
        hx: Any,
        batch: int,
        generator: torch.Generator | None,
        options: dict[str, Any],
        output_steps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        held = self._parameters  # looked at first: nn.Module finds its attributes the slow way
        layers: list[list[Any]] = [
            [held[name] if name in held else getattr(self, name) for name in names]
            for names in self._all_weights
        ]
        dtype, autocast = x.dtype, False
        if private.is_autocast_on():
            device = x.device.type
            autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        if autocast:
            kinds = {weight.dtype for layer in layers for weight in layer}
            if len(kinds) > 1:  # autocast reaches what computes weights, too: parametrizations
                common = reduce(torch.promote_types, kinds)
                layers = [[weight.to(common) for weight in layer] for layer in layers]
            autocast = arguments.is_cast(x.dtype) and arguments.is_cast(layers[0][0].dtype)
        if autocast:
            # With gradients in the weights' own type, which is the more exact: products alone are rounded.
            dtype = torch.get_autocast_dtype(device)
            learns = torch.is_grad_enabled()
            x = x.to(layers[0][0].dtype if learns else dtype)
            if learns and dtype == torch.bfloat16:
                options = {**options, "rounded": True}
        elif dtype != layers[0][0].dtype:
            raise ValueError(
                f"RNN input dtype ({dtype}) does not match weight dtype ({layers[0][0].dtype}). Convert input: "
                f"input.to({layers[0][0].dtype}), or convert model: model.to({dtype})"
            )
        h0, c0 = self._initial_state(hx, batch, x.dtype, cast=autocast)
        generator = arguments.generator_given(generator, x)
        directions = 2 if self.bidirectional else 1
        disturbed = self.training and (self.dropout or self.recurrent_dropout or any(self.zoneout))
        plain = directions == 1 and run is ops.sequence and x.dtype == dtype and not disturbed
        # A graph is asked nothing of its sizes.
        if self.num_layers > 1 and plain and not native.is_traced() and batch <= MOST_SEQUENCES:
            found = stack(self.cell, x, h0, c0, layers, zoneout=self.zoneout, **options)
            if found is not None:
                y, h, c = found
                y = y if output_steps is None else outputs_at(y, int(self.batch_first), output_steps)
                return y, h, c if self.cell.has_cell_state else None
        last_h, last_c = [], []
        several = self.num_layers > 1
        for layer in range(self.num_layers):
            own = slice(layer * directions, (layer + 1) * directions)
            if layer + 1 == self.num_layers and output_steps is not None:
                options = {**options, "read_steps": output_steps}
            x, h, c = run(
                self.cell,
                x,
                h0[own] if several and h0 is not None else h0,
                c0[own] if several and c0 is not None else c0,
                [weight for weights in layers[own] for weight in weights],
                **options,
                **self._masks(x, batch, generator),
            )
            last_h.append(h)
            last_c.append(c)
            if self.dropout and self.training and layer + 1 < self.num_layers:
                x = self._dropped(x, bool(options.get("batch_first")), generator)
        if x.dtype != dtype:  # first: autocast joins nothing of 16 bits but its own
            x = x.to(dtype)
            last_h, last_c = ([state.to(dtype) for state in states] for states in (last_h, last_c))
        h, c = (torch.cat(states) if several else states[0] for states in (last_h, last_c))
        return x, h, c if self.cell.has_cell_state else None

    def _step_layers(
        self,
        x: Tensor,
        hx: Any,
        batch: int,
        generator: torch.Generator | None,
        options: dict[str, Any],
        output_steps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run all layers step by step, with weights of 8 bits."""
        arguments.generator_given(generator, x)
        lengths, reset = options["lengths"], options["reset"]
        if lengths is not None:
            check_lengths(lengths, x.shape[int(self.batch_first)])
        if self.batch_first:
            x, reset = x.transpose(0, 1), None if reset is None else reset.transpose(0, 1).contiguous()
        h, c = self._initial_state(hx, batch, x.dtype, cast=False)
        width, layers = self.proj_size or self.hidden_size, self.num_layers
        h = x.new_zeros(layers, batch, width) if h is None else h.contiguous()
        if self.cell.has_cell_state:
            c = x.new_zeros(layers, batch, self.hidden_size) if c is None else c.contiguous()
        step = partial(self.step, weights="int8")
        y, state = step_by_step(step, x, self._as_given(h, c), lengths, reset)
        if output_steps is not None:
            y = outputs_at(y, 0, output_steps)
        return y.transpose(0, 1) if self.batch_first else y, *self._pair(state)

    def _dropped(self, x: Tensor, batch_first: bool, generator: torch.Generator | None) -> Tensor:
        """Drop outputs of a layer; what is drawn lies as (T, B, P) in either layout, as torch's does."""
        mask = _mask((x.transpose(0, 1) if batch_first else x).shape, self.dropout, x, generator)
        return x * (mask.transpose(0, 1) if batch_first else mask)

    def _masks(self, x: Tensor, batch: int, generator: torch.Generator | None) -> dict[str, Any]:
        """Draw what one layer's recurrence is disturbed with in training; tell what is expected in evaluation."""
        masks: dict[str, Any] = {}
        if self.recurrent_dropout and self.training:
            shape = (2 if self.bidirectional else 1, batch, self.proj_size or self.hidden_size)
            masks["recurrent_mask"] = _mask(shape, self.recurrent_dropout, x, generator)
        if any(self.zoneout):
            masks["zoneout"] = self.zoneout
            if self.training:
                low, high = -(2**63), 2**63 - 1
                masks["seed"] = torch.randint(low, high, (1,), generator=generator, device=x.device)
        return masks

    def _initial_state(
        self, hx: Any, batch: int, dtype: torch.dtype, cast: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        if hx is None:
            if not self.learn_initial_state:
                return None, None
            h, c = (
                getattr(self, name).expand(-1, batch, -1) if name in self._state_widths() else None
                for name in ("h0", "c0")
            )
            return h, c
        h, c = self._pair(hx)
        for name, state in (("hx", h), ("cx", c)):
            if state is None or state.dtype == dtype or (cast and arguments.is_cast(state.dtype)):
                continue
            raise RuntimeError(
                f"{name} has dtype {state.dtype}, but the input has {dtype}: use {name}.to({dtype})"
            )
        return (h.to(dtype), None if c is None else c.to(dtype)) if cast else (h, c)


def _mask(shape: Sequence[int], rate: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Zero with probability ``rate``, else what keeps the mean at one."""
    if rate == 1:
        return like.new_zeros(shape)
    return like.new_empty(shape).bernoulli_(1 - rate, generator=generator).div_(1 - rate)
