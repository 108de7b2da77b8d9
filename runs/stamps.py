"""Photographic cut-outs with names in English and Chinese, from the stamps of Tux Paint: the embedded model is trained on them, too,
from recipes/mini_marked.toml on.

    apt-get install tuxpaint-stamps-default
    .venv/bin/python runs/stamps.py /usr/share/tuxpaint/stamps out/stamps
    .venv/bin/step1x data build recipes/data_small.toml --out out/data --photos PHOTOS --cutouts out/stamps

Some three hundred animals, fruits, flowers, tools and vehicles. The stamps are GPL-2; so is what is made of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

from step1x_edit.tables import read_csv

NAMES = Path(__file__).parents[1] / "recipes" / "stamps.csv"
SIDE = 192
"""Pixels of the longer side, at most."""


def main() -> None:
    """Cut the borders off, scale down, and write a `names.json` beside the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stamps", type=Path, help="folder of the stamps")
    parser.add_argument("out", type=Path, help="folder for the cut-outs")
    parser.add_argument("--names", type=Path, default=NAMES, help="table of file, en, zh, kind")
    options = parser.parse_args()
    rows = list(read_csv(options.names))
    missing = [row["file"] for row in rows if not (options.stamps / f"{row['file']}.png").is_file()]
    if missing:
        sys.exit(f"{options.stamps} lacks {len(missing)} of {len(rows)} stamps, {missing[0]}.png for one; give the folder stamps/ itself.")
    options.out.mkdir(parents=True, exist_ok=True)
    names = {}
    for row in rows:
        *_, folder, stem = row["file"].split("/")
        name = f"stamp-{folder}-{stem}".lower().replace("_", "-")
        picture = Image.open(options.stamps / f"{row['file']}.png").convert("RGBA")
        picture = picture.crop(picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox())
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        picture.save(options.out / f"{name}.png")
        words = {key: row[key] for key in ("en", "zh", "kind")}
        names[name] = {**words, "licence": "GPL-2.0", "source": "Tux Paint stamps"}
    (options.out / "names.json").write_text(json.dumps(names, ensure_ascii=False, indent=1), encoding="utf-8")
    print(f"{len(names)} cut-outs in {options.out}")


if __name__ == "__main__":
    main()
