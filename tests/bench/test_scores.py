"""Averages against values worked out by hand, tables in and out, intervals and tests against what theory gives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.bench.gedit import TASK_SIZES, TASKS
from step1x_edit.bench.published import FIRST, LATER, OPEN, PUBLISHED, published
from step1x_edit.bench.score_tables import COLUMNS, find_tables, read_tables, write_tables
from step1x_edit.bench.scores import CaseScore, average, mark_intersection, values_of
from step1x_edit.bench.statistics import compare, correct, interval_of
from step1x_edit.errors import UsageError

# task, language, key, SC, PQ, intersection: ties, zeros, missing cases, both languages; O beside each is worked out by hand
HAND_TABLE = [
    ("background_change", "en", "a", 9.0, 4.0, True),  # 6
    ("background_change", "en", "b", 4.0, 4.0, True),  # 4
    ("background_change", "en", "c", 0.0, 8.0, False),  # 0
    ("background_change", "en", "d", None, 5.0, True),  # missing
    ("background_change", "cn", "a", 1.0, 9.0, True),  # 3
    ("background_change", "cn", "b", 8.0, 8.0, False),  # 8
    ("color_alter", "en", "a", 4.0, 9.0, True),  # 6
    ("color_alter", "en", "b", 7.0, 7.0, False),  # 7
    ("color_alter", "cn", "a", None, None, True),  # missing
    ("text_change", "en", "a", 0.0, 0.0, True),  # 0
    ("text_change", "cn", "a", 10.0, 10.0, True),  # 10
]


def hand_scores() -> list[CaseScore]:
    return [CaseScore(*row) for row in HAND_TABLE]


@pytest.mark.parametrize(
    ("language", "subset", "sc", "pq", "o", "cases", "missing"),
    [
        # background (9+4+0)/3, colour (4+7)/2, text 0; then the plain mean of the three
        ("en", "full", (13 / 3 + 5.5 + 0) / 3, (16 / 3 + 8 + 0) / 3, (10 / 3 + 6.5 + 0) / 3, 6, 1),
        ("en", "intersection", (6.5 + 4 + 0) / 3, (4 + 9 + 0) / 3, (5 + 6 + 0) / 3, 4, 1),
        ("cn", "full", (4.5 + 10) / 2, (8.5 + 10) / 2, (5.5 + 10) / 2, 3, 1),
        ("cn", "intersection", (1 + 10) / 2, (9 + 10) / 2, (3 + 10) / 2, 2, 1),
        ("all", "full", (22 / 5 + 5.5 + 5) / 3, (33 / 5 + 8 + 5) / 3, (21 / 5 + 6.5 + 5) / 3, 9, 2),
    ],
)
def test_averages_are_those_worked_out_by_hand(language, subset, sc, pq, o, cases, missing) -> None:
    total = average(hand_scores(), language, subset).total
    assert (total.sc, total.pq, total.o) == pytest.approx((sc, pq, o), abs=1e-12)
    assert (total.cases, total.missing) == (cases, missing)


def test_a_task_without_a_judgement_is_absent_and_not_zero() -> None:
    chinese = average(hand_scores(), "cn")
    assert math.isnan(chinese.tasks["color_alter"].o)
    assert chinese.tasks["color_alter"].missing == 1
    assert "color_alter" in chinese.absent
    assert len(chinese.absent) == 9
    assert math.isnan(average([]).total.o)


def test_the_intersection_of_several_systems_is_what_all_have_a_judgement_of() -> None:
    other = [CaseScore(task, language, key, 5.0, 5.0) for task, language, key, *_ in HAND_TABLE if key != "b"]
    marked = mark_intersection({"one": hand_scores(), "other": other})
    expected = {("background_change", "en", "a"), ("background_change", "en", "c"), ("background_change", "cn", "a")}
    expected |= {("color_alter", "en", "a"), ("text_change", "en", "a"), ("text_change", "cn", "a")}
    for cases in marked.values():
        assert {case.name for case in cases if case.intersection} == expected


@pytest.mark.parametrize("system", ["my_model", "lora_color_alter_v2", "text_change"])
def test_published_tables_go_out_and_come_in_unchanged(system: str, tmp_path: Path) -> None:
    files = write_tables(tmp_path / "deep" / "er", system, hand_scores())
    assert sorted(path.name for path in files) == [
        f"{system}_{t}_gpt_score.csv" for t in ("background_change", "color_alter", "text_change")
    ]
    assert files[0].read_text().splitlines()[0] == ",".join(COLUMNS)
    found = find_tables(tmp_path)
    assert [(each.system, each.judge) for each in found] == [(system, "er")]
    back = read_tables(found[0].tables)
    plain = [(c.task, c.language, c.key, c.sc, c.pq, c.intersection) for c in back]
    assert plain == sorted(HAND_TABLE, key=lambda row: row[:3])
    assert average(back, "en").total == average(hand_scores(), "en").total


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=30))
def test_any_scores_survive_the_table_exactly(tmp_path_factory, pairs) -> None:
    folder = tmp_path_factory.mktemp("tables")
    cases = [CaseScore("ps_human", "en", f"k{i}", sc, pq) for i, (sc, pq) in enumerate(pairs)]
    write_tables(folder, "m", cases)
    back = {case.key: case for case in read_tables(find_tables(folder)[0].tables)}
    assert [(back[c.key].sc, back[c.key].pq) for c in cases] == pairs


@pytest.mark.parametrize("score", ["11", "-1", "inf", "ten"])
def test_a_table_with_an_impossible_score_is_refused(tmp_path: Path, score: str) -> None:
    path = tmp_path / "m_ps_human_gpt_score.csv"
    path.write_text(",".join(COLUMNS) + f"\ns,m/fullset/ps_human/en/k.png,smile,{score},5,True,en\n")
    with pytest.raises(UsageError, match="score"):
        read_tables([("ps_human", path)])


@pytest.mark.parametrize("row", ["s", "s,m/fullset/ps_human/en/k.png,smile,9", "s,m/fullset/ps_human/en/k.png,smile,9,5,True"])
def test_a_table_that_is_cut_off_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "m_ps_human_gpt_score.csv"
    path.write_text(",".join(COLUMNS) + f"\n{row}")
    with pytest.raises(UsageError, match="cut off"):
        read_tables([("ps_human", path)])


def test_a_score_out_of_range_cannot_be_made() -> None:
    with pytest.raises(UsageError):
        CaseScore("ps_human", "en", "k", 10.5, 5.0)


def draws(mean: float, keys: int, seed: int, shift: float = 0.0) -> dict[tuple[str, str, str], float]:
    rng = np.random.default_rng(seed)
    values = np.clip(np.clip(rng.normal(mean, 1.5, (len(TASKS), keys)), 0, 10) + shift, 0, 10)
    return {(task, "en", str(k)): float(value) for task, row in zip(TASKS, values, strict=True) for k, value in enumerate(row)}


def test_the_interval_has_the_width_that_theory_gives() -> None:
    cases = draws(5.0, 40, seed=1)
    found = interval_of(cases)
    by_task = [[value for name, value in cases.items() if name[0] == task] for task in TASKS]
    error = math.sqrt(sum(np.var(group) / len(group) for group in by_task)) / len(TASKS)
    assert found.value == pytest.approx(np.mean([np.mean(group) for group in by_task]))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.low < found.value < found.high


def test_where_a_task_has_one_question_there_is_no_interval() -> None:
    one = {("ps_human", "en", "a"): 5.0, ("ps_human", "cn", "a"): 6.0}
    beside_others = {("color_alter", "en", str(key)): float(key) for key in range(5)}
    for cases in (one, draws(5.0, 1, seed=1), one | beside_others):
        found = interval_of(cases)
        assert found.value > 0 and math.isnan(found.low) and math.isnan(found.high)
    assert not math.isnan(interval_of(draws(5.0, 2, seed=1)).low)


def test_paired_tests_find_a_small_difference_and_none_where_there_is_none() -> None:
    same, better = draws(5.0, 20, seed=1), draws(5.0, 20, seed=1, shift=0.2)
    found = compare(better, same)
    assert found.interval.value == pytest.approx(0.2, abs=0.01)
    assert found.p < 0.001
    assert found.interval.low > 0
    assert found.wins > 200 > found.losses == 0
    nothing = compare(same, same)
    assert (nothing.interval.value, nothing.p, nothing.ties) == (0.0, 1.0, len(same))
    chance = [compare(draws(5, 10, seed), draws(5, 10, seed + 100), permutations=500, resamples=200).p for seed in range(40)]
    assert sum(p < 0.05 for p in chance) <= 7  # 2 expected


def test_pairs_count_only_where_both_were_judged() -> None:
    one = [CaseScore("ps_human", "en", "a", 9, 9), CaseScore("ps_human", "en", "b", None, None)]
    other = [CaseScore("ps_human", "en", "a", 4, 4), CaseScore("ps_human", "en", "b", 1, 1)]
    found = compare(values_of(one), values_of(other))
    assert (found.wins, found.ties, found.losses, found.interval.value) == (1, 0, 0, 5.0)
    assert math.isnan(compare(values_of(one), {}).p)


def test_figures_that_differ_by_rounding_alone_are_ties() -> None:
    """O of both is the root of 8.4, which is another float where it comes of 1.4 * 6 than of 1.2 * 7."""
    pairs = [((1.4, 6.0), (1.2, 7.0)), ((1.2, 7.0), (1.4, 6.0)), ((1.4, 6.0), (1.4, 6.1))]
    cases = [[CaseScore("ps_human", "en", str(key), *pair[side]) for key, pair in enumerate(pairs)] for side in (0, 1)]
    first, second = map(values_of, cases)
    assert first["ps_human", "en", "0"] != second["ps_human", "en", "0"]
    found = compare(first, second)
    assert (found.wins, found.ties, found.losses) == (0, 2, 1)


def test_holms_correction() -> None:
    assert correct([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct([0.9, math.nan])[0] == 0.9


def test_the_benchmark_and_the_papers_tables_are_whole() -> None:
    assert set(TASK_SIZES) == set(TASKS)
    assert sum(TASK_SIZES.values()) == 606
    later = {row.system: row.o for row in published("en", "full") if row.judge == LATER}
    assert later["Step1X-Edit"] == 6.444
    assert len(later) == 9
    assert {row.judge for row in PUBLISHED} == {FIRST, LATER, OPEN}
    assert all(0 <= value <= 10 for row in PUBLISHED for value in (row.sc, row.pq, row.o) if value is not None)
    assert all(row.o <= (row.sc + row.pq) / 2 for row in PUBLISHED if row.sc and row.pq)  # a geometric mean is at most the plain one
