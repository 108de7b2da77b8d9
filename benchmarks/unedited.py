"""Pixels that an edit leaves alone, over photographs of one megapixel and more: `python benchmarks/unedited.py`.

Each photograph is enlarged to at least a megapixel. Measured are

- edits by the embedded model. The region that it edited is looked for in what it drew: where the change to its own reconstruction of the
  unedited picture, in the mean over 3 x 3 drawn pixels, is over the noise that is found in the picture (twice its lower quartile, bounded).
  Counted is the share of pixels farther than `MARGIN` from that region which are the same to the last bit. Edits that count as ones of
  tone, be it in part, are counted apart: of those, changes within the noise are kept too;
- edits within a box, as `--box` bounds them, and the pixels outside the box;
- drawn edits: a disc of another colour, as an edit of one object would, with the noise of sampling over all of the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

    from step1x_edit import Editor

ROOT = Path(__file__).resolve().parents[1]
MARGIN = 7
"""Drawn pixels around the edit that belong to the detected region: along each axis 1 of the window of detection, 2 of the fit's, 1 of the
softened border and 1 of the enlargement, which along the diagonal makes 7."""
NOISE = (3 / 255, 12 / 255)
INSTRUCTIONS = (
    "add a red ball on the left",
    "remove the person",
    "change the flower to blue",
    'write "HELLO" on it',
    "turn the boat into wood",
    "replace the dog with a cat",
)
Shares = tuple[float, float, float]
"""Of all pixels those outside the region, of those the ones that stayed, and of those inside the ones that changed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=ROOT / "examples/photos")
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--noise", type=float, default=1.0, help="standard deviation of the drawn edits' noise, in levels of 255")
    parser.add_argument("--pictures", type=Path, help="folder to write original, region and edit side by side to")
    arguments = parser.parse_args()

    from step1x_edit import Editor

    editor = Editor.open("mini", device="cpu", dtype="float32")
    photographs = [_enlarge(Image.open(path).convert("RGB"), arguments.megapixels) for path in sorted(arguments.photos.glob("*.jpg"))]
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    print(f"{len(photographs)} photographs of {arguments.megapixels:g} megapixels and more.\n")
    print("| edits | pictures | outside, of all pixels | identical outside, mean | worst | changed inside, mean |")
    print("|---|---|---|---|---|---|")
    local, of_tone = measure_edits(editor, photographs, arguments.pictures)
    rows = {
        "local ones by the model": local,
        "partly of tone by the model": of_tone,
        "in a box by the model": measure_boxes(editor, photographs),
        "drawn": measure_drawn(editor, photographs, arguments.noise),
    }
    for name, shares in rows.items():
        if shares:
            outside, same, changed = np.array(shares).T
            row = f"{outside.mean():.0%} | {same.mean():.4%} | {same.min():.4%} | {changed.mean():.1%}"
            print(f"| {name} | {len(shares)} | {row} |")


def measure_edits(editor: Editor, photographs: list[Image.Image], pictures: Path | None) -> tuple[list[Shares], list[Shares]]:
    """The shares of local edits and of those partly of tone; edits whose region leaves nothing outside say nothing and are left out."""
    import torch.nn.functional as F

    from step1x_edit import EditRequest
    from step1x_edit.alignment import realign
    from step1x_edit.drawing import to_colours
    from step1x_edit.transfer import steady_tone

    local: list[Shares] = []
    of_tone: list[Shares] = []
    for i, photograph in enumerate(photographs):
        for j, instruction in enumerate(INSTRUCTIONS):
            (drawing,) = editor.draw_batch([EditRequest(photograph, instruction, seed=i)])
            assert drawing.baseline is not None
            change = realign(drawing.drawn, drawing.baseline) - drawing.baseline
            mean = F.avg_pool2d(change.abs().amax(0, keepdim=True)[None], 3, stride=1, padding=1, count_include_pad=False)[0]
            edited = mean > (2 * mean.quantile(0.25)).clamp(*NOISE)
            near = F.max_pool2d(edited[None].float(), 2 * MARGIN + 1, stride=1, padding=MARGIN)[0, 0] > 0
            if near.all():
                continue
            result = drawing.finish().image
            if pictures:
                _show(photograph, near, result).save(pictures / f"{i:02}-{j}.jpg")
            tone = float(steady_tone(change, to_colours(drawing.sheet.reduced[0]))[1])
            (of_tone if tone > 0 else local).append(_compare(photograph, result, ~near, edited[0]))
    return local, of_tone


