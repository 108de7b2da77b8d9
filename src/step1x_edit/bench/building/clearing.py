"""De-identify one request: another picture or a blurred one, an instruction without personal data, and nothing else of the person.

Everything is checked once more after it was changed: what still shows a face, a number plate or personal text is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import combining, normalize

import numpy as np
from PIL import Image

from step1x_edit.bench.building.lookalikes import PictureSearch
from step1x_edit.bench.building.names import find_names
from step1x_edit.bench.building.requests import GAP, Request
from step1x_edit.data.deidentification import Finding, Switches, blur_findings, deidentify, strip_metadata
from step1x_edit.data.personal_text import find_personal_text
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

LEAST_LIKENESS = 0.5
NOT_ALIKE = "no public picture looks enough like it"
LONGEST_SIDE = 2048
STAND_INS = {"e-mail address": "name@example.com", "telephone number": "555 0100", "user name": "@example"}
"""What is written instead of personal data; other kinds leave a gap that the reviewer fills."""

LEAST_LETTERS = 4
"""From so many letters on a word counts inside others, where it was read from a picture."""

_LATIN = "A-Za-zÀ-ɏ0-9"
_PLATE = re.compile(
    r"(?i)[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使]\s?[A-Z]\s?[·.\-]?\s?"
    r"(?=[A-Z]*\d)[A-Z\d]{4,5}[A-Z\d挂学警港澳](?![A-Z\d])"
)
"""A number plate of China; those of other countries look like too much else."""
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ı": "i", "ħ": "h", "ŧ": "t", "ß": "ss", "þ": "th", "æ": "ae", "œ": "oe"})
"""Letters that are no plain one with an accent, as people write them whose keyboard lacks them."""
_SPELT_OUT = _PLAIN | str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""The same where accents are spelt out."""
_SMALL_WORDS = " ad am an as at be by do go he hi if in is it me my no of oh on or so to up us we "
"""Words that are names too: only with a capital do they count as such."""


@dataclass(frozen=True)
class Cleared:
    """What may be published of a request.

    Attributes:
        picture: without metadata.
        english: the instruction; empty where there is none yet.
        chinese: the same in Chinese.
        replaced: whether the picture is a public look-alike.
        likeness: of the look-alike.
        hidden: kinds of personal data that were hidden, each time that one was.
        questions: what a person must look at before the case may be used.
    """

    picture: Image.Image
    english: str
    chinese: str
    replaced: bool
    likeness: float | None
    hidden: tuple[str, ...]
    questions: tuple[str, ...]


class NotCleared(ValueError):
    """The request cannot be made safe to publish; says why, and nothing of the person."""


def clear_request(request: Request, search: PictureSearch | None, tools: Toolbox, least: float = LEAST_LIKENESS) -> Cleared:
    """Make a request safe to publish.

    Args:
        request: with a readable picture.
        search: where public look-alikes are found; None keeps the person's own picture, blurred, for which the person must have agreed.
        tools: find faces, plates and text.
        least: likeness from which a public picture stands for the private one.

    Raises:
        NotCleared: see there.
        ImageError: the picture cannot be read.
    """
    pixels = _read(request.picture)
    hidden: list[str] = []
    questions: list[str] = []
    likeness = None
    if search is not None:
        found = next(iter(search.find(pixels)), None)
        if found is None or found.likeness < least:
            raise NotCleared(NOT_ALIKE)
        pixels, likeness = _read(found.picture), found.likeness
        questions.append("Does the instruction fit the new picture?")
    looked = deidentify(pixels, tools, Switches(text="blur"))
    named = _find_named(looked.pixels, request.personal, tools) if search is None else ()
    pixels = blur_findings(looked.pixels, named)
    hidden += [finding.kind for finding in (*looked.findings, *named)]
    if hidden:
        still = (
            *deidentify(pixels, tools, Switches(text="refuse")).findings,
            *(_find_named(pixels, request.personal, tools) if named else ()),
        )
        if still:
            raise NotCleared(f"its picture still shows: {', '.join(sorted({finding.kind for finding in still}))}")
        questions.append(f"Is everything hidden that should be ({', '.join(sorted(set(hidden)))})?")
    english, kinds_english = clean_text(request.english, request.personal)
    chinese, kinds_chinese = clean_text(request.chinese, request.personal)
    hidden += [*kinds_english, *kinds_chinese]
    texts = (english, chinese)
    if any(GAP in text for text in texts):
        questions.append(f"Fill the gap {GAP} with words that name nobody.")
    if names := [name for text in texts for name in find_names(text)]:
        questions.append(f"Is this a person's name: {', '.join(names)}?")
    for language, text in zip(("English", "Chinese"), texts, strict=True):
        if not text:
            questions.append(f"The {language} instruction is missing.")
    picture = strip_metadata(Image.fromarray(pixels))
    return Cleared(picture, english, chinese, search is not None, likeness, tuple(hidden), tuple(questions))


