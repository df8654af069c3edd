"""Putting fastlstm's layers where a model has PyTorch's."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from fastlstm.nn.lstm import LSTM

_ModuleType = TypeVar("_ModuleType", bound=nn.Module)


def replace(model: _ModuleType) -> _ModuleType:
    """Turn every ``torch.nn.LSTM`` of a model into a :class:`fastlstm.LSTM`, in place.

    The layers keep their parameters, hooks, parametrizations and training flags, and stay the same objects: optimizers
    and other references to them remain valid. Subclasses of ``torch.nn.LSTM`` with code of their own are left alone.

    Parameters
    ----------
    model
        Any module, an LSTM itself included.

    Returns
    -------
    model
        The same object.

    Examples
    --------
    >>> import torch, fastlstm
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(10, 20), "head": torch.nn.Linear(20, 1)})
    >>> fastlstm.replace(model)["encoder"]
    LSTM(10, 20)
    >>> type(model["encoder"])
    <class 'fastlstm.nn.lstm.LSTM'>
    """
    for module in model.modules():
        kind = type(module)
        if kind is nn.LSTM:
            module.__class__ = LSTM
        elif kind.__bases__ == (nn.LSTM,) and nn.utils.parametrize.is_parametrized(module):
            # Parametrizing a module gives it a class of its own, which holds the parametrized properties.
            own = {
                name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")
            }
            module.__class__ = type(kind.__name__, (LSTM,), own)
    return model
