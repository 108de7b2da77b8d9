"""The grammar of instructions: a clause says what to do, a frame says it politely, tersely or indirectly.

A wording is a frame with a clause in it. One in ten wordings is kept out of training, chosen by a checksum of its text, so that
evaluation asks in words that training has not used.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.split import Part
from step1x_edit.data.vocabulary import choose_article

_KEPT_OUT = 10

_ASKED = re.compile("[请帮麻我你试]")
"""In a Chinese frame that asks somebody: who, and not the picture, would be taken for the subject of a verb that follows."""
_AN = re.compile(rf"\b([Aa]) ((?:{'|'.join(name for name in COLOURS if choose_article(name) == 'an')})\b)")
"""Templates say "a {colour}", whatever the colour."""


@dataclass(frozen=True)
class Clauses:
    """Ways to ask for one thing, as clauses that begin with a verb, with fields in braces; English and Chinese."""

    en: tuple[str, ...]
    zh: tuple[str, ...]


FRAMES_EN: tuple[str, ...] = (
    "{}",
    "{} please",
    "please {}",
    "can you {}?",
    "could you {}?",
    "could you please {}?",
    "would you {}?",
    "would you mind trying to {}?",
    "i want you to {}",
    "i'd like you to {}",
    "i need you to {}",
    "help me {}",
    "just {}",
    "now {}",
    "kindly {}",
    "let's {}",
    "hey, {}",
    "hi, could you {} for me?",
    "{}, thanks",
    "{} for me",
    "edit this: {}",
    "in this picture, {}",
    "it would be nice to {}",
    "try to {}",
)

FRAMES_ZH: tuple[str, ...] = (
    "{}",
    "请{}",
    "请你{}",
    "帮我{}",
    "请帮我{}",
    "帮忙{}",
    "麻烦{}",
    "麻烦你{}",
    "麻烦帮我{}",
    "能不能{}？",
    "能{}吗？",
    "可以{}吗？",
    "可不可以{}？",
    "你能帮我{}吗？",
    "我想{}",
    "我想让你{}",
    "我要你{}",
    "我希望你能{}",
    "给我{}",
    "{}，谢谢",
    "{}吧",
    "现在{}",
    "在这张图里，{}",
    "试着{}",
)


@lru_cache(maxsize=2048)
def list_wordings(clauses: Clauses, language: str, part: Part) -> tuple[str, ...]:
    """List the wordings of a family of clauses in "en" or "zh" that belong to a part."""
    frames, texts = (FRAMES_EN, clauses.en) if language == "en" else (FRAMES_ZH, clauses.zh)
    pairs = [(frame, text) for frame in frames for text in texts if not (frame == "给我{}" and text[0] in "给让使")]  # no "给我给脸部补光"
    return tuple(_join(frame, text) for frame, text in pairs if _is_kept_out(frame.replace("{}", text)) == (part == "heldout"))


def _is_kept_out(wording: str) -> bool:
    return zlib.crc32(wording.encode()) % _KEPT_OUT == 0


def _join(frame: str, text: str) -> str:
    """A wording. "变成夜晚" alone speaks of the picture, but "请你变成夜晚" would ask somebody to become night: "请你把它变成夜晚"."""
    return frame.replace("{}", f"把它{text}" if text.startswith("变") and _ASKED.search(frame) else text)


@lru_cache(maxsize=2048)
def _list_terse(clauses: Clauses, language: str, part: Part) -> tuple[str, ...]:
    texts = set(clauses.en if language == "en" else clauses.zh)
    return tuple(wording for wording in list_wordings(clauses, language, part) if wording in texts)


def phrase(rng: random.Random, clauses: Clauses, english: dict[str, str], chinese: dict[str, str], part: Part) -> tuple[str, str]:
    """Put a request into words, in both languages.

    Four times in ten the bare clause is used where the part has one; some sentences begin with a capital letter or end with a
    full stop, and one English sentence in twenty-five has a letter missing or two letters swapped.

    Returns:
        English and Chinese instruction.
    """
    en = _choose(rng, clauses, "en", part).format(**english)
    zh = _choose(rng, clauses, "zh", part).format(**chinese)
    if rng.random() < 0.04 and '"' not in en:
        en = _mistype(rng, en)
    en = _AN.sub(r"\1n \2", en)
    if rng.random() < 0.5:
        en = en[0].upper() + en[1:]
    if rng.random() < 0.35 and en[-1] not in "?!.":
        en += "."
    if rng.random() < 0.3 and zh[-1] not in "？！。":
        zh += "。"
    return en, zh


def _choose(rng: random.Random, clauses: Clauses, language: str, part: Part) -> str:
    terse = _list_terse(clauses, language, part)
    bare = rng.random() < 0.4
    return rng.choice(terse if bare and terse else list_wordings(clauses, language, part))


def _mistype(rng: random.Random, text: str) -> str:
    """Drop a letter or swap two inside a word."""
    places = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 2].isalpha()]
    if not places:
        return text
    place = rng.choice(places)
    if rng.random() < 0.5:
        return text[:place] + text[place + 1 :]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
