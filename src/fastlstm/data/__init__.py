"""From a file or a frame to series on a regular grid in time, or to labelled sequences of any lengths.

In reading order: ``table`` (what was given), ``timestamps`` and ``values`` (cells), ``frequency``,
``calendar`` and ``time_axis`` (the grid), ``schema`` (roles, and what is learnt), ``rows``, ``series``,
``reading``, ``future``. Sequences: ``sequence_schema`` and ``sequences`` (what is made), ``labels``, ``channels`` and
``per_series`` (columns), ``long_sequences``, ``tidy``, ``bare``, ``ts_files``, ``sequence_arrays`` (sources), and
``sequence_reading`` (all of them). Texts: ``text_tables`` and ``texts`` (sources), ``words``, ``byte_pairs`` and
``tokens`` (vocabularies), ``vectors`` (of words, learnt elsewhere).
"""

from fastlstm.data.frames import give_back
from fastlstm.data.future import add_future
from fastlstm.data.gaps import GapReport
from fastlstm.data.reading import read_series
from fastlstm.data.schema import Columns, Schema, find_columns
from fastlstm.data.sequence_reading import read_sequences
from fastlstm.data.sequence_schema import SequenceSchema
from fastlstm.data.sequences import SequenceSet
from fastlstm.data.series import SeriesSet
from fastlstm.data.table import Table, read_table
from fastlstm.data.texts import TextSchema, TextSet, read_texts
from fastlstm.data.time_axis import TimeAxis
from fastlstm.data.tokens import Tokenizer
from fastlstm.data.vectors import read_vectors

__all__ = [
    "Columns",
    "GapReport",
    "Schema",
    "SequenceSchema",
    "SequenceSet",
    "SeriesSet",
    "Table",
    "TextSchema",
    "TextSet",
    "TimeAxis",
    "Tokenizer",
    "add_future",
    "find_columns",
    "give_back",
    "read_sequences",
    "read_series",
    "read_table",
    "read_texts",
    "read_vectors",
]
