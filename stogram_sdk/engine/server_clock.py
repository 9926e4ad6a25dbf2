"""The clock of a database server, as a connection knows it.

It is measured against a clock that nobody sets: that of this machine may be wrong until NTP has
set it. The two may still drift apart, or the server's be set: so it is asked again now and then.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

#: Seconds that nobody sets, and that go on while the machine sleeps, where there is such a clock.
seconds = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)

# Seconds after which the server is asked again.
_FRESH = 300.0


class ServerClock(NamedTuple):
    """`began`: what the server's clock said when `seconds` were 0; `read` at so many of them."""

    began: datetime
    read: float

    def is_fresh(self) -> bool:
        return seconds() - self.read < _FRESH

    def now(self) -> datetime:
        """The time in UTC."""
        return self.began + timedelta(seconds=seconds())


def measured(asked: float, said: datetime) -> ServerClock:
    """What the server, `asked` at so many `seconds`, has just said."""
    answered = seconds()
    earliest, latest = said - timedelta(seconds=answered), said - timedelta(seconds=asked)
    own = datetime.now(UTC) - timedelta(seconds=answered)
    # Where this machine's clock may agree with the server's, it is as exact as can be.
    agrees = earliest <= own <= latest
    return ServerClock(own if agrees else earliest + (latest - earliest) / 2, answered)
