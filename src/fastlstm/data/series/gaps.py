"""What was found missing in a table, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastlstm.wording import listed, many


@dataclass(frozen=True)
class GapReport:
    """What was found in a table, and what was done to lay it on the grid.

    Parameters
    ----------
    rows : int
        Rows read.
    series : int
        Series.
    gaps : int
        Steps of the grid for which there was no row.
    empty : dict
        Column → how many of its cells were empty, of those columns where any was.
    unknown : dict
        Column → how many cells held a category that was not there when the model was fitted.
    unresolved : dict
        Target → how many series are so large and vary so little that float32 holds them coarsely.
    sorted_rows : int
        Rows that did not stand in the order of time.
    moved_rows : int
        Rows whose time was moved to the nearest step of the grid.
    late : int
        Series that start late: their rows begin before their first target.
    leading : int
        How many such rows they have; they are left out.
    ended : int
        Series of a wide table that end before the others.
    left_out : tuple of str
        Columns of a wide table that hold no numbers and play no role.
    unread : tuple of str
        Columns of a long table that play no role.
    idle_index : bool
        Whether a pandas frame without a column of times has an index of whole numbers that is not read.
    far : dict
        Column → a value that lies far from all others, as one that means unknown does, and how many cells hold it.
    slower : dict
        Series whose rows lie several steps apart → how many.
    contradicting : int
        Values of a table of the future that differ from what is known of the same steps.
    """

    rows: int
    series: int
    gaps: int = 0
    empty: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    unresolved: Mapping[str, int] = field(default_factory=dict)
    sorted_rows: int = 0
    moved_rows: int = 0
    late: int = 0
    leading: int = 0
    ended: int = 0
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    idle_index: bool = False
    far: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    slower: Mapping[Any, int] = field(default_factory=dict)
    contradicting: int = 0

    def __str__(self) -> str:
        """One line.

        Examples
        --------
        >>> print(GapReport(rows=17379, series=1, gaps=165, empty={"humidity": 2}))
        17,379 rows of 1 series; 165 gaps in the time axis, 2 empty cells in humidity (masked, not filled in)
        """
        missing = [f"{many(self.gaps, 'gap')} in the time axis"] if self.gaps else []
        missing += [f"{many(count, 'empty cell')} in {column}" for column, count in self.empty.items()]
        missing += [
            f"{many(count, 'cell')} of an unknown category in {column}"
            for column, count in self.unknown.items()
        ]
        notes = [f"{', '.join(missing)} (masked, not filled in)"] if missing else ["nothing missing"]
        if self.sorted_rows:
            notes.append(f"{many(self.sorted_rows, 'row')} out of order, sorted")
        if self.moved_rows:
            notes.append(f"{many(self.moved_rows, 'row')} moved to the nearest step of the time axis")
        if self.late:
            starts, its = ("starts", "its") if self.late == 1 else ("start", "their")
            left_out = many(self.leading, "row")
            notes.append(f"{self.late:,} series {starts} late: {left_out} before {its} first value left out")
        if self.ended:
            ends, its = ("ends", "its") if self.ended == 1 else ("end", "their")
            notes.append(f"{self.ended:,} series {ends} before the others, to be forecast from {its} own end")
        if self.slower:
            has, it, its = ("has", "it", "its") if len(self.slower) == 1 else ("have", "them", "their")
            steps = next(iter(self.slower.values()))
            notes.append(
                f"{len(self.slower):,} series {has} a row every {steps:,} steps or so: fit {it} apart, "
                f"with a frequency of {its} own: {listed(list(self.slower))}"
            )
        if self.left_out:
            count = many(len(self.left_out), "column")
            notes.append(f"{count} without numbers left out: {listed(self.left_out)}")
        if self.unread:
            unread = [repr(name) if name else "a column without a name" for name in self.unread]
            notes.append(f"not read, as they have no role: {listed(unread, form=str)}")
        if self.idle_index:
            notes.append("the index is not read: if it counts the steps, name it, and give the name as time")
        notes += [
            f"{value:g} stands in {many(count, 'cell')} of {column}, far from all others: if it means unknown, give "
            f"missing={value:g}"
            for column, (value, count) in self.far.items()
        ]
        return f"{many(self.rows, 'row')} of {self.series:,} series; {'; '.join([*notes, *self.coarse])}"

    @property
    def coarse(self) -> list[str]:
        """What is said of columns that float32 cannot hold well."""
        return [
            f"{column} of {count:,} series is large and differs too little for float32: subtract a constant"
            for column, count in self.unresolved.items()
        ]
