"""Think, edit, look, and edit again: the loop around the editor that v1.2 was published with.

    rewrite      the thinker sees picture and instruction, and says the instruction anew, clear and in one or two actions
    edit         the editor edits
    judge        the thinker sees source, result and instruction; it scores what was asked for and how it looks, and says one of
                 <#Success>, <#Reflection> (what to change in the result), <#Failed> or <#Others> (begin again from the source)

at most so many times over; every try is kept, and the one with the highest min(score 1) * min(score 2) is the best. What a thinker is, is
an interface: `LocalThinker` asks the MLLM that the editor has loaded anyway, `endpoint.py` any server that speaks OpenAI's protocol.

Source: reference facts, "Thinking rewrites the instruction; reflection judges source, result and instruction with tags". Choice: the
words that the thinker is asked in are our own; a judgement that does not come leaves its try unscored, with the reason.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from step1x_edit.errors import UsageError
from step1x_edit.image_io import resize
from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.image_sizes import fit_within
from step1x_edit.types import LONGEST_INSTRUCTION, SEEDS, EditRequest, EditResult

if TYPE_CHECKING:
    from PIL.Image import Image

    from step1x_edit.editor import Editor, Progress

MOST_TRIES, MOST_TOKENS, ASKS = 3, 512, 2
"""Tries of an edit, tokens of an answer, and how often a question is asked whose answer cannot be read."""

LONGEST_SIDE = 1024
"""Pixels of the pictures that the thinker is shown. Choice: the side that v1.2 works at; an MLLM would take a whole photograph for 16,000
tokens, and reads two of them at once."""

Verdict = Literal["Success", "Reflection", "Failed", "Others"]

REWRITE = """You prepare instructions for an image editor. Look at the picture and say the instruction below again, so that it is \
clear what is to be done, to what, and where in the picture. Keep its meaning and its language. Use one action if you can, three at \
most, in plain sentences without numbers. Put text that is to appear in the picture in double quotation marks. Answer with the new \
instruction alone.

Instruction: {instruction}"""

SCORE = """The first picture is the original, the second is what an editor made of it by this instruction: {instruction}

Give four whole numbers from 0 to 10: "followed", whether the instruction was carried out; "kept", whether everything else stayed as it \
was; "natural", whether the result looks real; "clean", whether it is free of faults of drawing. Answer with one JSON object of these four \
numbers alone."""

REFLECT = """The first picture is the original, the second is what an editor made of it by this instruction: {instruction}

Begin your answer with <#Think> and consider in a few sentences what was asked for and what was done. Then end with exactly one of these:
<#Success> if the result is what was asked for;
<#Reflection> and after it an instruction for the editor that corrects the second picture, if that is possible;
<#Failed> if the editor should begin again from the original;
<#Others> if none of these fits."""


class Thinker(Protocol):
    """Something that looks at pictures and answers in words."""

    def ask(self, text: str, images: Sequence[Image], most_tokens: int) -> str:
        """The answer to `text` about `images`, RGB, of at most so many tokens; raises Step1XError where none can be had."""
        ...


@dataclass(frozen=True)
class Try:
    """One edit of the loop.

    Attributes:
        result: what the editor made.
        instruction: what it was told.
        from_previous: whether it edited the result of the try before, and not the original.
        thought: what the thinker said of it, whole.
        verdict: what it concluded; None where that could not be read.
        scores: followed, kept, natural, clean, 0 to 10; None where they could not be read.
        problem: why there is no verdict or no score; empty otherwise.
    """

    result: EditResult
    instruction: str
    from_previous: bool
    thought: str
    verdict: Verdict | None
    scores: tuple[float, float, float, float] | None
    problem: str = ""

    @property
    def score(self) -> float | None:
        """min(followed, kept) * min(natural, clean), 0 to 100; None where it is not scored."""
        return None if self.scores is None else min(self.scores[:2]) * min(self.scores[2:])


