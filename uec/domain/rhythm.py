"""The moments of a job's rhythm: those of the office's day, counted from its midnight, and not of any process.

A day in a zone that changes its clocks has 23 or 25 hours: a daily job has one moment in it all the same, and what is
done more often goes on in the hour that comes twice.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo

DAY = timedelta(days=1)


def due_moment(now: datetime, every: timedelta, zone: tzinfo = UTC) -> datetime:
    """The last moment of the rhythm that is not after `now`, in UTC; every scheduler finds the same one."""
    midnight = _midnight(now, zone)
    return midnight + ((now - midnight) // every * every if every < DAY else timedelta(0))


def next_moment(now: datetime, every: timedelta, zone: tzinfo = UTC) -> datetime:
    """The first moment of the rhythm after `now`, in UTC."""
    tomorrow = _midnight(now, zone, days=1)
    return min(due_moment(now, every, zone) + every, tomorrow) if every < DAY else tomorrow


def _midnight(now: datetime, zone: tzinfo, days: int = 0) -> datetime:
    # Where there is no midnight (clocks go from 24:00 to 1:00) it is the moment of the change; of two it is the first.
    day = now.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), zone).astimezone(UTC)
