"""The judge: an MLLM that looks at both pictures and the instruction, and marks four things, of 10 each. The last filter of a candidate."""

from __future__ import annotations

import dataclasses

from step1x_edit.data.asking import Asker
from step1x_edit.data.candidates import Candidate
from step1x_edit.thinking import ASKS, SCORE, read_scores

MOST_TOKENS = 200
MARKS = ("followed", "kept", "natural", "clean")


def judge(candidate: Candidate, asker: Asker, least: float) -> Candidate:
    """The candidate with its marks; rejected where one is below `least`, or where the answers cannot be read.

    Raises:
        Step1XError: the endpoint cannot be reached or refuses.
    """
    triplet = candidate.triplet
    assert triplet is not None
    question = SCORE.format(instruction=triplet.instruction_en)
    for attempt in range(ASKS):
        again = "" if attempt == 0 else "\n\nAnswer with the JSON object and nothing else."
        scores = read_scores(asker.ask(question + again, [triplet.source, triplet.target], MOST_TOKENS))
        if scores is not None:
            break
    else:
        return candidate.reject("judge", "the judge's answer cannot be read")
    marks = dict(zip(MARKS, scores, strict=True))
    candidate = dataclasses.replace(candidate, numbers={**candidate.numbers, "judge": marks})
    worst = min(MARKS, key=lambda name: marks[name])
    return candidate.reject("judge", f'the judge gives too few marks for "{worst}"') if marks[worst] < least else candidate
