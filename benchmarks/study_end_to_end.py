"""Fifty-five simulated people with known preferences take part in a study in a real browser; its report must find what they think.

    python benchmarks/study_end_to_end.py                               all of them in the browser
    python benchmarks/study_end_to_end.py --report docs/pictures/x.png  and a picture of the report

Needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "study"))

from study_crowd import PEOPLE, check_report, hold_study

from browsing import open_browser
from step1x_edit.cli.main import run


def photograph(report: Path, target: Path, folder: Path) -> None:
    """A picture of the report's first pages, in 64 colours."""
    with open_browser(folder / "reader", 1000, 1500) as driver:
        driver.get(report.as_uri())
        picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    picture.quantize(64, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    """Hold the study, write its report, and print what it found beside what is true."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-browser", type=int, default=PEOPLE, help="people who use the browser; the others speak HTTP")
    parser.add_argument("--seed", type=int, default=2, help="of the people")
    parser.add_argument("--report", type=Path, help="save a picture of the report here")
    chosen = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def tell(person: int) -> None:
            print(f"{person + 1} of {PEOPLE} people, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

        crowd = hold_study(folder, chosen.in_browser, tell, chosen.seed)
        report = folder / "report.html"
        with contextlib.redirect_stdout(sys.stderr):
            assert run(["study", "report", "--db", crowd.database, "--out", str(report)]) == 0
        found = check_report(crowd, report.read_text(encoding="utf-8"))
        if chosen.report:
            photograph(report, chosen.report, folder)
    seconds = round(time.monotonic() - begun)
    print(json.dumps({"in_browser": chosen.in_browser, "seconds": seconds, "server_said": crowd.said, **found}, indent=2))


if __name__ == "__main__":
    main()
