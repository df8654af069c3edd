"""The layers."""

from fastlstm.nn.lstm import LSTM
from fastlstm.nn.replacement import replace

__all__ = ["LSTM", "replace"]
