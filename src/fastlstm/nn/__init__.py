"""The layers."""

from fastlstm.nn.lstm import LSTM
from fastlstm.nn.replace import replace

__all__ = ["LSTM", "replace"]
