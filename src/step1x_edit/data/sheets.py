"""Contact sheets: one JPEG a category and route, before and after side by side over the English instruction, to look a set over."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from step1x_edit.data.shards import decode_pair, read_records
from step1x_edit.data.slots import COMPOSED, Slot
from step1x_edit.data.storage import write_bytes
from step1x_edit.types import EditCategory

SIDE, GAP, CAPTION, COLUMNS = 104, 8, 34, 5
"""Pixels of a picture's side, between things, and of the words; pairs in a row."""


def write_sheets(folder: Path, out: Path, each: int = 20) -> list[Path]:
    """Draw the first `each` triplets of every category and route of a set; returns the sheets, named as ids begin."""
    found: dict[str, list[tuple[str, Image.Image, Image.Image]]] = {}
    for record, files in read_records(folder):
        route = re.sub(r"[^\w-]", "-", str(record.provenance.get("route", COMPOSED)))  # of other people's sets it may be any text
        pairs = found.setdefault(Slot(EditCategory(record.category), route).name, [])
        if len(pairs) < each:
            source, target = (fit_square(Image.fromarray(pixels)) for pixels in decode_pair(files))
            pairs.append((record.instruction_en, source, target))
    paths = []
    for name, pairs in sorted(found.items()):
        data = BytesIO()
        draw_sheet(pairs).save(data, "JPEG", quality=80, optimize=True)
        paths.append(out / f"{name}.jpg")
        write_bytes(paths[-1], data.getvalue())
    return paths


def fit_square(picture: Image.Image) -> Image.Image:
    """The picture, reduced, in the middle of a white square as a sheet has them."""
    square = Image.new("RGB", (SIDE, SIDE), "white")
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    square.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return square


def draw_sheet(pairs: Iterable[tuple[str, Image.Image, Image.Image]]) -> Image.Image:
    """A sheet of words and the two pictures over each."""
    cells = list(pairs)
    width, height = 2 * SIDE + 2 * GAP, SIDE + CAPTION + GAP
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (words, before, after) in enumerate(cells):
        left, top = GAP + i % COLUMNS * width, GAP + i // COLUMNS * height
        sheet.paste(before, (left, top))
        sheet.paste(after, (left + SIDE + 1, top))
        lines = textwrap.wrap(words, SIDE // 3)
        lines = lines if len(lines) <= 2 else [lines[0], f"{lines[1][: SIDE // 3 - 4]} ..."]
        pen.text((left, top + SIDE + 2), "\n".join(lines), fill="black", font=font, spacing=2)
    return sheet
