"""Read what a form says of the results before a person, and refuse whatever the page could not have sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from step1x_edit.errors import Step1XError
from step1x_edit.study.store import RATINGS, SCALES

LETTERS = "ABCDEF"
SKIP_REASONS = ("pictures", "instruction", "unpleasant", "undecided")


class Refusal(Step1XError):
    """A request that the study does not allow. `reason` names the sentence, in the reader's language, that says why."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(f"Refused: {reason.replace('_', ' ')}.")
        self.reason = reason
        self.http_status = status


@dataclass(frozen=True)
class Answer:
    """What a person says of the results before them, in the order shown.

    Attributes:
        places: 1 is best; equal places are ties; no gaps.
        overall: one of `RATINGS` each.
        identity: how well everything that should stay is kept; one of `RATINGS` each.
    """

    places: tuple[int, ...]
    overall: tuple[int, ...]
    identity: tuple[int, ...]


def field_names(count: int) -> set[str]:
    """The fields that a form about `count` results has."""
    return {f"{what}_{letter}" for what in ("place", *SCALES) for letter in LETTERS[:count]}


def read_answer(form: Mapping[str, str], count: int) -> Answer:
    """The answer in a form about `count` results.

    Raises:
        Refusal: a field is missing, is no number, is out of range, or belongs to no result.
    """
    if any(name.partition("_")[0] in ("place", *SCALES) and name not in field_names(count) for name in form):
        raise Refusal("unknown_result", 422)
    places = _read_all(form, "place", count, lambda value: 1 <= value <= count)
    overall, identity = (_read_all(form, scale, count, lambda value: value in RATINGS) for scale in SCALES)
    return Answer(close_gaps(places), overall, identity)


def read_position(text: str | None) -> int:
    """The number of a comparison within a session, from a form.

    Raises:
        Refusal: it is none.
    """
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 6:
        raise Refusal("malformed", 422)
    return int(text)


def close_gaps(places: tuple[int, ...]) -> tuple[int, ...]:
    """The same order and ties, counted without gaps: 1, 3, 3 becomes 1, 2, 2."""
    taken = sorted(set(places))
    return tuple(taken.index(place) + 1 for place in places)


def _read_all(form: Mapping[str, str], what: str, count: int, allowed: Callable[[int], bool]) -> tuple[int, ...]:
    values = []
    for letter in LETTERS[:count]:
        text = form.get(f"{what}_{letter}", "")
        if not text:
            raise Refusal(f"{'place' if what == 'place' else 'rating'}_missing", 422)
        if not text.isascii() or not text.isdigit() or len(text) > 2 or not allowed(int(text)):
            raise Refusal(f"{'place' if what == 'place' else 'rating'}_out_of_range", 422)
        values.append(int(text))
    return tuple(values)
