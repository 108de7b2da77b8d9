"""The tools of the data pipeline: what each costs, as a ratio in one run, and how good it is where the truth is known.

    python benchmarks/data_tools.py [--photos DIR] [--cutouts DIR] [--count 40] [--size 512] [--tool segmenter=sam2:FOLDER ...]

Costs are processor time a picture, divided by that of encoding it as JPEG at quality 95. Truths are made: cut-outs pasted onto photographs
(their exact masks), holes in photographs (what was there), words written on photographs (what they say), photographs shifted (by how much).
`--tool ROLE=NAME:MODEL` measures another tool than the offline one, on the same pictures.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from step1x_edit.data.compositing import paste, place_box, scale_subject
from step1x_edit.data.lettering import WORDS
from step1x_edit.data.materials import read_subjects
from step1x_edit.data.photographs import decode, list_inputs
from step1x_edit.data.split import Split
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.edges import draw_edges
from step1x_edit.data.tools.filtering import bound, pad
from step1x_edit.data.tools.protocols import Look
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Mask, Pixels
from step1x_edit.errors import ImageError

ROOT = Path(__file__).parents[1]


def read_squares(folder: Path, size: int) -> list[Pixels]:
    """The middle square of every photograph, at a size."""
    squares = []
    for _, path in list_inputs([folder]):
        try:
            pixels = decode(path.read_bytes())
        except ImageError:
            continue
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        squares.append(
            cv2.resize(pixels[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
        )
    return squares


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def measure_masks(tools: Toolbox, photos: list[Pixels], cutouts: Path, count: int) -> dict[str, float]:
    """Segmenter with the true box, and matting without any, against the masks of pasted cut-outs."""
    subjects, _ = read_subjects([cutouts], Split(), "train")
    rng = random.Random(0)
    boxed, free, error = [], [], []
    for index in range(count):
        picture = photos[index % len(photos)].copy()
        size = picture.shape[0]
        sprite = scale_subject(rng.choice(subjects).pixels, round(size * rng.uniform(0.3, 0.6)))
        height, width = sprite.alpha.shape[:2]
        left, top = place_box(size, width, height, rng.random(), rng.random(), 0.05)
        paste(picture, sprite, left, top)
        opacity = np.zeros((size, size), np.float32)
        opacity[top : top + height, left : left + width] = sprite.alpha[..., 0]
        truth = opacity > 0.5
        boxed.append(overlap(tools.segmenter.segment(picture, pad(bound(truth), 0.05, picture.shape)), truth))
        matte = tools.matting.matte(picture, pad(bound(truth), 0.05, picture.shape))
        error.append(float(np.abs(matte - opacity).mean()))
        free.append(overlap(tools.matting.matte(picture) > 0.5, truth))
    return {
        "segmenter_iou": float(np.mean(boxed)),
        "segmenter_iou_worst_tenth": float(np.quantile(boxed, 0.1)),
        "matting_iou_without_a_box": float(np.mean(free)),
        "matting_error_with_a_box": float(np.mean(error)),
    }


def measure_filling(tools: Toolbox, photos: list[Pixels], count: int) -> dict[str, float]:
    """PSNR inside a hole in a photograph, of the inpainter and of OpenCV's Telea; in dB, over all holes."""
    errors: dict[str, list[float]] = {"inpainter": [], "telea": []}
    for index in range(count):
        picture, rng = photos[index % len(photos)], random.Random(index)
        size = picture.shape[0]
        hole = np.zeros((size, size), np.uint8)
        middle = rng.randrange(size // 4, 3 * size // 4), rng.randrange(size // 4, 3 * size // 4)
        cv2.ellipse(hole, middle, (size // 10, size // 14), rng.uniform(0, 180), 0, 360, 1, -1)
        gap = hole.view(np.bool_)
        broken = np.where(gap[..., None], np.uint8(127), picture)
        filled = {"inpainter": tools.inpainter.inpaint(broken, gap), "telea": cv2.inpaint(broken, hole, 3, cv2.INPAINT_TELEA)}
        for name, pixels in filled.items():
            errors[name].append(float(((pixels[gap].astype(np.float64) - picture[gap]) ** 2).mean()))
    return {f"{name}_psnr": float(np.mean([10 * np.log10(255**2 / max(error, 1e-9)) for error in found])) for name, found in errors.items()}


def measure_reading(tools: Toolbox, photos: list[Pixels], count: int) -> dict[str, float]:
    """Share of words written on photographs that are read exactly, by letter height as a share of the side."""
    shares = {}
    for height in (0.05, 0.1):
        hits = 0
        for index in range(count):
            picture, rng = photos[index % len(photos)], random.Random(index)
            size, word = picture.shape[0], rng.choice(WORDS)
            image = Image.fromarray(picture)
            draw = ImageDraw.Draw(image)
            place = rng.randrange(size // 8, size // 3), rng.randrange(size // 8, 3 * size // 4)
            font = ImageFont.load_default(round(height * size * 1.35))  # whose capitals are so high
            draw.text(place, word, font=font, fill="white", stroke_width=max(1, round(height * size / 12)), stroke_fill="black")
            hits += word.upper() in [line.text.upper() for line in tools.reader.read(np.asarray(image))]
        shares[f"reader_exact_at_{height:.0%}"] = hits / count
    return shares


def measure_flow(tools: Toolbox, photos: list[Pixels], count: int) -> dict[str, float]:
    """Mean length of the flow's error in pixels, for photographs shifted by 2, 5 and 10 % of their side, away from the border."""
    found = {}
    for share in (0.02, 0.05, 0.1):
        errors = []
        for index in range(count):
            picture, rng = photos[index % len(photos)], random.Random(index)
            size = picture.shape[0]
            angle = rng.uniform(0, 2 * np.pi)
            step = round(np.cos(angle) * share * size), round(np.sin(angle) * share * size)
            shifted = np.roll(picture, (step[1], step[0]), (0, 1))
            margin = size // 5
            flow: Floats = tools.flow.flow(picture, shifted)[margin:-margin, margin:-margin]
            errors.append(float(np.linalg.norm(flow - np.array(step, np.float32), axis=2).mean()))
        found[f"flow_error_at_{share:.0%}"] = float(np.mean(errors))
    return found


def measure_costs(tools: Toolbox, photos: list[Pixels], count: int) -> dict[str, float]:
    """Processor time of each tool a picture, over that of encoding a picture."""
    size = photos[0].shape[0]
    hole = np.zeros((size, size), np.bool_)
    hole[size // 3 : size // 2, size // 3 : 2 * size // 3] = True
    box = bound(hole)
    look = Look("colour", "red", "a red thing")
    jobs: dict[str, Callable[[Pixels], object]] = {
        "encoding": lambda p: cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 95]),
        "detector": lambda p: tools.detector.detect(p),
        "segmenter": lambda p: tools.segmenter.segment(p, box),
        "captioner": lambda p: tools.captioner.caption(p),
        "tagger": lambda p: tools.tagger.tag(p),
        "inpainter": lambda p: tools.inpainter.inpaint(p, hole),
        "depth": lambda p: tools.depth.estimate(p),
        "generator": lambda p: tools.generator.generate(p, hole, draw_edges(p), look),
        "reader": lambda p: tools.reader.read(p),
        "flow": lambda p: tools.flow.flow(p, photos[0]),
        "matting": lambda p: tools.matting.matte(p),
        "faces": lambda p: tools.faces.find_faces(p),
        "plates": lambda p: tools.plates.find_plates(p),
        "aesthetics": lambda p: tools.aesthetics.score(p),
        "similarity": lambda p: tools.similarity.embed(p),
    }
    spent = {}
    for name, job in jobs.items():
        job(photos[0])  # opens what is opened once
        begun = time.process_time()
        for picture in photos[:count]:
            job(picture)
        spent[name] = (time.process_time() - begun) / len(photos[:count])
    return {name: seconds / spent["encoding"] for name, seconds in spent.items() if name != "encoding"}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=ROOT / "examples" / "photos")
    parser.add_argument("--cutouts", type=Path, default=ROOT / "examples" / "cutouts")
    parser.add_argument("--count", type=int, default=40, help="pictures of each measurement")
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--tool", action="append", default=[], help="ROLE=NAME or ROLE=NAME:MODEL, instead of the offline tool")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    tools = Toolbox({role: ToolChoice.parse(choice) for role, _, choice in (text.partition("=") for text in arguments.tool)})
    photos = read_squares(arguments.photos, arguments.size)
    quality = {
        **measure_masks(tools, photos, arguments.cutouts, arguments.count),
        **measure_filling(tools, photos, arguments.count),
        **measure_reading(tools, photos, arguments.count),
        **measure_flow(tools, photos, arguments.count),
    }
    costs = measure_costs(tools, photos, min(arguments.count, 10))
    for name, value in quality.items():
        print(f"{name:28} {value:8.3f}")
    for name, value in costs.items():
        print(f"{name:28} {value:8.1f} times encoding a JPEG")
    print(json.dumps({"quality": quality, "costs": costs}))


if __name__ == "__main__":
    main()
