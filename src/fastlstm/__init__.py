"""Long Short-Term Memory networks, from a data file to a prediction.

The layers are ``fastlstm.LSTM``, ``fastlstm.GRU`` and ``fastlstm.RNN``, drop-ins of ``torch.nn``'s, and
``fastlstm.replace`` puts them into a model that has PyTorch's. ``fastlstm.Forecaster`` goes from a table to a forecast,
``fastlstm.Detector`` from one to scores and alarms, ``fastlstm.Classifier`` and ``fastlstm.Regressor`` from sequences
to labels and numbers, ``fastlstm.Generator`` learns a language from texts, ``fastlstm.Translator`` goes from pairs of
texts to translations, ``fastlstm.Transcriber`` from recordings to text, and ``fastlstm.load`` reads a run folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastlstm.nn import GRU, LSTM, RNN, replace
    from fastlstm.tasks import load
    from fastlstm.tasks.classify import Classifier
    from fastlstm.tasks.detect import Detector
    from fastlstm.tasks.forecast import Forecaster
    from fastlstm.tasks.generate import Generator
    from fastlstm.tasks.regress import Regressor
    from fastlstm.tasks.transcribe import Transcriber
    from fastlstm.tasks.translate import Translator

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Classifier",
    "Detector",
    "Forecaster",
    "Generator",
    "Regressor",
    "Transcriber",
    "Translator",
    "__version__",
    "load",
    "replace",
]

__version__ = "0.1.0"

# Read when first asked for: the command line's help must not wait for torch, nor the layer for what reads tables.
_HOMES = {
    "GRU": "fastlstm.nn",
    "LSTM": "fastlstm.nn",
    "RNN": "fastlstm.nn",
    "replace": "fastlstm.nn",
    "load": "fastlstm.tasks",
    "Classifier": "fastlstm.tasks.classify",
    "Detector": "fastlstm.tasks.detect",
    "Forecaster": "fastlstm.tasks.forecast",
    "Generator": "fastlstm.tasks.generate",
    "Regressor": "fastlstm.tasks.regress",
    "Transcriber": "fastlstm.tasks.transcribe",
    "Translator": "fastlstm.tasks.translate",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastlstm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
