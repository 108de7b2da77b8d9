"""Text modification: words that stand in the photograph are read, erased, and written anew or left out."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS, name_colour
from step1x_edit.data.lettering import WORDS, draw_word
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.personal_text import find_personal_text
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Frame, caption_frame, draw_seed, take_frame
from step1x_edit.data.tools.filtering import grow, pad
from step1x_edit.data.tools.protocols import TextLine
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Mask, Pixels, Request, Shape

_FAINT = 45
"""Difference in brightness, of 255, below which letters are left alone."""

SUREST = 0.9
"""Confidence below which a line is not asked for."""


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Rewrite, recolour or remove a line of text. Source: paper, PP-OCR; invalid text is left out by rule here."""
    frame = take_frame(rng, photograph, shape, mirror=False, smallest=0.9)
    usable, lines = find_lines(frame.pixels, tools)
    if not usable:
        return Unsuited("no text was found" if not lines else "no text fit to be changed", {"lines": lines})
    line = rng.choice(usable)
    # "the text" is clear only where there is no other; what a line is replaced by names it
    way = rng.choices(("replace", "recolour", "remove"), (6, 2, 2))[0] if lines == 1 else "replace"
    return _change(rng, frame, line, way, tools)


def find_lines(picture: Pixels, tools: Toolbox) -> tuple[list[TextLine], int]:
    """The lines of text in a picture that can be rewritten, and how many there are in all."""
    lines = tools.reader.read(picture)
    words = [line.text.casefold() for line in lines]
    # a line is asked for by what it says, which must be said nowhere else
    single = [line for line, word in zip(lines, words, strict=True) if sum(word in other for other in words) == 1]
    return [line for line in single if _is_usable(line, picture.shape[0], picture.shape[1])], len(lines)


def _is_usable(line: TextLine, height: int, width: int) -> bool:
    """Sure, whole, large, fit to be quoted, nobody's data, and no mark of ownership: a signature stands small at the lower border."""
    word, box, size = line.text, line.box, min(height, width)
    marks = any(mark in word.lower() for mark in ("©", "www", "http", ".com", ".net"))
    signed = box.height < 0.08 * size and box.bottom > 0.88 * height
    whole = box.left > 2 and box.top > 2 and box.right < width - 2 and box.bottom < height - 2
    large = box.height >= 0.035 * size and 0.0015 * size * size <= box.area <= 0.35 * size * size
    letters = sum(c.isalnum() for c in word)
    quoted = bool(set(word) & set('"“”'))  # instructions say the word in such marks, which end at the first one
    fit = letters >= 3 and len(word) <= 24 and not quoted and not find_personal_text(word)
    return line.confidence >= SUREST and fit and whole and large and not marks and not signed


