"""From a file or a frame to series on a regular grid in time.

In reading order: ``table`` (what was given), ``timestamps`` and ``values`` (cells), ``frequency``,
``calendar`` and ``time_axis`` (the grid), ``schema`` (roles, and what is learnt), ``rows``, ``series``,
``reading``, ``future``.
"""

from fastlstm.data.future import add_future
from fastlstm.data.gaps import GapReport
from fastlstm.data.reading import read_series
from fastlstm.data.schema import Columns, Schema, find_columns
from fastlstm.data.series import SeriesSet
from fastlstm.data.table import Table, give_back, read_table
from fastlstm.data.time_axis import TimeAxis

__all__ = [
    "Columns",
    "GapReport",
    "Schema",
    "SeriesSet",
    "Table",
    "TimeAxis",
    "add_future",
    "find_columns",
    "give_back",
    "read_series",
    "read_table",
]
