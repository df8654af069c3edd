"""Long Short-Term Memory networks, from a data file to a forecast."""

from fastlstm.nn import LSTM, replace

__all__ = ["LSTM", "__version__", "replace"]

__version__ = "0.1.0"
