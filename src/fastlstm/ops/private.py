"""What PyTorch has no public name for, all of it: where to look first when a new version of it breaks something."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function, unwrap_dead_wrappers
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction as SingleLevelFunction

__all__ = [
    "SingleLevelFunction",
    "add_legacy_dimension",
    "below_autograd",
    "count_modes",
    "enable_single_level_autograd_function",
    "forward_mode_enabled",
    "in_forward_mode",
    "is_autocast_on",
    "is_legacy_mapped",
    "is_traced_by_jit",
    "is_transformed",
    "is_transformed_by_jvp",
    "remove_legacy_dimension",
    "transform_levels",
    "unwrap_dead_wrappers",
    "unwrapped",
]

below_autograd = torch._C._AutoDispatchBelowAutograd
count_modes = torch._C._len_torch_dispatch_stack
forward_mode_enabled = forward_ad._set_fwd_grad_enabled
is_autocast_on = torch._C._is_any_autocast_enabled  # for any device
is_legacy_mapped = (
    torch._C._functorch.is_legacy_batchedtensor
)  # torch.autograd.grad(…, is_grads_batched=True)
is_traced_by_jit = torch._C._is_tracing  # torch.onnx.export(dynamo=False) too
is_transformed = torch._C._are_functorch_transforms_active


def in_forward_mode() -> bool:
    """Say whether a level of ``torch.autograd.forward_ad`` is open."""
    return forward_ad._current_level >= 0


def transform_levels() -> list[Any]:
    """Return the transforms of ``torch.func`` that are at work, the outermost first."""
    return torch._C._functorch.get_interpreter_stack() or []


def is_transformed_by_jvp() -> bool:
    """Say whether one of those is ``torch.func.jvp``."""
    jvp = torch._C._functorch.TransformType.Jvp
    return any(level.key() == jvp for level in transform_levels())


def unwrapped(tensor: Tensor) -> Tensor:
    """Return what lies below all that ``torch.func`` has put around a tensor."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def add_legacy_dimension(tensor: Tensor, dimension: int) -> Tensor:
    """Hide the dimension that is mapped, see :func:`is_legacy_mapped`."""
    return torch._add_batch_dim(tensor, dimension, 1)


def remove_legacy_dimension(tensor: Tensor) -> Tensor:
    """Return a tensor with the dimension that is mapped in front."""
    return torch._remove_batch_dim(tensor, 1, 1, 0)
