"""Fifty edits of real photographs as a newcomer might ask for them, on sheets to look at: `python examples/fifty.py --out out/fifty`.

None of the photographs was seen in training; what stands in them was photographed there, not pasted. Seed 0, the first result of each. The
model card says what came out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gallery import Edit, edit_all
from PIL import Image

EDITS = [
    ("roman-colosseum", "make it night"),
    ("tea-gardens", "make it look like sunset"),
    ("coffee", "turn this into a black and white photo"),
    ("singaporean-cityscape", "把它变成夜晚"),
    ("lake-sherburne", "make it look like winter"),
    ("ashim-dsilva", "give it a vintage look"),
    ("picosdeeuropa-by-aitzol-berasategi", "make the picture warmer"),
    ("sunset-by-the-pier", "make it brighter"),
    ("extreme-desert-hike", "让照片看起来像秋天"),
    ("chelsea", "turn it into a pencil sketch"),
    ("perched-osprey", "make it look like an oil painting"),
    ("roman-colosseum", "turn it into a cartoon"),
    ("rocket", "make it pixel art"),
    ("oakland-zoo-otters", "把它变成水彩画"),
    ("astronaut", "make it a comic"),
    ("seeding-by-clements-engelhardt", "turn it into a mosaic"),
    ("perched-osprey", "make the background plain blue"),
    ("chelsea", "blur the background"),
    ("coffee", "把背景变成绿色"),
    ("astronaut", "change the background to a beach"),
    ("rocket", "make the background black and white"),
    ("chelsea", "change the cat to blue"),
    ("coffee", "make the cup green"),
    ("blue-periwinkle", "make the flowers red"),
    ("friends-by-aitzol-berasategi", "把狗变成黄色"),
    ("astronaut", "make the suit blue"),
    ("sunset-by-the-pier", "make the sky purple"),
    ("coffee", "make the cup out of wood"),
    ("chelsea", "turn the cat into gold"),
    ("rocket", "make the rocket out of glass"),
    ("roman-colosseum", "把建筑变成巧克力"),
    ("tea-gardens", "add a red balloon on the left"),
    ("lake-sherburne", "add a boat in the middle"),
    ("sunset-by-the-pier", "在右边加一只鸟"),
    ("extreme-desert-hike", "add a yellow car at the bottom"),
    ("chelsea", "add glasses"),
    ("coffee", "remove the spoon"),
    ("perched-osprey", "remove the bird"),
    ("rocket", "remove the rocket"),
    ("oakland-zoo-otters", "去掉水獭"),
    ("astronaut", "remove the flag"),
    ("coffee", "replace the cup with an apple"),
    ("perched-osprey", "replace the bird with a red ball"),
    ("chelsea", "把猫换成狗"),
    ("perched-osprey", "move the bird to the left"),
    ("rocket", "turn the rocket upside down"),
    ("sunset-by-the-pier", 'write "HELLO" on it'),
    ("tea-gardens", "在上面写上“茶”"),
    ("astronaut", "smooth the skin"),
    ("astronaut", "give her a soft vignette"),
]
"""Photographs of examples/photos, and instructions."""

EACH = 10
"""Edits on a sheet, in two columns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of the embedded model's weights, where they are not in their usual place")
    parser.add_argument("--out", type=Path, default=Path("out/fifty"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    made = [sheet for _, sheet in edit_all({str(number): Edit(*edit) for number, edit in enumerate(EDITS)}, arguments.weights)]
    for first in range(0, len(made), EACH):
        target = arguments.out / f"{first // EACH + 1}.png"
        arrange(made[first : first + EACH]).save(target)
        print(target)


def arrange(sheets: list[Image.Image], width: int = 600) -> Image.Image:
    """Pictures in two columns, each `width` pixels wide."""
    small = [sheet.resize((width, round(sheet.height * width / sheet.width))) for sheet in sheets]
    rows = [small[i : i + 2] for i in range(0, len(small), 2)]
    heights = [max(sheet.height for sheet in row) for row in rows]
    page = Image.new("RGB", (2 * width, sum(heights)), "white")
    for number, row in enumerate(rows):
        for column, sheet in enumerate(row):
            page.paste(sheet, (column * width, sum(heights[:number])))
    return page


if __name__ == "__main__":
    main()
