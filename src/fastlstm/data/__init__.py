"""From a file or a frame to series on a regular grid in time, labelled sequences of any lengths, texts or recordings.

Each floor is built on those below it, and none knows of those above::

    speech      recordings, and what is said in them
    texts       texts, pairs of them, and their vocabularies
    sequences   labelled sequences of any lengths
    series      series on a regular grid
    times       timestamps, steps, the calendar
    tables      files and frames, as columns
    ragged      rows of several lengths, one after the other
"""

from fastlstm.data.sequences.reading import read_sequences
from fastlstm.data.sequences.schema import SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.series.future import add_future
from fastlstm.data.series.gaps import GapReport
from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns, Schema, find_columns
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.tables.frames import give_back
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.texts.text_set import TextSchema, TextSet, read_texts
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.data.texts.vectors import read_vectors
from fastlstm.data.times.axis import TimeAxis

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
