"""The LSTM layer: ``torch.nn.LSTM``'s interface on fastlstm's op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from fastlstm import ops

State = tuple[Tensor, Tensor]


class LSTM(nn.RNNBase):
    r"""A multi-layer Long Short-Term Memory network: a drop-in replacement of :class:`torch.nn.LSTM`.

    For each step of each layer, with :math:`\sigma` the logistic function and :math:`\odot` the elementwise product,

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000). With ``proj_size`` the hidden state is
    :math:`h_t = W_{hr} (o_t \odot \tanh(c_t))` (Sak et al. 2014).

    Parameter names and shapes, the order of the gates (i, f, g, o), initial weights for a given seed, ``state_dict``
    and errors are those of :class:`torch.nn.LSTM`. Parameters are read at every call, so parametrizations, pruning,
    weight norm and ``torch.func.functional_call`` take effect.

    Parameters
    ----------
    input_size
        I, the number of values a step.
    hidden_size
        H, the number of hidden units.
    num_layers
        Layers, each reading the outputs of the one before.
    bias
        Whether the layers have the biases ``b_ih`` and ``b_hh``.
    batch_first
        Whether sequences come as ``(B, T, I)`` rather than ``(T, B, I)``. Either is read without a copy.
    dropout
        The probability with which outputs of all layers but the last are set to zero in training.
    bidirectional
        Whether each layer also reads its input from the end to the beginning.
    proj_size
        P, the size of the projected hidden state; 0 for none.
    device, dtype
        Of the parameters.

    Examples
    --------
    >>> import torch
    >>> from fastlstm import LSTM
    >>> lstm = LSTM(10, 20, num_layers=2)
    >>> y, (h, c) = lstm(torch.randn(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip

    def flatten_parameters(self) -> None:
        """Do nothing: the kernel packs the weights itself, wherever they lie."""

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:  # noqa: A002
        """Tell the shape of the cell state that belongs to an input: ``(num_layers · D, B, H)``."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: State, batch_sizes: Tensor | None) -> None:  # type: ignore[override]  # noqa: A002
        """Raise what ``torch.nn.LSTM`` raises where the input or the state has the wrong size."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        expected = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[1], expected, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: State, permutation: Tensor | None) -> State:  # type: ignore[override]
        """Reorder the sequences of a state."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Any, State]:
        """Run the layer over whole sequences.

        T time steps, B sequences (left out for a single one), D directions, P = ``proj_size`` or else H.

        Parameters
        ----------
        input
            ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)``, or a packed sequence.
        hx
            ``h (num_layers · D, B, P)`` and ``c (num_layers · D, B, H)``; zeros where not given.
        lengths
            ``(B,)`` integers in 0 … T, on any device and in any order: how long each sequence is. Outputs past the end
            are zero, and the state is the one at the end; what the input holds there does not matter.

        Returns
        -------
        output
            As the input, with D·P values a step.
        state
            ``h`` and ``c`` after the last step, shaped as ``hx``.

        Raises
        ------
        ValueError
            For an input that is neither 2-D nor 3-D, of another dtype than the weights, or lengths that do not fit.
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
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: a PackedSequence has its own; give one or the other")
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(batch_dim)
        if hx is None:
            self.check_input(x, None)
        else:
            hx = self._batched_state(hx, batched)
            self.check_forward_args(x, hx, None)
        if x.shape[1 - batch_dim] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        y, h, c = self._run_layers(
            x,
            hx,
            batch_first=self.batch_first,
            lengths=self._checked_lengths(lengths, x.shape[batch_dim], batched),
        )
        if not batched:
            return y.squeeze(batch_dim), (h.squeeze(1), c.squeeze(1))
        return y, (h, c)

    def _forward_packed(self, packed: PackedSequence, hx: State | None) -> tuple[PackedSequence, State]:
        x, batch_sizes, sorted_indices, unsorted_indices = packed
        if hx is None:
            self.check_input(x, batch_sizes)
        else:
            hx = self.permute_hidden(hx, sorted_indices)
            self.check_forward_args(x, hx, batch_sizes)
        y, h, c = self._run_layers(x, hx, batch_sizes=batch_sizes, packed_batch=int(batch_sizes[0]))
        state = self.permute_hidden((h, c), unsorted_indices)
        return PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices), state

    def _batched_state(self, hx: State, batched: bool) -> State:
        expected = 3 if batched else 2
        if hx[0].dim() != expected or hx[1].dim() != expected:
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {expected}-D but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        return hx if batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))

    def _checked_lengths(
        self, lengths: Tensor | Sequence[int] | None, batch: int, batched: bool
    ) -> Tensor | None:
        if lengths is None:
            return None
        lengths = torch.as_tensor(lengths)
        if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
            raise ValueError(f"lengths: expected integers, got {lengths.dtype}")
        if not batched and lengths.dim() == 0:
            lengths = lengths.unsqueeze(0)
        if lengths.shape != (batch,):
            raise ValueError(
                f"lengths: expected shape ({batch},), one a sequence, got {tuple(lengths.shape)}"
            )
        return lengths

    def _run_layers(self, x: Tensor, hx: State | None, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
        weights = [getattr(self, name) for name in self._flat_weights_names]
        dtype = x.dtype
        device = x.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x = x.to(weights[0].dtype)
        if hx is not None:
            hx = self._state_in(hx, x.dtype, cast=dtype != x.dtype)
        directions = 2 if self.bidirectional else 1
        per_layer = len(weights) // self.num_layers
        last_h, last_c = [], []
        for layer in range(self.num_layers):
            own = slice(layer * directions, (layer + 1) * directions)
            x, h, c = ops.sequence(
                ops.Cell("lstm", self.bias, self.proj_size > 0),
                x,
                None if hx is None else hx[0][own],
                None if hx is None else hx[1][own],
                weights[layer * per_layer : (layer + 1) * per_layer],
                **options,
            )
            last_h.append(h)
            last_c.append(c)
            if self.dropout and self.training and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout)
        h, c = (s[0] if self.num_layers == 1 else torch.cat(s) for s in (last_h, last_c))
        return x.to(dtype), h.to(dtype), c.to(dtype)

    @staticmethod
    def _state_in(hx: State, dtype: torch.dtype, cast: bool) -> State:
        if cast:
            return hx[0].to(dtype), hx[1].to(dtype)
        for name, state in zip(("hx", "cx"), hx, strict=True):
            if state.dtype != dtype:
                raise RuntimeError(
                    f"{name} has dtype {state.dtype}, but the input has {dtype}: use {name}.to({dtype})"
                )
        return hx