def measure_boxes(editor: Editor, photographs: list[Image.Image]) -> list[Shares]:
    """The shares of edits that may be in one place only."""
    from step1x_edit import EditRequest

    shares = []
    for i, photograph in enumerate(photographs):
        width, height = photograph.size
        mask = Image.new("L", photograph.size, 0)
        mask.paste(255, (width // 4, height // 4, width // 2, height // 2))
        result = next(editor.edit_seeds(EditRequest(photograph, "make it night", mask=mask), [i])).image
        inside = np.asarray(mask) > 0
        shares.append(_count(photograph, result, ~inside, inside))
    return shares


def measure_drawn(editor: Editor, photographs: list[Image.Image], noise: float) -> list[Shares]:
    """The shares of discs of another colour."""
    import torch

    from step1x_edit.drawing import to_colours
    from step1x_edit.image_io import resize
    from step1x_edit.image_sizes import fit_form
    from step1x_edit.transfer import transfer

    shares = []
    for i, photograph in enumerate(photographs):
        width, height = fit_form(*photograph.size, 256, editor.preset.cell, editor.preset.squares).size
        reduced = to_colours(resize(photograph, (width, height)))
        with torch.inference_mode():
            baseline = (editor.autoencoder.decode(editor.autoencoder.encode(reduced[None] * 2 - 1))[0] / 2 + 0.5).clamp(0, 1)
        generator = torch.Generator().manual_seed(i)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        distance = ((y - height * (0.3 + 0.05 * (i % 8))).square() + (x - width * 0.5).square()).sqrt()
        radius = 0.12 * min(width, height)
        drawn = torch.where(distance <= radius, torch.rand(3, 1, 1, generator=generator), baseline)
        drawn = (drawn + noise / 255 * torch.randn(drawn.shape, generator=generator)).clamp(0, 1)
        result = transfer(np.asarray(photograph), reduced, baseline, drawn)
        shares.append(_compare(photograph, Image.fromarray(result), distance > radius + MARGIN, distance <= radius))
    return shares


def _compare(photograph: Image.Image, result: Image.Image, outside: Tensor, inside: Tensor) -> Shares:
    """The shares of regions [h, w] at drawn size; full-size pixels that touch both sides of their border belong to neither."""
    from step1x_edit.image_io import resize

    full = [resize(Image.fromarray(region.numpy().astype(np.uint8) * 255), photograph.size) for region in (outside, inside)]
    return _count(photograph, result, np.asarray(full[0]) == 255, np.asarray(full[1]) == 255)


def _count(photograph: Image.Image, result: Image.Image, outside: np.ndarray, inside: np.ndarray) -> Shares:
    same = (np.asarray(photograph) == np.asarray(result)).all(-1)
    stayed, changed = (float(part.mean()) if part.size else 1.0 for part in (same[outside], ~same[inside]))
    return float(outside.mean()), stayed, changed


def _enlarge(photograph: Image.Image, megapixels: float) -> Image.Image:
    from step1x_edit.image_io import resize

    factor = max(1.0, (megapixels * 1e6 / (photograph.width * photograph.height)) ** 0.5)
    return resize(photograph, (round(photograph.width * factor) + 1, round(photograph.height * factor) + 1))


def _show(photograph: Image.Image, region: Tensor, result: Image.Image) -> Image.Image:
    """Original, region in white, and edit, side by side."""
    parts = [photograph, Image.fromarray(region.numpy().astype(np.uint8) * 255).resize(photograph.size).convert("RGB"), result]
    sheet = Image.new("RGB", (3 * photograph.width, photograph.height))
    for i, part in enumerate(parts):
        sheet.paste(part, (i * photograph.width, 0))
    sheet.thumbnail((1500, 600))
    return sheet


if __name__ == "__main__":
    main()
