"""A picture and its edits side by side, with the instruction below: for people to look at, not for measuring."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from step1x_edit.image_modes import flatten

LARGEST = 1024
GAP = 12
_INK, _PAPER = (32, 32, 32), (255, 255, 255)

# Pillow's own typeface has Latin letters alone. Others are asked of the system under the names that they commonly have.
_TYPEFACES = ("NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "PingFang.ttc", "msyh.ttc")
_NO_CHARACTER = "\U0010fffe"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def side_by_side(pictures: Sequence[Image.Image], caption: str) -> Image.Image:
    """Pictures in a row at one height, each side at most `LARGEST` pixels, and the caption below them; RGB.

    The caption is left out where no typeface on this machine has its characters.
    """
    factor = min(1.0, *(LARGEST / max(picture.size) for picture in pictures))
    height = max(1, round(min(picture.height for picture in pictures) * factor))
    row = [flatten(p).resize((max(1, round(p.width * height / p.height)), height), Image.Resampling.LANCZOS) for p in pictures]
    width = sum(picture.width for picture in row) + GAP * (len(row) + 1)
    text_size = max(14, height // 20)
    font = find_font(caption, text_size)
    lines = [] if font is None else wrap(caption, font, width - 2 * GAP)
    line_height = round(text_size * 1.4)
    sheet = Image.new("RGB", (width, height + 2 * GAP + (line_height * len(lines) + GAP if lines else 0)), _PAPER)
    x = GAP
    for picture in row:
        sheet.paste(picture, (x, GAP))
        x += picture.width + GAP
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(lines):
        draw.text((GAP, height + 2 * GAP + i * line_height), line, fill=_INK, font=font)
    return sheet


def find_font(text: str, size: int) -> Font | None:
    """A typeface that has all characters of `text`; None where this machine has none."""
    default = ImageFont.load_default(size)
    if _has_characters(default, text):
        return default
    for name in _TYPEFACES:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        if _has_characters(font, text):
            return font
    return None


def wrap(text: str, font: Font, width: int) -> list[str]:
    """Break text into lines of at most `width` pixels: at spaces, and anywhere in words that are longer than a line."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}".strip()
        if font.getlength(candidate) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = ""
        for character in word:
            if line and font.getlength(line + character) > width:
                lines.append(line)
                line = ""
            line += character
    return [*lines, line] if line else lines


def _has_characters(font: Font, text: str) -> bool:
    missing = _drawing(font, _NO_CHARACTER)
    return all(_drawing(font, character) != missing for character in set(text) if not character.isspace())


def _drawing(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)
