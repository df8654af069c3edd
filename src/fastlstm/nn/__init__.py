"""The layers."""

from fastlstm.nn.gru import GRU
from fastlstm.nn.lstm import LSTM, Trace
from fastlstm.nn.replacement import replace
from fastlstm.nn.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "Trace", "replace"]
