"""What a run says of itself: the recipe, version and seed it was made with, every logged number, and a line for whoever watches.

recipe.json    the resolved recipe; recipe-00000400.json the one until step 400, where the run went on with another
run.json       code version, seed, processes, device
metrics.jsonl  every logged number, one line of JSON a time; a resumed run takes back what it had logged after its last state
events.*       the same for TensorBoard, and the evaluation's pictures, where it is installed and asked for
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from step1x_edit import __version__
from step1x_edit.data.shards import SET
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.model.tensors import write_json, write_whole
from step1x_edit.training.recipe import Recipe

METRICS, RECIPE, WANDB_RUN = "metrics.jsonl", "recipe.json", "wandb-run.txt"
SAID = 6
"""At most so many changed values of a recipe are named."""

PACKAGE = Path(__file__).parents[1]
"""Where all of the code lies."""


def code_version(package: Path = PACKAGE) -> dict[str, str | None]:
    """The package's version, and where it runs from a git checkout, the commit, with "-changed" where any file of it is not as there."""
    commit = None
    if _ask_git(package, "ls-files", "--error-unmatch", "__init__.py") is not None:  # else installed within a checkout of something else
        commit, changed = _ask_git(package, "rev-parse", "HEAD"), _ask_git(package, "status", "--porcelain", ".")
        commit = f"{commit}-changed" if commit and changed else commit
    return {"step1x_edit": __version__, "commit": commit, "torch": torch.__version__}


