"""Offsets from UTC, and the zones that stand for them: polars knows zones alone."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo

import polars as pl

WHOLE_HOURS = "Etc/GMT"  # the zones of whole hours, whose signs are as POSIX has them: west of UTC is +
# Offsets from UTC that are no whole hours, and zones whose clocks have long stood so.
OF_PART_HOURS = {
    "+0430": "Asia/Kabul",
    "+0530": "Asia/Kolkata",
    "+0545": "Asia/Kathmandu",
    "+0630": "Asia/Yangon",
    "+0845": "Australia/Eucla",
    "+0930": "Australia/Darwin",
    "-0930": "Pacific/Marquesas",
}


def minutes_of(offset: str) -> int:
    """Return how far an offset from UTC lies east of it.

    Parameters
    ----------
    offset : str
        ``+0530`` or ``-05``.

    Examples
    --------
    >>> minutes_of("+0530"), minutes_of("-05")
    (330, -300)
    """
    minutes = 60 * int(offset[1:3]) + int(offset[3:] or 0)
    return -minutes if offset.startswith("-") else minutes


def in_zone(stamps: pl.Series, offset: str) -> pl.Series:
    """Show instants on the clock of an offset from UTC, where there is a zone that has it.

    Parameters
    ----------
    stamps : polars.Series
        Timestamps in UTC.
    offset : str
        As ``minutes_of`` has it.
    """
    minutes = minutes_of(offset)
    if minutes and minutes % 60 == 0:
        return stamps.dt.convert_time_zone(f"{WHOLE_HOURS}{-minutes // 60:+d}")
    if offset in OF_PART_HOURS:
        local = stamps.dt.convert_time_zone(OF_PART_HOURS[offset])
        apart = (local.dt.replace_time_zone("UTC") - stamps.dt.convert_time_zone("UTC")).dt.total_minutes()
        if (apart == minutes).all():  # then as now
            return local
    return stamps


def offset_of(zone: str) -> str | tzinfo:
    """Return the offset from UTC that a zone of whole hours stands for; others as they are.

    Parameters
    ----------
    zone : str
        The zone's name.

    Examples
    --------
    >>> offset_of("Etc/GMT-2"), offset_of("Asia/Kolkata")
    (datetime.timezone(datetime.timedelta(seconds=7200)), 'Asia/Kolkata')
    """
    hours = zone.removeprefix(WHOLE_HOURS)
    return timezone(timedelta(hours=-int(hours))) if hours not in ("", zone) else zone
