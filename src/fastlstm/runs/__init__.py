"""A run folder: what training leaves behind, and all that prediction needs.

::

    runs/bikes/
      config.json         the task, how it was set up, what it learnt about the columns; the weights' sha256
      model.safetensors   the weights; of forecasts the end of the data that they start from
      history.csv         one line a validation
      vocabulary*.json    of texts: their tokens
      metrics.json        how well it does, beside what is naive; how training went
      plots/*.png
      checkpoint/         where training stands, until it is done
      study.db            the trials of tune (SQLite), where it made the run

It is written whole or not at all, and nothing in it is ever unpickled.
"""

from fastlstm.runs.checkpoint import drop_checkpoint, keep_checkpoint, read_checkpoint
from fastlstm.runs.folder import finite, load_run, save_run
from fastlstm.runs.run import NETWORK, VOCABULARY, Run
from fastlstm.runs.writing import check_destination, replace_file

__all__ = [
    "NETWORK",
    "VOCABULARY",
    "Run",
    "check_destination",
    "drop_checkpoint",
    "finite",
    "keep_checkpoint",
    "load_run",
    "read_checkpoint",
    "replace_file",
    "save_run",
]
