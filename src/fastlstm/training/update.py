"""One update of the weights from a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


class WeightUpdate:
    """AdamW with clipped gradients, on all weights as one flat tensor.

    The weights become views of one tensor and their gradients of another, so that clearing, clipping and the
    step itself are a handful of operations whatever the number of weights: for the small networks that LSTMs
    mostly are, going over the weights one by one takes longer than the arithmetic. AdamW acts on each number
    by itself and the norm of all gradients is that of the flat one, so the numbers are the same.

    Kingma & Ba 2015, "Adam"; Loshchilov & Hutter 2019, "Decoupled weight decay regularization"; clipping to a
    norm: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".

    Parameters
    ----------
    weights : iterable of torch.nn.Parameter
        Of one type and on one device; those that ask for no gradient are left alone.
    weight_decay : float
        Decoupled from the gradient.
    clip : float
        The largest norm of the gradient of all weights together.
    scaler : torch.amp.GradScaler, optional
        Scales the loss for float16.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> update = WeightUpdate(layer.parameters(), weight_decay=0.0, clip=1.0)
    >>> before = layer.weight.detach().clone()
    >>> update(layer(torch.ones(1, 2)).sum(), learning_rate=0.1)
    >>> (before - layer.weight.detach()).round(decimals=4)
    tensor([[0.1000, 0.1000]])
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], *, weight_decay: float, clip: float, scaler: Any | None = None
    ) -> None:
        kept = [weight for weight in weights if weight.requires_grad]
        self.flat = torch.cat([weight.detach().flatten() for weight in kept])
        self.gradient = torch.zeros_like(self.flat)
        self.clip = clip
        first = 0
        for weight in kept:
            place = slice(first, first + weight.numel())
            weight.data = self.flat[place].view_as(weight)
            weight.grad = self.gradient[place].view_as(weight)
            first += weight.numel()
        self.weight_decay = weight_decay
        self.step = torch.zeros((), device=self.flat.device)
        self.mean, self.square = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.scaler = scaler
        if scaler is not None:  # a scaler asks for an optimizer, whose step it leaves out after an overflow
            whole = nn.Parameter(self.flat)
            whole.grad = self.gradient
            self.optimizer = torch.optim.AdamW([whole], weight_decay=weight_decay, fused=True)

    def __call__(self, loss: Tensor, learning_rate: float) -> None:
        """Take a step down the gradient of a loss.

        Parameters
        ----------
        loss : Tensor
            A scalar.
        learning_rate : float
            The size of the step.
        """
        self.gradient.zero_()
        if self.scaler is None:
            torch.autograd.backward(loss)
            self._step(learning_rate)
        else:
            torch.autograd.backward(self.scaler.scale(loss))
            self.scaler.unscale_(self.optimizer)
            self.gradient.div_(self._excess())
            self.optimizer.param_groups[0]["lr"] = learning_rate
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def state(self) -> dict[str, Tensor]:
        """Return what a later update needs to go on from here, but for the weights themselves."""
        if self.scaler is None:
            return {"mean": self.mean, "square": self.square, "step": self.step}
        moments = self.optimizer.state_dict()["state"].get(0, {})
        scale = {name: torch.tensor(value) for name, value in self.scaler.state_dict().items()}
        return {**moments, **{f"scaler.{name}": value for name, value in scale.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where another update stood.

        Parameters
        ----------
        state : mapping
            What its ``state`` gave; the weights are to be set beside.
        """
        if self.scaler is None:
            for name, value in self.state().items():
                value.copy_(state[name])
            return
        prefix = "scaler."
        scale = {name.removeprefix(prefix): state[name].item() for name in state if name.startswith(prefix)}
        moments = {name: value for name, value in state.items() if not name.startswith(prefix)}
        whole = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**whole, "state": {0: moments} if moments else {}})
        self.scaler.load_state_dict(scale)

    def _excess(self) -> Tensor:
        """Compute what the gradient is to be divided by: 1, or more where its norm is larger than is allowed."""
        norm: Tensor = torch.linalg.vector_norm(self.gradient)
        return norm.add_(1e-6).div_(self.clip).clamp_(min=1.0)

    def _step(self, learning_rate: float) -> None:
        """Take a step of AdamW by its function: the optimizer around it takes longer than the arithmetic."""
        adamw(
            [self.flat],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.step],
            fused=True,
            amsgrad=False,
            maximize=False,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=self.weight_decay,
            lr=learning_rate,
            grad_scale=self._excess().float(),
        )
