"""How long a server asks to be left alone."""

from __future__ import annotations

import datetime
import email.utils


def seconds(header: str) -> float:
    """The seconds of a `Retry-After` header, which gives seconds or a date; 0 if it cannot be read.

    >>> seconds("120"), seconds("soon")
    (120.0, 0.0)
    """
    try:
        if header.strip().isdecimal():
            return float(header)
        date = email.utils.parsedate_to_datetime(header)
        now = datetime.datetime.now(date.tzinfo)
        return max((date - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
