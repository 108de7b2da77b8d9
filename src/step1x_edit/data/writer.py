"""Instructions by an MLLM, in rounds: each is given what the former one said, and says it more exactly; then both languages are written.

Source: paper, redundancy-enhanced annotation (each round's annotation is context for the next), style-aligned examples, two languages.
Choice: the words that the model is asked in are our own.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re

from step1x_edit.data.asking import Asker
from step1x_edit.data.candidates import Candidate
from step1x_edit.data.shards import is_broken
from step1x_edit.data.triplet import Triplet

DESCRIBE = """The first picture is before an edit, the second is after it. The kind of edit is "{category}"; in short it is: {edit}.

Say in at most three sentences what differs between the pictures: what is edited, where it stands, how it looks before and after. Speak of \
nothing that is the same in both.{former}"""

FORMER = """

This is what was said of it before. Correct what is wrong, add what is missing, and leave out what cannot be seen:
{text}"""

INSTRUCT = """The first picture is before an edit, the second is after it. This differs between them: {text}

Write the instruction that a user of an image editor would give to get from the first picture to the second, once in English and once in \
Chinese, with the same meaning. {words}Do not mention that there are two pictures. The style should be as varied as in these examples:

{examples}

Answer with one JSON object alone: {{"en": "...", "zh": "..."}}"""

QUOTED = 'Put "{word}" in double quotation marks, exactly so. '

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("Remove the dog next to the bench.", "去掉长椅旁边的狗。"),
    ("could you make the sky look like sunset?", "能不能让天空变成日落的样子？"),
    ("swap the red car for a yellow taxi", "把红色汽车换成黄色出租车"),
    ("I'd love the wall to be made of brick instead.", "我希望这面墙是砖砌的。"),
    ("turn it into a watercolour", "变成水彩画"),
    ("Please put a small sailboat on the lake, on the left side.", "请在湖的左边加一艘小帆船。"),
    ('The sign should say "OPEN".', "招牌上应该写“OPEN”。"),
    ("too dark - brighten it up a bit", "太暗了，调亮一点"),
    ("make her skin smoother but keep it natural", "皮肤磨得光滑一些，但要自然"),
    ("Change only the background to plain white, keep the shoes as they are.", "只把背景换成纯白色，鞋子保持不变。"),
    ("move the cup over to the right", "把杯子移到右边"),
    ("cna you paint the door green pls", "帮我把门刷成绿的呗"),
)
"""Ways in which people ask: terse, polite, indirect, with reasons, with mistakes; English and Chinese."""

ATTEMPTS = 2
"""How often both instructions are asked for where the answer cannot be used."""

MOST_TOKENS, LONGEST = 400, 400


def write_words(candidate: Candidate, asker: Asker, rounds: int, examples: int) -> Candidate:
    """The candidate with both instructions by the model; rejected where its words cannot be used.

    Raises:
        Step1XError: the endpoint cannot be reached or refuses.
    """
    triplet = candidate.triplet
    assert triplet is not None
    pictures = [triplet.source, triplet.target]
    said: list[str] = []
    for _ in range(rounds):
        former = FORMER.format(text=said[-1]) if said else ""
        question = DESCRIBE.format(category=candidate.slot.category.value, edit=triplet.edit, former=former)
        said.append(" ".join(asker.ask(question, pictures, MOST_TOKENS).split()))
    style = random.Random(candidate.id).sample(EXAMPLES, min(examples, len(EXAMPLES)))
    shown = "\n".join(json.dumps({"en": en, "zh": zh}, ensure_ascii=False) for en, zh in style) or "(none)"
    word = str(triplet.parameters.get("text_after") or "")
    question = INSTRUCT.format(text=said[-1], words=QUOTED.format(word=word) if word else "", examples=shown)
    problem = ""
    for attempt in range(ATTEMPTS):
        again = f"\n\nYour last answer could not be used: {problem}." if attempt else ""
        words, problem = _read(asker.ask(question + again, pictures, MOST_TOKENS), word)
        if words is not None:
            return _take(candidate, triplet, words, {"model": asker.name, "rounds": said})
    return candidate.reject("writer", f"the model's words cannot be used: {problem}")


def _take(candidate: Candidate, triplet: Triplet, words: tuple[str, str], writer: dict[str, object]) -> Candidate:
    worded = dataclasses.replace(triplet, instruction_en=words[0], instruction_zh=words[1])
    return dataclasses.replace(candidate, triplet=worded, provenance={**candidate.provenance, "writer": writer})


def _read(answer: str, word: str) -> tuple[tuple[str, str] | None, str]:
    """Both instructions of an answer, or why they cannot be used."""
    found = re.search(r"\{[^{}]*\}", answer, re.DOTALL)
    try:
        values = json.loads(found[0]) if found else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(values.get(key), str) for key in ("en", "zh")):
        return None, "it is not the JSON that was asked for"
    english, chinese = (" ".join(values[key].split()) for key in ("en", "zh"))
    if not english or not chinese or max(len(english), len(chinese)) > LONGEST:
        return None, "an instruction is empty or too long"
    if is_broken(english + chinese):
        return None, "an instruction holds half of a character"
    if re.search("[\u4e00-\u9fff]", english.replace(word, "")) or not re.search("[a-zA-Z]{2}", english):
        return None, "the English instruction is not English"
    if not re.search("[\u4e00-\u9fff]", chinese):
        return None, "the Chinese instruction is not Chinese"
    if word and (word not in english or word not in chinese):
        return None, f"an instruction does not say {word}"
    return (english, chinese), ""
