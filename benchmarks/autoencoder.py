"""How well an autoencoder gives photographs back that it was not trained on: `python benchmarks/autoencoder.py` prints PSNR in dB.

Each photograph of examples/photos is cut to a square and reduced to each size. At 128 pixels a photograph is all detail, and so harder.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=ROOT / "src/step1x_edit/weights/mini", help="folder of a model")
    parser.add_argument("--model", default="mini", help="its preset")
    parser.add_argument("--photos", type=Path, default=ROOT / "examples/photos")
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256])
    arguments = parser.parse_args()

    import numpy as np
    import torch
    from PIL import Image, ImageOps

    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.weights import load_autoencoder, load_preset

    preset = load_preset(arguments.weights, PRESETS[arguments.model])
    autoencoder = load_autoencoder(arguments.weights, preset)
    photographs = sorted(arguments.photos.glob("*.jpg"))
    print("| size | mean, dB | worst, dB |\n|---|---|---|")
    for size in arguments.sizes:
        found = []
        for path in photographs:
            picture = np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (size, size), Image.Resampling.LANCZOS))
            given = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 127.5 - 1
            with torch.inference_mode():
                back = autoencoder.decode(autoencoder.encode(given)).clamp(-1, 1)
            found.append(-10 * math.log10((back - given).square().mean().item() / 4))
        print(f"| {size} | {sum(found) / len(found):.1f} | {min(found):.1f} |")
    print(f"\n{len(photographs)} photographs.")


if __name__ == "__main__":
    main()
