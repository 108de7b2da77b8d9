"""Streams over the repository's own example pictures, decoded once for all tests of the data pipeline, and a small set built once."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from step1x_edit.data.building import build
from step1x_edit.data.recipe import PAPER_SHARES, DataRecipe
from step1x_edit.data.shards import Record, encode_picture, to_tar, write_tar
from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.types import EditCategory

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # what several tests of this folder share


@pytest.fixture(scope="session")
def split() -> Split:
    return Split.read(ROOT / "recipes" / "mini_heldout.toml")


@pytest.fixture(scope="session")
def stream(split: Split) -> TripletStream:
    return TripletStream([ROOT / "examples" / "photos"], [ROOT / "examples" / "cutouts"], split=split, part="heldout", size=96, seed=7)


@pytest.fixture(scope="session")
def recipe() -> DataRecipe:
    """22 triplets of 96 pixels, made in both ways of the repository's pictures; no OCR, which takes a second to open."""
    composed = {EditCategory.TEXT_MODIFICATION: {"from_photographs": 0}}
    return DataRecipe.model_validate(
        {
            "count": 22,
            "seed": 5,
            "size": 96,
            "photos": [ROOT / "examples" / "photos"],
            "cutouts": [ROOT / "examples" / "cutouts"],
            "from_photographs": 0.3,
            "categories": {key: {"share": share, **composed.get(key, {})} for key, share in PAPER_SHARES.items()},
            "shard": 10,
            "limits": {"off": ["text"], "change": 12},
        }
    )


@pytest.fixture(scope="session")
def built(recipe: DataRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's set. Not to be written into."""
    out = tmp_path_factory.mktemp("built") / "set"
    build(recipe, out)
    return out


def digest_folder(folder: Path) -> dict[str, str]:
    """Checksum of every file of a set, by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="session", name="digest_folder")
def digest_folder_() -> Callable[[Path], dict[str, str]]:
    """The function of that name."""
    return digest_folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six triplets of tiny pictures, of a photograph and two cut-outs with licences, without a set.json."""
    folder = tmp_path_factory.mktemp("bare")
    picture = encode_picture(np.full((8, 8, 3), 90, np.uint8), "png")
    origins: dict[str, object] = {"photograph": {"file": "a, b.jpg", "licence": "CC-BY-4.0", "attribution": "Ann", "source": "here"}}
    origins |= {"cutouts": [{"name": name, "licence": "", "attribution": "", "source": ""} for name in ("cat", "dog")]}
    stretches = []
    for i in range(6):
        parameters = {"subjects": [{"box": [i, 0, 4, 4]}]} if i % 2 else {"new": {"box": [1, 2, 3, 4]}, "strength": i / 2}
        record = Record(f"subject-add-{i:07d}", "subject-add", "add it", "加上", "a", "b", "add", parameters, origins)
        stretches.append(to_tar(record.id, {"source.png": picture, "target.png": picture, "mask.png": picture, "json": record.to_json()}))
    write_tar(folder / "a.tar", stretches)
    return folder
