import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.flow.schedule import schedule, shift_for, shift_times

CONFIG = json.loads((Path(__file__).parent.parent / "reference" / "config.json").read_text())


@pytest.mark.parametrize("name", sorted(CONFIG["schedules"]))
def test_agrees_with_the_published_schedules(name: str) -> None:
    steps, tokens = (int(part) for part in name.split("x"))
    assert schedule(steps, shift_for(tokens)) == pytest.approx(CONFIG["schedules"][name], abs=1e-6)


def test_the_shift_is_the_line_through_both_points() -> None:
    assert shift_for(256) == pytest.approx(0.5)
    assert shift_for(4096) == pytest.approx(1.15)
    assert shift_for(2176) == pytest.approx((0.5 + 1.15) / 2)


@given(st.integers(1, 60), st.floats(-1, 3))
def test_runs_from_one_to_zero_without_turning_back(steps: int, mu: float) -> None:
    times = schedule(steps, mu)
    assert len(times) == steps + 1
    assert times[0] == 1 and times[-1] == 0
    assert all(a > b for a, b in itertools.pairwise(times))


@given(st.floats(0.01, 0.99), st.floats(-1, 3))
def test_agrees_with_the_formula_as_it_is_written(t: float, mu: float) -> None:
    expected = math.exp(mu) / (math.exp(mu) + (1 / t - 1))
    assert float(shift_times(torch.tensor(t, dtype=torch.float64), mu)) == pytest.approx(expected)
