"""What each extra of pyproject.toml is for can be done with what it installs, and a missing one is named."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

NEEDED_BY = {
    "": ["editor", "cli.edit", "cli.ui", "hub", "verification", "integrations.comfyui"],
    "bench": ["bench.reference", "bench.building.review", "bench.building.collecting", "bench.systems.pipelines", "cli.bench_judges"],
    "credentials": ["credentials"],
    "data": ["data.building", "data.marking", "data.formats", "data.page", "data.remaking", "data.deidentification"],
    "pipeline": ["integrations.pipeline"],
    "serve": ["serve.serving", "serve.worker", "serve.keys"],
    "study": ["study.serving", "study.opening", "study.report", "study.export", "study.planning"],
    "train": ["training.trainer", "training.journal"],
    "ui": ["serve.page_server", "serve.page"],
}

HIDE = """
import importlib, sys
from importlib.machinery import PathFinder

hidden, modules = (set(filter(None, text.split(","))) for text in sys.argv[1:])

class Shown(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Shown
for module in sorted(modules):
    importlib.import_module(f"step1x_edit.{module}")
"""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed_by(extra: str) -> set[str]:
    """The distributions that `pip install step1x-edit[extra]` brings, by what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(_plain(PROJECT["name"]), ""), (_plain(PROJECT["name"]), extra)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        if name == _plain(PROJECT["name"]):
            lines = PROJECT["optional-dependencies"][wanted] if wanted else PROJECT["dependencies"]
        else:
            try:
                lines = requires(name) or []
            except PackageNotFoundError:
                continue
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                waiting += [(_plain(requirement.name), each) for each in ("", *requirement.extras)]
    return {name for name, _ in found}


@pytest.mark.parametrize("extra", NEEDED_BY)
def test_an_extra_brings_what_it_is_for(extra: str) -> None:
    kept = _installed_by(extra)
    hidden = [module for module, names in packages_distributions().items() if not kept & set(map(_plain, names))]
    command = [sys.executable, "-c", HIDE, ",".join(hidden), ",".join(NEEDED_BY[extra])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("cv2", ["bench", "mini", "DIR"]),
        ("datatrove", ["data", "build", "recipe.toml", "--out", "out"]),
        ("uvicorn", ["--debug", "serve", "--port", "0"]),
        ("sqlalchemy", ["study", "plan"]),
        ("gradio", ["ui"]),
        ("httptools", ["ui"]),
        ("cv2", ["train", str(ROOT / "recipes" / "overfit.toml"), "--out", "out"]),
    ],
)
def test_a_missing_extra_is_named_in_one_sentence(module: str, arguments: list[str], tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from step1x_edit.cli.main import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    verb = next(word for word in arguments if not word.startswith("-"))
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last) == (
        2,
        f"step1x: step1x {verb} needs {module}, which is not installed; pip install 'step1x-edit[{verb}]'.",
    )
    assert ("Traceback" in done.stderr) == ("--debug" in arguments)
