"""Read two scores out of what a judge said, or say why they cannot be read. Nothing is guessed.

Judges wrap their JSON in words and code fences, leave quotation marks inside strings bare, or break off. Where exactly one pair of scores
can be made out, it counts; where there is none, or several that differ, the answer is unreadable.
"""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST = 100_000
"""Characters that are looked at; no sane answer is longer."""

MOST_OBJECTS = 200

_NUMBER = r"\"?\s*(-?\d{1,6}(?:\.\d{1,12})?)\s*\"?"
_SCORES = re.compile(rf"(?<!\\)\"score\"\s*:\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]")
_PLAIN = re.compile(r"-?\d{1,6}(\.\d{1,12})?")


class Unreadable(ValueError):
    """The answer holds no pair of scores, or more than one."""


def parse_scores(text: str) -> tuple[float, float]:
    """The two scores of an answer, each within 0 and 10.

    Raises:
        Unreadable: see the module.
    """
    if len(text) > LONGEST:
        raise Unreadable("the answer is too long")
    found, rest = _from_objects(text)
    found |= {(_check(match[1]), _check(match[2])) for match in _SCORES.finditer(rest)}
    if not found:
        raise Unreadable("the answer holds no scores")
    if len(found) > 1:
        raise Unreadable("the answer holds several different scores")
    return found.pop()


def _from_objects(text: str) -> tuple[set[tuple[float, float]], str]:
    """Scores of all whole JSON objects that are not inside another one, and the text without these objects."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    found: set[tuple[float, float]] = set()
    rest, read = "", 0
    at, tried = text.find("{"), 0
    while at >= 0 and tried < MOST_OBJECTS:
        tried += 1
        try:
            value, end = decoder.raw_decode(text, at)
        except Unreadable:
            raise
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict) and "score" in value:
                found.add(_read_pair(value["score"]))
                rest, read = f"{rest}{text[read:at]} ", end
        at = text.find("{", end)
    return found, rest + text[read:]


def _read_pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Unreadable("the score is not a pair")
    return _check(value[0]), _check(value[1])


def _check(value: Any) -> float:
    if isinstance(value, str) and _PLAIN.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("a score is not a number")
    if not 0 <= value <= 10:
        raise Unreadable("a score is not within 0 and 10")
    return float(value)


def _no_constant(name: str) -> float:
    raise Unreadable(f"a number is {name}")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    scores = [value for key, value in pairs if key == "score"]
    if len(scores) > 1 and any(value != scores[0] for value in scores):
        raise Unreadable("the answer holds several different scores")
    return dict(pairs)
