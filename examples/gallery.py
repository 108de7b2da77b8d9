"""Make the pictures of the README again: `python examples/gallery.py` edits the example photographs and writes docs/pictures/*.jpg.

None of the photographs was seen in training, and no seed was picked: each edit is the first one, with seed 0. The names of failures say so.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


class Edit(NamedTuple):
    """A photograph of examples/photos, an instruction, and perhaps a box of pixels (x, y, width, height), then seen from close by."""

    photo: str
    instruction: str
    box: tuple[int, int, int, int] | None = None


EDITS = {
    "night": Edit("roman-colosseum", "make it night"),
    "black-and-white": Edit("coffee", "make it black and white"),
    "sunset": Edit("lake-sherburne", "make it look like a warm sunset"),
    "sketch": Edit("chelsea", "turn it into a pencil sketch"),
    "winter": Edit("extreme-desert-hike", "make it look like winter"),
    "grey-city": Edit("singaporean-cityscape", "把它变成黑白照片"),
    "old-photo": Edit("seeding-by-clements-engelhardt", "apply an old photo look"),
    "red-flowers": Edit("blue-periwinkle", "make the flowers red"),
    "purple-sky": Edit("sunset-by-the-pier", "make the sky purple"),
    "blue-suit": Edit("astronaut", "make the suit blue"),
    "mosaic": Edit("seeding-by-clements-engelhardt", "turn it into a mosaic"),
    "close-bird": Edit("perched-osprey", "change the bird to blue", (195, 75, 110, 250)),
    "close-badge": Edit("astronaut", "make the badge green", (128, 345, 90, 80)),
    "close-eye": Edit("chelsea", "make the eye blue", (130, 85, 80, 80)),
    "close-spoon": Edit("coffee", "turn the spoon into gold", (318, 220, 95, 110)),
    "fails-background": Edit("perched-osprey", "make the background plain blue"),
    "fails-style": Edit("roman-colosseum", "turn it into a cartoon"),
    "fails-addition": Edit("tea-gardens", "add a red balloon on the left"),
    "fails-removal": Edit("coffee", "remove the spoon"),
    "fails-text": Edit("sunset-by-the-pier", 'write "HELLO" on it'),
    "fails-colour": Edit("coffee", "make the cup green"),
    "fails-material": Edit("coffee", "make the cup out of wood"),
    "fails-contrast": Edit("blue-periwinkle", "increase the contrast"),
}
"""Name of the picture, and its edit."""

FEATHER = 6
"""Pixels over which the edge of a box fades."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of the embedded model's weights, where they are not in their usual place")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures")
    parser.add_argument("--only", nargs="*", choices=EDITS, metavar="NAME", help="names of the pictures to make; all by default")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    edits = {name: edit for name, edit in EDITS.items() if not arguments.only or name in arguments.only}
    for name, sheet in edit_all(edits, arguments.weights):
        target = arguments.out / f"{name}.jpg"
        sheet.save(target, quality=85, optimize=True)
        print(target)


def edit_all(edits: Mapping[str, Edit], weights: Path | None) -> Iterator[tuple[str, Image.Image]]:
    """Names, and each photograph beside its edit."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from transformers.utils import logging

    from step1x_edit.cli.regions import draw_box
    from step1x_edit.comparison import side_by_side
    from step1x_edit.editor import Editor
    from step1x_edit.image_io import read_image

    logging.disable_progress_bar()
    editor = Editor.open("mini", folder=weights)
    for name, (photo, instruction, box) in edits.items():
        image = read_image(ROOT / f"examples/photos/{photo}.jpg").image
        close = {} if box is None else {"mask": draw_box(box, image.size), "zoom": True, "feather": FEATHER}
        sheet = side_by_side([image, editor.edit(image, instruction, **close).image], instruction)
        sheet.thumbnail((900, 900))
        yield name, sheet


if __name__ == "__main__":
    main()
