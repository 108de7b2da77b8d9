"""All figures of a study at once: known preferences come back, and the inattentive change what they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from study_votes import ballot, check, expected_rating, record, simulate

from step1x_edit.errors import UsageError
from step1x_edit.study.analysis import Findings, analyse, find_all
from step1x_edit.study.assignment import Kind
from step1x_edit.study.ballots import find_inattentive, passes

MEANS = (4.0, 7.5, 5.5, 6.2)
ORDER = (2, 4, 3, 1)


@pytest.fixture(scope="module")
def findings() -> Findings:
    """55 people with known preferences, and ten who click anywhere and fail their check."""
    rng = np.random.default_rng(11)
    votes = simulate(rng, MEANS, people=55, cases=6, together=3, tasks=3)
    for person in range(56, 66):
        for case in range(1, 7):
            shown = rng.permutation(4)[:3] + 1
            said = {int(system): int(rng.choice([2, 4, 6, 8, 10])) for system in shown}
            votes.append(ballot(person, case, said, list(rng.permutation(3) + 1), task=f"task{case % 3}"))
    checks = [check(person, passed=person <= 55) for person in range(1, 66)]
    return find_all(record([*votes, *checks], systems=4), resamples=800)


def test_the_order_and_the_means_come_back(findings: Findings) -> None:
    found = findings.attentive
    assert found.systems == ORDER and (found.people, found.votes) == (55, 330)
    truth = [expected_rating(MEANS[number - 1], np.hypot(0.6, 1.2)) for number in ORDER]
    for mean, estimate in zip(truth, found.means["overall"].full, strict=True):
        assert estimate.low <= mean <= estimate.high
        assert estimate.high - estimate.low < 1
    assert found.means["overall"].full == found.means["overall"].common, "every system answered all cases"
    assert [e.value for e in found.strengths] == sorted((e.value for e in found.strengths), reverse=True)
    assert all(lead.low > 0 for lead in found.leads) and found.first[0] == 1
    assert found.wins[0][3] is not None and found.wins[0][3].low > 0.8 and found.wins[1][1] is None
    assert 0.05 < found.ties < 0.5 and found.meetings == 990


def test_figures_agree_with_each_other(findings: Findings) -> None:
    for found in (findings.attentive, findings.everyone):
        means = found.means["overall"]
        for index, lead in enumerate(found.leads):
            assert lead.value == pytest.approx(means.full[index].value - means.full[index + 1].value)
        for index, estimate in enumerate(means.full):
            assert estimate.value == pytest.approx(np.mean([row[index].value for row in means.by_task.values()]))
            assert estimate.low <= estimate.value <= estimate.high
        for row in range(4):
            for column in range(row):
                one, other = found.wins[row][column], found.wins[column][row]
                assert one is not None and other is not None and one.value + other.value == pytest.approx(1)
                assert one.low == pytest.approx(1 - other.high)
        assert sum(found.first) == pytest.approx(1)


def test_who_fails_checks_is_left_out_and_that_is_seen(findings: Findings) -> None:
    assert (findings.conduct.checks, findings.conduct.failed, findings.conduct.inattentive) == (65, 10, 10)
    everyone, attentive = findings.everyone, findings.attentive
    assert everyone.people == 65 and everyone.systems == ORDER
    spread = [group.means["overall"].full[0].value - group.means["overall"].full[-1].value for group in (everyone, attentive)]
    assert spread[1] > spread[0] + 0.2, "random clicks pull everything to the middle"
    assert attentive.alpha["overall"].value > everyone.alpha["overall"].value + 0.05
    assert attentive.alpha["order"].value > everyone.alpha["order"].value
    assert attentive.alpha["overall"].low < attentive.alpha["overall"].value < attentive.alpha["overall"].high


@pytest.mark.parametrize(
    ("ratings", "places", "good"),
    [
        ({1: 8, 0: 2, 2: 6}, [1, 3, 2], True),
        ({1: 8, 0: 4, 2: 6}, [1, 2, 2], True),  # nothing below it
        ({1: 8, 0: 6, 2: 6}, [1, 3, 2], False),  # rated fair
        ({1: 8, 0: 2, 2: 6}, [1, 2, 3], False),  # something below it
    ],
)
def test_a_check_is_passed_by_putting_the_decoy_last(ratings: dict[int, int], places: list[int], good: bool) -> None:
    assert passes(ballot(1, 1, ratings, places, kind=Kind.CHECK)) is good


def test_as_many_failures_as_allowed_are_forgiven() -> None:
    checks = [check(1, False, 2), check(1, False, 3), check(2, False), check(2, True, 3), check(3, True)]
    assert [find_inattentive(checks, allowed) for allowed in (0, 1, 2)] == [{1, 2}, {1}, set()]


def test_one_person_and_gaps_are_no_trouble() -> None:
    votes = [
        ballot(1, 1, {1: 8, 2: 8}, common=False),
        ballot(1, 2, {1: 8, 2: 8}, skipped="undecided"),
        ballot(1, 3, {1: 2, 2: 2}, skipped="pictures"),
    ]
    found = find_all(record(votes, systems=3), resamples=100)
    assert np.isnan(found.attentive.means["overall"].full[2].value), "nobody rated the third system"
    assert np.isnan([e.value for e in found.attentive.means["overall"].common]).all(), "no case was answered by all"
    assert found.attentive.systems == (1, 2, 3) and found.attentive.ties == 1
    assert found.everyone is found.attentive
    assert found.conduct.skipped == {"undecided": 1, "pictures": 1} and found.conduct.views == {0: 2, 1: 1}


def test_without_votes_there_is_nothing_to_say() -> None:
    with pytest.raises(UsageError, match="no votes yet"):
        find_all(record([ballot(1, 1, {1: 2, 2: 4}, skipped="undecided")]))
    votes = [ballot(1, 1, {1: 2, 2: 4}), check(1, False)]
    with pytest.raises(UsageError, match="nobody is left"):
        find_all(record(votes))
    assert find_all(record(votes), allowed_failures=1, resamples=100).attentive.people == 1
    for number in ({"resamples": 0}, {"resamples": 10**12}, {"seed": -1}, {"allowed_failures": -1}):
        with pytest.raises(UsageError, match="between 100 and 20000"):
            find_all(record(votes), **number)


def test_who_did_not_vote_is_not_left_out() -> None:
    votes = [ballot(1, 1, {1: 2, 2: 4}), ballot(2, 1, {1: 2, 2: 4}, skipped="undecided"), check(2, False)]
    found = find_all(record(votes), resamples=100)
    assert (found.everyone.people, found.conduct.inattentive, found.conduct.failed) == (1, 0, 1)


def test_systems_that_are_always_level_share_the_first_place() -> None:
    votes = [ballot(person, case, {1: 6, 2: 6, 3: 4}) for person in range(1, 9) for case in (1, 2)]
    assert analyse(votes, record(votes, systems=3), resamples=100).first == [0.5, 0.5, 0.0]


def test_the_same_votes_give_the_same_figures_however_people_are_numbered() -> None:
    """Every reading of a study numbers its people anew."""
    rng = np.random.default_rng(3)
    votes = simulate(rng, MEANS, people=12, cases=6, together=3)
    found = []
    for _ in range(2):
        numbers = rng.permutation(12) + 1
        renumbered = [replace(each, person=int(numbers[each.person - 1])) for each in votes]
        found.append(find_all(record(sorted(renumbered, key=lambda each: (each.person, each.position)), systems=4), resamples=200))
    assert repr(found[0].everyone) == repr(found[1].everyone)
