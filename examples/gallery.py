"""Make the pictures of the README again: `python examples/gallery.py` edits the example photographs and writes docs/pictures/*.jpg.

None of the photographs was seen in training, and no seed was picked: each edit is the first one, with seed 0. The names of failures say so.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

EDITS = {
    "night": ("roman-colosseum", "make it night"),
    "black-and-white": ("coffee", "make it black and white"),
    "sunset": ("lake-sherburne", "make it look like a warm sunset"),
    "sketch": ("chelsea", "turn it into a pencil sketch"),
    "winter": ("extreme-desert-hike", "make it look like winter"),
    "grey-city": ("singaporean-cityscape", "把它变成黑白照片"),
    "old-photo": ("seeding-by-clements-engelhardt", "apply an old photo look"),
    "red-flowers": ("blue-periwinkle", "make the flowers red"),
    "purple-sky": ("sunset-by-the-pier", "make the sky purple"),
    "fails-background": ("perched-osprey", "make the background plain blue"),
    "fails-style": ("roman-colosseum", "turn it into a cartoon"),
    "fails-addition": ("tea-gardens", "add a red balloon on the left"),
    "fails-removal": ("coffee", "remove the spoon"),
    "fails-text": ("sunset-by-the-pier", 'write "HELLO" on it'),
    "fails-colour": ("chelsea", "change the cat to blue"),
    "fails-material": ("coffee", "make the cup out of wood"),
    "fails-contrast": ("blue-periwinkle", "increase the contrast"),
}
"""Name of the picture, photograph, instruction."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of the embedded model's weights, where they are not in their usual place")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures")
    parser.add_argument("--only", nargs="*", help="names of the pictures to make; all by default")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    edits = {name: edit for name, edit in EDITS.items() if not arguments.only or name in arguments.only}
    for name, sheet in edit_all(edits, arguments.weights):
        target = arguments.out / f"{name}.jpg"
        sheet.save(target, quality=85, optimize=True)
        print(target)


def edit_all(edits: Mapping[str, tuple[str, str]], weights: Path | None) -> Iterator[tuple[str, Image.Image]]:
    """Names, and each photograph beside its edit; photographs are named as in examples/photos."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from transformers.utils import logging

    from step1x_edit.comparison import side_by_side
    from step1x_edit.editor import Editor
    from step1x_edit.image_io import read_image

    logging.disable_progress_bar()
    editor = Editor.open("mini", folder=weights)
    for name, (photo, instruction) in edits.items():
        image = read_image(ROOT / f"examples/photos/{photo}.jpg").image
        sheet = side_by_side([image, editor.edit(image, instruction).image], instruction)
        sheet.thumbnail((900, 900))
        yield name, sheet


if __name__ == "__main__":
    main()
