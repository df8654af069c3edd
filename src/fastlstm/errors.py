"""The exceptions that fastlstm raises on purpose.

::

    FastLSTMError
    ├── InputError (ValueError)   what the user gave is wrong: file, row, column, argument, and the mend
    │   ├── DataError             … in a table
    │   └── RunError              … in a run folder
    └── TrainingError             training cannot go on (a loss that is not finite)

The command line prints an ``InputError`` as one line and exits with 2. The layers in :mod:`fastlstm.nn` raise what
``torch.nn.LSTM`` raises, not these.
"""


class FastLSTMError(Exception):
    """Base class of every error of fastlstm's own."""


class InputError(FastLSTMError, ValueError):
    """What the user gave cannot be used; the message says what was found, where, and the mend."""


class DataError(InputError):
    """A table cannot be used; the message names the file, and the row or column."""


class RunError(InputError):
    """A run folder cannot be used; the message names the folder or the file in it."""


class TrainingError(FastLSTMError):
    """Training cannot go on, for instance because the loss is no longer finite."""