def edit_thinking(
    editor: Editor,
    request: EditRequest,
    thinker: Thinker,
    *,
    tries: int = MOST_TRIES,
    most_tokens: int = MOST_TOKENS,
    rewrite: bool = True,
    progress: Progress | None = None,
) -> Iterator[Try]:
    """Edit until the thinker is content, at most `tries` times; each try as it is done, each with a seed of its own.

    Raises:
        UsageError: there is no picture to edit, or no try is allowed.
        Step1XError: the thinker cannot be asked, or the editor fails.
    """
    if request.image is None:
        raise UsageError("Thinking needs a picture to edit; give one, or leave thinking out.")
    if tries < 1 or most_tokens < 1:
        raise UsageError("Thinking needs at least one try and one token.")
    original, wanted = request.image, request.instruction
    seen = _reduce(original)
    clear = _rewrite(thinker, seen, wanted, most_tokens) if rewrite else wanted
    instruction, previous = clear, None
    for number in range(tries):
        source = original if previous is None else previous
        now = replace(request, image=source, instruction=instruction, seed=(request.seed + number) % SEEDS)
        result = next(editor.edit_seeds(now, [now.seed], progress))
        shown = seen, _reduce(result.image)
        thought, verdict, refined, trouble = _reflect(thinker, shown, wanted, most_tokens)
        scores, problem = _score(thinker, shown, wanted, most_tokens)
        yield Try(result, instruction, previous is not None, thought, verdict, scores, "; ".join(filter(None, (trouble, problem))))
        if verdict == "Success":
            return
        if verdict == "Reflection" and refined:
            instruction, previous = refined, result.image
        else:
            instruction, previous = clear, None


def best_of(tries: Sequence[Try]) -> Try:
    """The try with the highest score; of equals one that succeeded, then the latest. Unscored ones come last."""
    assert tries
    order = [(-1.0 if t.score is None else t.score, t.verdict == "Success", i) for i, t in enumerate(tries)]
    return tries[max(order)[2]]


def read_reflection(answer: str) -> tuple[Verdict, str] | None:
    """The verdict and what follows it; None where the answer does not begin with one <#Think> and end with one verdict."""
    text = answer.strip()
    tags = re.findall(r"<#(\w+)>", text)
    if not text.startswith("<#Think>") or tags.count("Think") != 1 or len(tags) != 2:
        return None
    for verdict in ("Success", "Reflection", "Failed", "Others"):
        if tags[1] == verdict:
            return verdict, text.split(f"<#{verdict}>", 1)[1].strip()
    return None


def read_scores(answer: str) -> tuple[float, float, float, float] | None:
    """The four numbers of the first JSON object of an answer; None where one is missing or is not from 0 to 10."""
    found = re.search(r"\{[^{}]*\}", answer)
    try:
        values = json.loads(found[0]) if found else {}
    except ValueError:
        return None
    numbers: list[Any] = [values.get(name) for name in ("followed", "kept", "natural", "clean")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) and 0 <= n <= 10 for n in numbers):
        return None
    followed, kept, natural, clean = (float(number) for number in numbers)
    return followed, kept, natural, clean


def _reduce(image: Image) -> Image:
    """What the thinker is shown of a picture: RGB, transparent parts on white, no side longer than `LONGEST_SIDE`."""
    opaque = flatten(to_standard(image).image)
    return resize(opaque, fit_within(opaque.size, LONGEST_SIDE))


def _rewrite(thinker: Thinker, image: Image, instruction: str, most_tokens: int) -> str:
    """The instruction as the thinker says it; as it was where that is none."""
    answer = thinker.ask(REWRITE.format(instruction=instruction), [image], most_tokens).strip()
    return answer if answer and len(answer) <= LONGEST_INSTRUCTION and "<|" not in answer else instruction


def _reflect(thinker: Thinker, images: Sequence[Image], instruction: str, most_tokens: int) -> tuple[str, Verdict | None, str, str]:
    answer = ""
    for _ in range(ASKS):
        answer = thinker.ask(REFLECT.format(instruction=instruction), images, most_tokens)
        if read := read_reflection(answer):
            refined = read[1] if len(read[1]) <= LONGEST_INSTRUCTION and "<|" not in read[1] else ""
            return answer, read[0], refined, ""
    return answer, None, "", "no verdict: the answer has not the tags that were asked for"


def _score(
    thinker: Thinker, images: Sequence[Image], instruction: str, most_tokens: int
) -> tuple[tuple[float, float, float, float] | None, str]:
    for _ in range(ASKS):
        if scores := read_scores(thinker.ask(SCORE.format(instruction=instruction), images, most_tokens)):
            return scores, ""
    return None, "no scores: the answer is not the JSON that was asked for"


class LocalThinker:
    """The MLLM that the editor has loaded, answering with its most likely words."""

    def __init__(self, editor: Editor) -> None:
        if not editor.preset.thinks:
            raise UsageError(f"The MLLM of {editor.preset.name} does not answer questions; choose v1.2, or name a server with --thinker.")
        self.mllm = editor.mllm

    def ask(self, text: str, images: Sequence[Image], most_tokens: int) -> str:
        """See `Thinker.ask`."""
        return self.mllm.answer(text, images, most_tokens)
