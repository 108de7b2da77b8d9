"""What a Retry-After header says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from step1x_edit.patience import read_retry_after


def test_it_is_a_number_or_a_date() -> None:
    assert read_retry_after("7") == 7
    assert read_retry_after("0.5") == 0.5
    later = datetime.now(UTC) + timedelta(seconds=30)
    assert read_retry_after(format_datetime(later, usegmt=True)) == pytest.approx(29.5, abs=1.5)
    assert read_retry_after(later.strftime("%a, %d %b %Y %H:%M:%S -0000")) == pytest.approx(29.5, abs=1.5)
    assert read_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0


@pytest.mark.parametrize("value", [None, "", "soon", "nan", "inf", "Fri, 99 Dec 1999 23:59:59 GMT"])
def test_what_says_nothing_asks_for_nothing(value: str | None) -> None:
    assert read_retry_after(value) is None
