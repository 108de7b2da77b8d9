"""How long a busy server asks to wait."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def read_retry_after(value: str | None) -> float | None:
    """Seconds from now on that a Retry-After header asks for, a number or a date; None where it asks for nothing that can be waited for.

    Source: RFC 9110, section 10.2.3; fractions are not in it, but some services send them.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
