"""Result folders to try a study with: pictures drawn here, each of which carries how good it is as eight blocks, dark or light.

The blocks are what a simulated person looks at: a value of 0 to 255, readable after any lossy encoding. Real people see a picture of a
house with a pattern above it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

TASKS = ("background_change", "color_alter", "motion_change", "subject-remove")
UNRELATED = 0
"""What a source picture's blocks say; results say 1 or more."""


def draw(value: int, seed: int, size: tuple[int, int] = (256, 192)) -> Image.Image:
    """A house on a meadow, in colours that depend on the seed, under blocks that spell `value`."""
    rng = np.random.default_rng(seed)
    colours = [tuple(int(c) for c in rng.integers(60, 230, 3)) for _ in range(4)]
    picture = Image.new("RGB", size, colours[0])
    pen = ImageDraw.Draw(picture)
    width, height = size
    pen.rectangle((0, height * 0.7, width, height), fill=colours[1])
    pen.rectangle((width * 0.35, height * 0.45, width * 0.7, height * 0.85), fill=colours[2])
    pen.polygon([(width * 0.3, height * 0.45), (width * 0.525, height * 0.25), (width * 0.75, height * 0.45)], fill=colours[3])
    for bit in range(8):
        shade = 235 if value >> bit & 1 else 20
        pen.rectangle((bit * width / 8, 0, (bit + 1) * width / 8 - 1, height / 8), fill=(shade,) * 3)
    return picture


def look(data: bytes) -> int:
    """What the blocks of a picture say, whatever its size."""
    with Image.open(BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("L"))
    height, width = pixels.shape
    return sum(1 << bit for bit in range(8) if pixels[height // 16, int((bit + 0.5) * width / 8)] > 127)


def make_results(
    folder: Path,
    systems: Sequence[str],
    cases_per_task: int = 4,
    tasks: Sequence[str] = TASKS,
    languages: Sequence[str] = ("en",),
    unanswered: Mapping[str, Sequence[str]] = {},
    size: tuple[int, int] = (256, 192),
) -> list[Path]:
    """Write result folders in the published layout and their instructions; returns the systems' folders.

    The blocks of a result hold its system's number in the low three bits plus the task's number above; the source's hold `UNRELATED`.
    """
    lines = []
    for t, task in enumerate(tasks):
        for language in languages:
            for c in range(cases_per_task):
                key = f"case{t}{c:03d}"
                words = {"en": f"Paint the house, number {t}-{c}", "cn": f"把第 {t}-{c} 号房子重新刷漆"}[language]
                lines.append({"task_type": task, "instruction_language": language, "key": key, "instruction": words})
                for s, system in enumerate(systems, 1):
                    if key in unanswered.get(system, ()):
                        continue
                    place = folder / system / "fullset" / task / language
                    place.mkdir(parents=True, exist_ok=True)
                    draw(s | t << 3, seed=1000 * t + c, size=size).save(place / f"{key}.png")
                    draw(UNRELATED, seed=1000 * t + c, size=size).save(place / f"{key}_SRCIMG.png")
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    return [folder / system for system in systems]
