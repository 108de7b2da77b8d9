"""One worker against several: whole builds of the same recipe, as the command runs them, in turns; prints the ratio of their times.

    python benchmarks/data_workers.py --photos PHOTOS --cutouts CUTOUTS [--workers 2] [--count 880] [--from-photographs 0]

Every build is a process of its own, started anew; its sets must be the same byte for byte. `--stages` prints what each stage took.

On a machine that others use, times say little. So the processor time of every process is printed too, and what share of the machine went to
others. One worker's processor time over that of the parent and the busiest of several workers is the ratio that idle cores would give.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from data_executors import digest

from step1x_edit.data.recipe import read_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "data_small.toml"
RUN = """
import json, sys, time
from pathlib import Path
from step1x_edit.data.building import build
from step1x_edit.data.recipe import check_recipe
if __name__ == "__main__":
    begun, stages = time.monotonic(), {}
    build(check_recipe(json.loads(sys.argv[1]), "benchmark"), Path(sys.argv[2]),
          lambda what, done, total: stages.update({what: round(time.monotonic() - begun, 2)}))
    print(json.dumps({**stages, "books": round(time.monotonic() - begun, 2)}))
"""


def read_processor_times(group: int) -> dict[int, float]:
    """Seconds of processor time of every living process of a group, by their ids. Fields 5, 14 and 15 of /proc/PID/stat."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            found[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def read_busy_time() -> float:
    """Seconds that all processors have worked for processes that have not been told to give way."""
    user, _, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Build:
    """What a build took: seconds, processor seconds of its processes, the longest first, and share of the machine that others took."""

    seconds: float
    processes: list[float]
    others: float
    stages: dict[str, float]


def time_build(command: list[str]) -> Build:
    """Run it, and watch its processes."""
    begun, busy = time.monotonic(), read_busy_time()
    times: dict[int, float] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        while process.poll() is None:
            times |= read_processor_times(process.pid)
            time.sleep(0.05)
        assert process.stdout is not None
        stages = json.loads(process.stdout.read().splitlines()[-1])
    if process.returncode:
        raise SystemExit(process.returncode)
    seconds = time.monotonic() - begun
    others = max(0.0, read_busy_time() - busy - sum(times.values())) / seconds / (os.cpu_count() or 1)
    parent = times.pop(process.pid)
    return Build(seconds, [parent, *sorted((spent for spent in times.values() if spent > 1), reverse=True)], others, stages)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--cutouts", required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--count", type=int, default=880)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--from-photographs", type=float, default=None)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--stages", action="store_true")
    arguments = parser.parse_args()
    changes = {"photos": [arguments.photos], "cutouts": [arguments.cutouts], "count": arguments.count}
    place = Path(tempfile.mkdtemp(prefix="data_workers-"))
    (place / "run.py").write_text(RUN)
    builds: dict[int, list[Build]] = {1: [], arguments.workers: []}
    digests = []
    for _ in range(arguments.repeats):
        for workers, found in builds.items():
            recipe = read_recipe(arguments.recipe, {**changes, "from_photographs": arguments.from_photographs, "executor.workers": workers})
            build = time_build([sys.executable, str(place / "run.py"), recipe.model_dump_json(), str(place / "set")])
            spent = ", ".join(f"{seconds:.1f}" for seconds in build.processes)
            print(f"{workers} workers: {build.seconds:.1f} s; processor time {spent} s; {build.others:.0%} of the machine went to others")
            if arguments.stages:
                print(f"   at the end of: {build.stages}")
            found.append(build)
            digests.append(digest(place / "set"))
            shutil.rmtree(place / "set")
    shutil.rmtree(place)
    one, several = (min(found, key=lambda build: build.seconds) for found in builds.values())
    idle = sum(one.processes) / (several.processes[0] + max(several.processes[1:], default=0))
    print(f"{arguments.count} triplets: {arguments.count / one.seconds:.1f} and {arguments.count / several.seconds:.1f} a second")
    print(f"{arguments.workers} workers are {one.seconds / several.seconds:.2f} times as fast as one; by processor time {idle:.2f} times")
    same = all(found == digests[0] for found in digests)
    print(f"the same bytes: {same}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
