"""Pixels that a local edit leaves alone, over photographs of one megapixel and more: `python benchmarks/unedited.py`.

Each photograph is enlarged to at least a megapixel and given to the embedded model's autoencoder at the size it works at. Into what comes
back a disc of another colour is drawn, as an edit of one object would, with the noise of sampling over all of it; then the editor's last
step lays the change over the photograph. Counted is the share of pixels that are the same to the last bit, farther from the disc than the
window in which an edit is detected.
"""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARGIN = 7
"""Drawn pixels around the disc that belong to the detected region: along each axis 1 of the window of detection, 2 of the fit's, 1 of the
softened border and 1 of the enlargement, which along the diagonal makes 7."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=ROOT / "examples/photos")
    parser.add_argument("--megapixels", type=float, nargs="*", default=[1.0])
    parser.add_argument("--noise", type=float, default=1.0, help="standard deviation of the drawing's noise, in levels of 255")
    arguments = parser.parse_args()

    import numpy as np
    import torch
    from PIL import Image

    from step1x_edit import Editor
    from step1x_edit.image_io import fit_size, resize
    from step1x_edit.transfer import transfer

    editor = Editor.open("mini", device="cpu", dtype="float32")
    photographs = sorted(arguments.photos.glob("*.jpg"))
    print("| megapixels | photographs | identical outside, mean | worst | changed inside, mean |\n|---|---|---|---|---|")
    for megapixels in arguments.megapixels:
        outside, inside = [], []
        for i, path in enumerate(photographs):
            photograph = Image.open(path).convert("RGB")
            factor = max(1.0, (megapixels * 1e6 / (photograph.width * photograph.height)) ** 0.5)
            photograph = resize(photograph, (round(photograph.width * factor) + 1, round(photograph.height * factor) + 1))
            width, height = fit_size(*photograph.size, 256, editor.preset.cell)
            reduced = torch.from_numpy(np.array(resize(photograph, (width, height)))).permute(2, 0, 1).float() / 255
            with torch.inference_mode():
                baseline = (editor.autoencoder.decode(editor.autoencoder.encode(reduced[None] * 2 - 1))[0] / 2 + 0.5).clamp(0, 1)
            generator = torch.Generator().manual_seed(i)
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            distance = ((y - height * (0.3 + 0.05 * (i % 8))).square() + (x - width * 0.5).square()).sqrt()
            radius = 0.12 * min(width, height)
            colour = torch.rand(3, 1, 1, generator=generator)
            drawn = torch.where(distance <= radius, colour, baseline)
            drawn = (drawn + arguments.noise / 255 * torch.randn(drawn.shape, generator=generator)).clamp(0, 1)
            original = np.asarray(photograph)
            same = (transfer(original, reduced, baseline, drawn) == original).all(-1)
            far = resize(Image.fromarray((distance > radius + MARGIN).numpy().astype(np.uint8) * 255), photograph.size)
            near = resize(Image.fromarray((distance <= radius).numpy().astype(np.uint8) * 255), photograph.size)
            outside.append(float(same[np.asarray(far) == 255].mean()))
            inside.append(1 - float(same[np.asarray(near) == 255].mean()))
        shares = f"{np.mean(outside):.4%} | {min(outside):.4%} | {np.mean(inside):.1%}"
        print(f"| {megapixels:g} and more | {len(photographs)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