def _change(rng: random.Random, frame: Frame, line: TextLine, way: str, tools: Toolbox) -> Draft | Unsuited:
    picture = frame.pixels
    zone = pad(line.box, 0.06, picture.shape)
    strokes, ink = _find_strokes(picture, line)
    if not 0.03 <= float(strokes[line.box.within].mean()) <= 0.7:
        return Unsuited("the letters do not stand out from what is under them")
    if (contrast := _measure_contrast(picture, strokes, line)) < _FAINT:
        return Unsuited("the letters are faint, as a watermark's", {"contrast": round(contrast, 1)})
    hole = grow(strokes)
    inside = np.zeros_like(hole)
    inside[zone.within] = True
    hole &= inside
    seed = draw_seed(rng)
    # Only what the letters stand on may fill them: from the whole photograph, patches of something else would do.
    ground = pad(line.box, 0.1, picture.shape).within
    target = picture.copy()
    target[ground] = tools.inpainter.inpaint(np.ascontiguousarray(picture[ground]), np.ascontiguousarray(hole[ground]), "", seed)
    others = [word for word in WORDS if word != line.text.upper()]
    other = rng.choice([word for word in others if abs(len(word) - len(line.text)) <= 3] or [max(others, key=len)])
    before = name_colour(np.array([ink], np.uint8))
    colour = rng.choice([name for name in ("red", "blue", "green", "black", "white", "yellow") if name != before])
    touched = hole
    if way == "replace":
        other = other if line.text.isupper() or not line.text.isascii() else other.capitalize()
        written = _write(target, other, line, ink)
        touched = touched | written
    elif way == "recolour":
        weight = cv2.GaussianBlur(strokes.astype(np.float32), (0, 0), 0.8)[..., None] * hole[..., None]
        target = (target + weight * (np.array(COLOURS[colour].rgb, np.float32) - target) + 0.5).astype(np.uint8)
    english = {"word": line.text, "other": other, "colour": colour}
    chinese = {"word": line.text, "other": other, "colour": COLOURS[colour].zh}
    shown = {"replace": f'with the word "{other}"', "recolour": f'with the {colour} word "{line.text}"', "remove": "without the text"}[way]
    edit = {"replace": f"text {line.text} to {other}", "recolour": f"text {line.text} {colour}", "remove": f"text remove {line.text}"}[way]
    caption = caption_frame(frame, tools)
    return Draft(
        source=picture,
        target=target,
        touched=touched,
        request=Request(f"text {way}", english, chinese),
        source_caption=f'{caption}, with the word "{line.text}"',
        target_caption=f"{caption}, {shown}",
        edit=edit,
        parameters={
            **frame.facts,
            "text_before": line.text,
            "text_after": {"replace": other, "recolour": line.text}.get(way, ""),
            "line": {"text": line.text, "box": list(line.box), "confidence": line.confidence},
            "tool_seed": seed,
            "tools": tools.describe("reader", "inpainter", "captioner"),
        },
    )


def _find_strokes(picture: Pixels, line: TextLine) -> tuple[Mask, tuple[int, int, int]]:
    """The letters of a line, the rarer of two brightnesses in its quadrilateral, and their colour: bool [H, W], sRGB 0..255."""
    area = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(area, [np.rint(np.array(line.outline)).astype(np.int32)], 1)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    values = grey[area == 1]
    level, _ = cv2.threshold(values.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = grey > level
    dark_letters = float(bright[area == 1].mean()) > 0.5
    strokes = (area == 1) & (~bright if dark_letters else bright)
    core = cv2.erode(strokes.view(np.uint8), np.ones((2, 2), np.uint8)).view(np.bool_)
    pixels = picture[core if core.sum() > 12 else strokes]
    ink = np.median(pixels, axis=0) if len(pixels) else np.zeros(3)
    return strokes, (int(ink[0]), int(ink[1]), int(ink[2]))


def _measure_contrast(picture: Pixels, strokes: Mask, line: TextLine) -> float:
    """How far the brightness of letters is from that of what they stand on, of 255."""
    grey, letters = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[line.box.within], strokes[line.box.within]
    return abs(float(np.median(grey[letters])) - float(np.median(grey[~letters])))


def _write(canvas: Pixels, word: str, line: TextLine, ink: tuple[int, int, int]) -> Mask:
    """Write a word where a line stood, leaning as it did, in place; returns the pixels it covers."""
    letters = draw_word(word).astype(np.float32) / 255
    height, width = letters.shape
    corners = np.array(line.outline, np.float32)
    across = float(np.linalg.norm(corners[1] - corners[0]))
    along = max(float(np.linalg.norm(corners[3] - corners[0])), 1.0)
    share = min(1.0, width / height * 0.72 * along / max(across, 1.0))
    middle, right = (corners[0] + corners[1]) / 2, (corners[1] - corners[0]) / 2 * share
    down = (corners[3] - corners[0]) * 0.14
    bottom, right_low = (corners[3] + corners[2]) / 2, (corners[2] - corners[3]) / 2 * share
    places = np.array([middle - right + down, middle + right + down, bottom + right_low - down, bottom - right_low - down], np.float32)
    turn = cv2.getPerspectiveTransform(np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32), places)
    weight: Floats = cv2.warpPerspective(letters, turn, canvas.shape[1::-1], flags=cv2.INTER_AREA)[..., None]
    canvas[:] = np.where(weight > 0, (canvas + weight * (np.array(ink, np.float32) - canvas) + 0.5).astype(np.uint8), canvas)
    return weight[..., 0] > 0
