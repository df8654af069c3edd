"""The parameters that LSTM, GRU and RNN have: torch's under their names, and what the variants have beside."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import init

from fastlstm import ops
from fastlstm.nn import arguments

KINDS: Final = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}
# The parameters' names, by the names of the op's weights.
NAMES: Final = {
    "w_ih": "weight_ih",
    "w_hh": "weight_hh",
    "b_ih": "bias_ih",
    "b_hh": "bias_hh",
    "w_hr": "weight_hr",
    "w_peephole": "weight_ch",
    "gain_ih": "gain_ih",
    "gain_hh": "gain_hh",
    "gain_c": "gain_c",
    "bias_c": "bias_c",
}


class RecurrentParameters(nn.RNNBase):
    """What a stack of recurrent layers is made of: its arguments, checked, and its parameters, initialised."""

    # What torch's layers do not have. Class attributes, because one of torch's becomes one of ours by its class alone.
    layer_norm = peephole = coupled = learn_initial_state = False
    recurrent_dropout = 0.0
    zoneout: Any = (0.0, 0.0)  # once set, always the rates of h and c
    forget_bias: float | None = None
    checkpoint_every: int | None = None

    cell: ops.Cell

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        *,
        layer_norm: bool = False,
        peephole: bool = False,
        coupled: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        forget_bias: float | None = None,
        learn_initial_state: bool = False,
        checkpoint_every: int | None = None,
    ) -> None:
        self.layer_norm = arguments.flag_given("layer_norm", layer_norm)
        self.peephole = arguments.flag_given("peephole", peephole)
        self.coupled = arguments.flag_given("coupled", coupled)
        # Asked for when the parameters are initialised, which torch's class does.
        self.forget_bias = arguments.forget_bias_given(forget_bias, bias)
        # A coupled LSTM has three gates, which torch's class knows under this name.
        super().__init__(
            "GRU" if coupled else mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip
        self.mode = mode
        self.describe()
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.checkpoint_every = checkpoint_every
        self._add_parameters(device, dtype)
        self.learn_initial_state = arguments.flag_given("learn_initial_state", learn_initial_state)
        if learn_initial_state:
            states = self.num_layers * (2 if self.bidirectional else 1)
            for name, width in self._state_widths().items():
                self.register_parameter(
                    name, nn.Parameter(torch.zeros(states, 1, width, device=device, dtype=dtype))
                )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; those that may change between calls are checked as the constructor's arguments are."""
        if name == "recurrent_dropout":
            value = arguments.rate_given(name, value)
        elif name == "zoneout":
            kind = type(self).__name__
            value = arguments.zoneout_given(value, kind, self.proj_size > 0, self.cell.has_cell_state)
        elif name == "checkpoint_every":
            value = arguments.steps_given(value)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled, by torch's own layers too."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if "cell" not in state:
            self.describe()

    def describe(self) -> None:
        """Say what cell the attributes describe."""
        self.cell = ops.Cell(
            KINDS[self.mode], self.bias, self.proj_size > 0, self.peephole, self.coupled, self.layer_norm
        )

    def _state_widths(self) -> dict[str, int]:
        widths = {"h0": self.proj_size or self.hidden_size}
        return widths | {"c0": self.hidden_size} if self.cell.has_cell_state else widths

    def _add_parameters(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Add to torch's parameters, after all of them, what the variants have beside; list all in the op's order."""
        directions = 2 if self.bidirectional else 1
        outputs = self.proj_size or self.hidden_size
        for index in range(self.num_layers * directions):
            layer, direction = divmod(index, directions)
            inputs = directions * outputs if layer else self.input_size
            names = []
            for weight, shape in self.cell.weight_shapes(inputs, self.hidden_size, outputs).items():
                names.append(f"{NAMES[weight]}_l{layer}{'_reverse' if direction else ''}")
                if not hasattr(self, names[-1]):
                    parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self._initialise(names[-1], parameter)
                    self.register_parameter(names[-1], parameter)
            self._all_weights[index] = names

    def reset_parameters(self) -> None:
        r"""Draw the weights from :math:`\mathcal{U}(-1/\sqrt{H}, 1/\sqrt{H})`, as torch does, and set the others.

        Gains are one, the normalised cell's bias and learnt initial states zero; ``forget_bias`` takes its place.
        """
        for name, parameter in self.named_parameters():
            self._initialise(name.removeprefix("parametrizations."), parameter)

    def _initialise(self, name: str, parameter: Tensor) -> None:
        if name.startswith("gain_"):
            init.ones_(parameter)
        elif name.startswith("bias_c_") or name in ("h0", "c0"):
            init.zeros_(parameter)
        else:
            bound = 1.0 / math.sqrt(self.hidden_size)  # to the bit as torch has it
            init.uniform_(parameter, -bound, bound)
        if self.forget_bias is not None and name.startswith("bias_"):
            # Coupled, f = 1 - i: what opens the forget gate shuts the input gate, which comes first.
            start, value = (0, -self.forget_bias) if self.coupled else (self.hidden_size, self.forget_bias)
            gate = slice(start, start + self.hidden_size)
            if name.startswith(("bias_ih_", "bias_hh_")):
                init.constant_(parameter.data[gate], value if name.startswith("bias_ih_") else 0.0)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:  # noqa: A002
        """Raise what torch's layers raise for an input of the wrong shape.

        Its dtype is compared where the weights are looked up: another time would compute them twice where they are
        computed, and what torch's class noted of them may be out of date (``torch.func.functional_call``).
        """
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def flatten_parameters(self) -> None:
        """Do nothing: the kernel packs the weights itself, wherever they lie."""

    def extra_repr(self) -> str:
        """Tell the arguments that are not the defaults."""
        own = {
            name: getattr(self, name)
            for name in ("layer_norm", "peephole", "coupled", "recurrent_dropout", "zoneout", "forget_bias",
                         "learn_initial_state", "checkpoint_every")
            if getattr(self, name) != getattr(RecurrentParameters, name)
        }  # fmt: skip
        if "zoneout" in own and (not self.cell.has_cell_state or len(set(self.zoneout)) == 1):
            own["zoneout"] = self.zoneout[0]
        return ", ".join([super().extra_repr(), *(f"{name}={value}" for name, value in own.items())])