def _ask_git(folder: Path, *words: str) -> str | None:
    """What git answers in a folder; None where it has no answer."""
    try:
        asked = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def check_folder(out: Path) -> None:
    """Raise UsageError where a folder holds something else than a run, such as a set of triplets, which has a recipe too."""
    if (out / SET).exists():  # one that was imported has no recipe
        raise UsageError(f"{out} holds a set of triplets; choose another folder with --out.")
    try:
        found = json.loads((out / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(found, dict) or "task" not in found:
        raise UsageError(f"{out} holds a {RECIPE} of something else than a training; choose another folder with --out.")


class Journal:
    """Writes for one process; the others have none."""

    def __init__(self, out: Path, recipe: Recipe, device: torch.device, processes: int) -> None:
        self._out, self._recipe = out, recipe
        about = {"seed": recipe.seed, "processes": processes, "device": _name(device), **code_version()}
        write_json(out / "run.json", about)
        self._open_board = _find_board() if recipe.logging.tensorboard else None
        self._board: Any = None
        self._wandb = _open_wandb(out, recipe) if recipe.logging.wandb else None

    def resume(self, step: int) -> float:
        """Take back what was logged after `step`, from which the run goes on, and say what of the recipe was another until then.

        Returns the seconds that the run had taken when it was last logged.
        """
        self._keep_recipe(step)
        path, seconds = self._out / METRICS, 0.0
        if path.exists():
            rows = {line: row for line in path.read_text(encoding="utf-8").splitlines() if (row := _read_row(line)) and row["step"] <= step}
            write_whole(path, lambda partial: partial.write_text("".join(f"{line}\n" for line in rows), encoding="utf-8"))
            seconds = max((row.get("seconds", 0.0) for row in rows.values()), default=0.0)
        if self._open_board is not None:
            self._board = self._open_board(str(self._out), purge_step=step + 1)
        return seconds

    def _keep_recipe(self, step: int) -> None:
        path, now = self._out / RECIPE, self._recipe.model_dump(mode="json")
        kept = path.with_name(f"{path.stem}-{step:08d}.json")
        before = _read_recipe(kept if kept.exists() else path)  # whoever came after the kept one, and was cut off, made no step that counts
        changed = list(_compare(before, now)) if step and before else []
        if changed and not kept.exists():
            write_json(kept, before)
        if changed:
            named = ", ".join(changed[:SAID]) + (f" and {len(changed) - SAID} more" if len(changed) > SAID else "")
            print(f"Until step {step} the run had another recipe, which is kept in {kept}: {named}.", file=sys.stderr)
        write_json(path, now)

    def log(self, step: int, numbers: dict[str, float]) -> None:
        """Keep numbers of a step.

        Raises:
            Step1XError: the disk is full.
        """
        row = {"step": step, **{name: float(f"{value:.8g}") if isinstance(value, float) else value for name, value in numbers.items()}}
        try:
            with (self._out / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if self._board is not None:
                for name, value in numbers.items():
                    self._board.add_scalar(name, value, step)
        except OSError as error:
            raise Step1XError(
                f"The metrics could not be written to {self._out} ({error.strerror}); the last saved state is still there."
            ) from error
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)

    def show(self, step: int, name: str, picture: Image.Image) -> None:
        """Keep a picture of a step, in `samples/` and where the numbers go."""
        import numpy as np

        path = self._out / "samples" / f"{name}-{step:08d}.png"
        write_whole(path, lambda partial: picture.save(partial, format="PNG"))
        if self._board is not None:
            self._board.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
        if self._wandb is not None:
            import wandb

            self._wandb.log({name: wandb.Image(picture)}, step=step)

    def close(self) -> None:
        """Let go of files and connections."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


class Pace:
    """How fast the run is, between two lines of its log.

    Args:
        peak: floating-point operations a second that all devices together can do at most; None where it is not known.
    """

    def __init__(self, recipe: Recipe, peak: float | None) -> None:
        self._recipe, self.peak = recipe, peak
        self._begin = self._last = time.monotonic()
        self.before = 0.0
        """Seconds that the run had taken before it was gone on with."""
        self._flops = 0.0
        self._samples = 0

    def add(self, samples: int, flops: float | None) -> None:
        """A step is done."""
        self._samples += samples
        self._flops += flops or 0.0

    def read(self, left: int) -> dict[str, float]:
        """Samples a second since the last time, model FLOPs utilisation where it is known, the run's seconds so far, and those left."""
        now = time.monotonic()
        elapsed = max(now - self._last, 1e-9)
        rate = self._samples / elapsed
        numbers = {"samples_per_second": rate}
        if self._flops and self.peak:
            numbers["mfu"] = self._flops / elapsed / self.peak
        numbers |= {"seconds": self.before + now - self._begin, "seconds_left": left / max(rate, 1e-9)}
        self._last, self._flops, self._samples = now, 0.0, 0
        return numbers


def line(step: int, recipe: Recipe, numbers: dict[str, float]) -> str:
    """What is printed of a logged step."""
    left = numbers["seconds_left"]
    time_left = f"{left / 3600:.1f} h" if left > 5400 else f"{left / 60:.0f} min"
    mfu = f"  MFU {numbers['mfu']:.1%}" if "mfu" in numbers else ""
    return f"step {step}/{recipe.steps}  loss {numbers['loss']:.4f}  {numbers['samples_per_second']:.1f} samples/s{mfu}  {time_left} left"


def _read_recipe(path: Path) -> dict[str, Any]:
    """The recipe that a run had until now, with the defaults of what was not yet a key then; empty where there is none that can be read."""
    try:
        return Recipe.model_validate_json(path.read_text(encoding="utf-8")).model_dump(mode="json")
    except (OSError, ValueError):
        return {}


def _compare(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """The values that were others before, section by section; the stages are sections too, where there are as many as before."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _compare(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now) and all(isinstance(each, dict) for each in now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from _compare(*pair, f"{name}.{number}")
    elif before != now:
        yield f"{name} was {before!r} and is {now!r}"


def _read_row(line: str) -> dict[str, float] | None:
    """Numbers by name, a step among them; None of a line that was being written when the run was killed."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _find_board() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("TensorBoard is not installed; pip install step1x-edit[train], or set logging.tensorboard=false.") from error
    return SummaryWriter


def _open_wandb(out: Path, recipe: Recipe) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UsageError("Weights & Biases is not installed; pip install wandb, or leave logging.wandb out.") from error
    kept = out / WANDB_RUN  # folders of one name are different runs
    if not kept.exists():
        write_whole(kept, lambda partial: partial.write_text(secrets.token_hex(4), encoding="utf-8"))
    return wandb.init(
        project=recipe.logging.wandb,
        name=out.name,
        id=kept.read_text(encoding="utf-8"),
        resume="allow",
        dir=str(out),
        config=recipe.model_dump(mode="json"),
    )
