"""Putting fastlstm's layers where a model has PyTorch's."""

from __future__ import annotations

from typing import Final, TypeVar

from torch import nn

from fastlstm.nn.gru import GRU
from fastlstm.nn.lstm import LSTM
from fastlstm.nn.recurrent import Recurrent
from fastlstm.nn.rnn import RNN

_ModuleType = TypeVar("_ModuleType", bound=nn.Module)
_OURS: Final[dict[type, type[Recurrent]]] = {nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}


def replace(model: _ModuleType) -> _ModuleType:
    """Turn every ``torch.nn`` LSTM, GRU and RNN of a model into fastlstm's, in place.

    The layers keep their parameters, hooks, parametrizations and training flags, and stay the same objects: optimizers
    and other references to them remain valid. Subclasses of torch's layers with code of their own are left alone.

    Parameters
    ----------
    model
        Any module, a recurrent layer itself included.

    Returns
    -------
    model
        The same object.

    Examples
    --------
    >>> import torch, fastlstm
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(10, 20), "decoder": torch.nn.GRU(20, 1)})
    >>> fastlstm.replace(model)["encoder"]
    LSTM(10, 20)
    >>> type(model["encoder"]), type(model["decoder"])
    (<class 'fastlstm.nn.lstm.LSTM'>, <class 'fastlstm.nn.gru.GRU'>)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"replace: expected a model, got {model!r:.60}")
    for module in model.modules():
        kind = type(module)
        if kind in _OURS:
            module.__class__ = _OURS[kind]
        elif kind.__bases__[0] in _OURS and nn.utils.parametrize.is_parametrized(module):
            # Parametrizing a module gives it a class of its own, which holds the parametrized properties.
            own = {
                name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")
            }
            module.__class__ = type(kind.__name__, (_OURS[kind.__bases__[0]],), own)
        else:
            continue
        assert isinstance(module, Recurrent)
        module.describe()
    return model