def clean_text(text: str, personal: Sequence[str] = ()) -> tuple[str, list[str]]:
    """An instruction with stand-ins for personal data, and the kinds that were found.

    Args:
        text: what was asked.
        personal: what is known of the person otherwise; it and its words are taken out wherever they stand, whole words alone where a
            script parts them.
    """
    kinds: list[str] = []
    written: list[str] = []
    text = normalize("NFC", text)  # else an accent may be a character of its own
    for found in reversed(find_personal_text(text)):
        text = f"{text[: found.start]}\0{len(written)}\0{text[found.stop :]}"  # nothing below must find its words in a stand-in
        written.append(STAND_INS.get(found.kind, GAP))
        kinds.append(found.kind)
    text, plates = _PLATE.subn(GAP, text)
    kinds += ["number plate"] * plates
    for word in _list_words(personal):
        # letters of other scripts beside it, as in Chinese, where nothing parts the words, do not hide a name
        form = word.capitalize() if f" {word.lower()} " in _SMALL_WORDS else f"(?i:{re.escape(word)})"
        text, count = re.subn(rf"(?<![{_LATIN}\0]){form}(?![{_LATIN}\0])", GAP, text)
        kinds += ["name"] * count
    for number, stand_in in enumerate(written):
        text = text.replace(f"\0{number}\0", stand_in)
    return text, kinds


def _find_named(picture: Pixels, personal: Sequence[str], tools: Toolbox) -> tuple[Finding, ...]:
    """Lines of text in a picture that say what is known of its person, as a badge does, or a mark of who took it."""
    words = [squeezed for word in _list_words(personal) if len(squeezed := _squeeze(word)) >= LEAST_LETTERS]
    lines = tools.reader.read(picture) if personal else ()
    return tuple(
        Finding("name", line.box, line.confidence)
        for line in lines
        if clean_text(line.text, personal)[1] or any(word in _squeeze(line.text) for word in words)
    )


def _squeeze(text: str) -> str:
    """Letters and digits alone: what reads pictures loses blanks."""
    return re.sub(r"[\W_]+", "", text).lower()


def _list_words(personal: Sequence[str]) -> list[str]:
    """What columns say of a person, whole and in its words, the longest first; of an address the part before the sign alone."""
    words = set()
    for value in personal:
        whole = normalize("NFC", value.strip())
        own = whole.lstrip("@＠")  # a user name is written with the sign and without
        words |= {whole, own, *re.findall(r"(?:(?![\u4e00-\u9fff])[^\W\d_]){2,}", own.partition("@")[0])}
        for name in re.findall(r"[\u4e00-\u9fff]{2,}", whole):
            words |= {name, *(name[surname:] for surname in (1, 2) if len(name) - surname in (2, 3))}
    words |= {word.lower().translate(table) for word in words for table in (_PLAIN, _SPELT_OUT)}
    words |= {"".join(c for c in normalize("NFD", word) if not combining(c)) for word in words}
    return sorted(words - {""}, key=lambda word: (-len(word), word))


def _read(source: Path | bytes) -> Pixels:
    picture = flatten(read_image(source).image)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
