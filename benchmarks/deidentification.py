"""What is planted in requests, and what of it survives `step1x bench build`: python benchmarks/deidentification.py

Every photograph gets a position, an owner and a comment in its metadata, and a plate, a telephone number or an address in the
picture; every instruction names the person or gives an address. Then everything that was written is searched for it, by bytes, by face
detector and by OCR.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests" / "bench"))

from bench_requests import PEOPLE, PERSON, PHOTOS, SECRETS, make_requests

from step1x_edit.bench.building.collecting import collect
from step1x_edit.bench.building.lookalikes import LocalSearch
from step1x_edit.bench.building.requests import read_requests
from step1x_edit.bench.building.store import PICTURES, Store
from step1x_edit.data.tools.toolbox import Toolbox

LANDSCAPES = ("lake-sherburne.jpg", "coffee.jpg", "roman-colosseum.jpg", "tea-gardens.jpg")


def main() -> None:
    """Print one row for each way of getting rid of the person's picture."""
    tools = Toolbox.offline()
    print("| pictures | requests | candidates | refused | faces hidden | plates | numbers and addresses | names | survived |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = make_requests(folder / "requests", (*PEOPLE, *LANDSCAPES))
        for what, search in (("own, blurred", None), ("public look-alikes", LocalSearch(PHOTOS, tools.similarity))):
            work = folder / what.replace(", ", "-").replace(" ", "-")
            store = Store(work, create=True)
            state = collect(read_requests(folder / "requests"), store, search, tools)
            hidden = Counter(kind for each in store.read() for kind in each.hidden)
            store.close()
            texts = sum(hidden[kind] for kind in ("e-mail address", "telephone number"))
            print(
                f"| {what} | {count} | {state.candidates} | {state.skipped} | {hidden['face']} | {hidden['number plate']} | {texts} "
                f"| {hidden['name']} | {len(find_survivors(work, tools))} |"
            )


def find_survivors(folder: Path, tools: Toolbox) -> list[str]:
    """Everything planted that can still be found."""
    found = []
    for file in (path for path in folder.rglob("*") if path.is_file()):
        data = file.read_bytes()
        words = (*SECRETS, *PERSON.values())
        found += [
            f"{file.name}: {word}" for word in words if word.encode() in data or word.encode("utf-16-le") in data or word in file.name
        ]
    for path in (folder / PICTURES).glob("*.png"):
        picture = Image.open(path)
        pixels = np.asarray(picture)
        found += [f"{path.name}: metadata"] * bool(picture.info or picture.getexif())
        found += [f"{path.name}: a face" for _ in tools.faces.find_faces(pixels)]
        found += [f"{path.name}: {line.text}" for line in tools.reader.read(pixels) if any(word in line.text for word in SECRETS)]
    return found


if __name__ == "__main__":
    main()
