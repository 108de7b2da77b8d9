"""Build one recipe here, on Ray and on Slurm, and compare the sets byte for byte.

python benchmarks/data_executors.py --ray                     a local Ray cluster is started; needs the extra "ray"
python benchmarks/data_executors.py --slurm PARTITION         needs Slurm's commands and a shared folder
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from step1x_edit.data.building import build
from step1x_edit.data.recipe import Executor, Ray, Slurm, read_recipe

ROOT = Path(__file__).parents[1]


def digest(folder: Path) -> dict[str, str]:
    """Checksum of every file of a set."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default=str(ROOT / "examples" / "photos"))
    parser.add_argument("--cutouts", default=str(ROOT / "examples" / "cutouts"))
    parser.add_argument("--count", type=int, default=110)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--slurm", metavar="PARTITION")
    parser.add_argument("--folder", type=Path, help="shared with the cluster; a temporary one by default")
    arguments = parser.parse_args()
    places = {"photos": [arguments.photos], "cutouts": [arguments.cutouts], "count": arguments.count}
    recipe = read_recipe(ROOT / "recipes" / "data_small.toml", places)
    where = {"here": Executor(workers=arguments.workers)}
    if arguments.ray:
        where["ray"] = Executor(kind="ray", workers=arguments.workers, block=60, ray=Ray(mem_per_cpu_gb=0.5))
    if arguments.slurm:
        where["slurm"] = Executor(kind="slurm", workers=arguments.workers, slurm=Slurm(partition=arguments.slurm, mem_per_cpu_gb=1))
    folder = Path(tempfile.mkdtemp(prefix="data_executors-", dir=arguments.folder))
    found = {}
    for name, executor in where.items():
        begun = time.monotonic()
        build(recipe.model_copy(update={"executor": executor}), folder / name)
        found[name] = digest(folder / name)
        print(f"{name}: {len(found[name])} files in {time.monotonic() - begun:.1f} s; the same as here: {found[name] == found['here']}")
    shutil.rmtree(folder)
    sys.exit(any(files != found["here"] for files in found.values()))


if __name__ == "__main__":
    main()
