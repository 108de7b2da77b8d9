"""How often the embedded model does what it was asked, on photographs, subjects and wordings that nothing was trained on.

    python benchmarks/heldout.py                      # the table of the README and of the model card
    python benchmarks/heldout.py --marked             # edits of things photographed where they stand
    python benchmarks/heldout.py --cases 10 --raw     # quicker, and of the drawing itself
    python benchmarks/heldout.py --cases 10 --size 512 --work 128 --difficulty 1 --refine 0.5     # small subjects, with a second pass
    python benchmarks/heldout.py --cases 20 --size 512 --work 128 --difficulty 1 --box --zoom     # small subjects, seen from close by

The cases are made from examples/photos and examples/cutouts, so their true results are known. The subjects are pasted: easier than those
that were photographed where they stand, which examples/marked has some of. See step1x_edit.bench.heldout for what is counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="model to measure")
    parser.add_argument("--weights", type=Path, help="folder of its weights, where they are not in their usual place")
    parser.add_argument("--photos", type=Path, help="photographs (default examples/photos, or examples/marked with --marked)")
    parser.add_argument("--marked", action="store_true", help="edit only what the photographs themselves show, where a mask marks it")
    parser.add_argument("--cutouts", type=Path, default=ROOT / "examples/cutouts")
    parser.add_argument("--split", type=Path, default=ROOT / "recipes/mini_heldout.toml")
    parser.add_argument("--cases", type=int, default=40, help="cases a category, half of them in Chinese (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other cases of the same pictures (default 0)")
    parser.add_argument("--size", type=int, default=128, help="side in pixels of a square of their area (default 128)")
    parser.add_argument("--aspect", type=float, default=1.0, help="their width over height, at the same area (default 1)")
    parser.add_argument("--difficulty", type=float, default=0.3, help="0 for one large subject to 1 for several small ones (default 0.3)")
    parser.add_argument("--steps", type=int, help="sampling steps; the model's own number by default")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's own by default")
    parser.add_argument("--work", type=int, help="side that the model works at; --size by default")
    parser.add_argument("--refine", type=float, help="strength of a second pass over what changed")
    parser.add_argument("--box", action="store_true", help="bound each edit by a box about the region that should change")
    parser.add_argument("--zoom", action="store_true", help="with --box: show the model that box and its surroundings alone")
    parser.add_argument("--raw", action="store_true", help="score what the model drew, not the edit laid over the picture")
    parser.add_argument("--families", action="store_true", help="a second table, of the kinds of edit within each category")
    parser.add_argument("--categories", nargs="*", help="these alone")
    parser.add_argument("--pictures", type=Path, help="folder to write source, true result and edit side by side to")
    arguments = parser.parse_args()

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import numpy as np
    from PIL import Image
    from transformers.utils import logging

    from step1x_edit.bench.heldout import MARKED, Case, draw_cases, score, shows_its_own, tabulate
    from step1x_edit.comparison import side_by_side
    from step1x_edit.data.split import Split
    from step1x_edit.data.stream import TripletStream
    from step1x_edit.editor import Editor
    from step1x_edit.types import EditRequest

    logging.disable_progress_bar()
    categories = arguments.categories or (MARKED if arguments.marked else None)
    if arguments.marked and (wrong := set(categories or ()) - set(MARKED)):
        parser.error(f"What a photograph shows itself has no edits of {', '.join(sorted(wrong))}; leave out --marked.")
    stream = TripletStream(
        [arguments.photos or ROOT / ("examples/marked" if arguments.marked else "examples/photos")],
        [arguments.cutouts],
        split=Split.read(arguments.split),
        part="heldout",
        size=arguments.size,
        seed=arguments.seed,
        mixture=dict.fromkeys(categories, 1.0) if categories else None,
        difficulty=arguments.difficulty,
    )
    suits = shows_its_own if arguments.marked else None
    editor = Editor.open(arguments.model, folder=arguments.weights)

    def edit(case: Case) -> np.ndarray:
        source, size = Image.fromarray(case.triplet.source), arguments.work or arguments.size
        mask = Image.fromarray(case.box_region()) if arguments.box else None
        way = {"steps": arguments.steps, "guidance": arguments.guidance, "refine": arguments.refine, "zoom": arguments.zoom}
        request = EditRequest(source, case.instruction, mask=mask, size=size, **way)
        result = next(editor.edit_seeds(request, [request.seed]))
        picture = result.raw if arguments.raw else result.image
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            triplet = case.triplet
            sheet = side_by_side([Image.fromarray(triplet.source), Image.fromarray(triplet.target), picture], case.instruction)
            sheet.save(arguments.pictures / f"{triplet.category}-{triplet.parameters['index']:05}.png")
        return np.asarray(picture)

    scores, started = [], time.perf_counter()
    total = arguments.cases * len(stream.categories)
    for done, case in enumerate(draw_cases(stream, arguments.cases, suits, arguments.aspect), start=1):
        scores.append(score(case, edit(case)))
        if done % 20 == 0 or done == total:
            print(f"\r{done} of {total} cases", end="", file=sys.stderr, flush=True)
    seconds = (time.perf_counter() - started) / max(1, len(scores))
    print(file=sys.stderr)
    print(tabulate(scores))
    if arguments.families:
        print(f"\n{tabulate(scores, by_family=True)}")
    area = f"{arguments.size} x {arguments.size} pixels"
    print(f"\n{len(scores)} cases of the area of {area}, {arguments.aspect:g} : 1; {seconds:.2f} s a case.")


if __name__ == "__main__":
    main()
