"""The rules that keep the package clear, checked on its source: who may import whom, where versions live, what is loaded when."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from step1x_edit.model.presets import PRESETS

SOURCE = Path(__file__).parents[1] / "src" / "step1x_edit"
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS: tuple[set[str], ...] = (
    {"errors"},
    {"types", "image_origins", "patience", "loading", "locking"},
    {"model", "flow", "devices", "image_depths", "image_kinds", "image_modes", "image_records", "image_sizes", "image_spaces"},
    {"image_io", "comparison", "alignment", "transfer", "tables", "toml_files", "web", "memory", "closeup"},
    {"drawing", "settings", "credentials", "refinement"},
    {"editor", "verification", "hub"},
    {"thinking", "endpoint"},
    {"training", "bench", "study", "data", "integrations"},
    {"serve"},
    {"cli"},
)
"""From the bottom up; a file imports from the layers below its own, and from its own part of the package."""

BESIDE = {("training", "data"), ("bench", "data")}
"""The only imports within a layer: who trains or measures reads what a triplet is."""

HEAVY = {"torch", "transformers", "diffusers", "numpy", "cv2", "skimage", "pandas", "gradio", "fastapi", "uvicorn", "peft"}


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def part_of(file: Path) -> str:
    """The package or module directly under step1x_edit that a file belongs to."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, wherever in it."""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are written out in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def parts_imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and part of the package, for the imports of the package's own."""
    for line, name in imports_of(file):
        pieces = name.split(".")
        if pieces[0] == "step1x_edit" and len(pieces) > 1 and not pieces[1].startswith("__"):
            yield line, pieces[1]


def rank(part: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if part in layer]
    assert found, f"{part} has no place among the layers yet: give it one here"
    return found[0]


def identify(file: Path) -> str:
    return str(file.relative_to(SOURCE))


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_imports_point_down(file: Path) -> None:
    own = part_of(file)
    if own == "__init__":
        return  # the public interface, whose imports are made when first used
    for line, part in parts_imported(file):
        allowed = part == own or rank(part) < rank(own) or (own, part) in BESIDE
        assert allowed, f"{identify(file)}:{line}: {own} must not import {part}"


@pytest.mark.parametrize("own", ["data", "bench"])
def test_data_and_bench_receive_their_models(own: str) -> None:
    for file in (f for f in FILES if part_of(f) == own):
        assert not {part for _, part in parts_imported(file)} & {"model", "flow"}, f"{identify(file)}: pass the model in instead"


@pytest.mark.parametrize("own", ["model", "flow"])
def test_model_and_flow_know_no_hub_server_or_dataset(own: str) -> None:
    foreign = {"huggingface_hub", "fastapi", "starlette", "uvicorn", "gradio", "datasets", "webdataset", "sqlmodel", "typer", "rich"}
    for file in (f for f in FILES if part_of(f) == own):
        assert not {name.split(".")[0] for _, name in imports_of(file)} & foreign, identify(file)


def version_questions(tree: ast.AST) -> Iterator[int]:
    """Lines that ask which version it is: a comparison with the name of a row, or of something called version with a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                texts = [s.value for s in ast.walk(node) if isinstance(s, ast.Constant) and isinstance(s.value, str)]
                names = [s.attr if isinstance(s, ast.Attribute) else s.id for s in sides if isinstance(s, ast.Attribute | ast.Name)]
                if set(texts) & set(PRESETS) or (texts and "version" in names):
                    yield node.lineno
            case ast.MatchValue(value=ast.Constant(value=str(text))) if text in PRESETS:
                yield node.value.lineno
            case ast.Call(func=ast.Attribute(attr="startswith"), args=[ast.Constant(value=str(text))]) if text.startswith("v1"):
                yield node.lineno


@pytest.mark.parametrize("file", [f for f in FILES if f.name != "presets.py"], ids=identify)
def test_a_version_is_a_row_not_a_question(file: Path) -> None:
    assert list(version_questions(parse(file))) == []


@pytest.mark.parametrize(
    "code",
    [
        "if preset.name == 'v1.0': pass",
        "if version == 'old': pass",
        "x = 1 if name in ('v1.1', 'v1.2') else 2",
        "match name:\n    case 'mini': pass",
        "if name.startswith('v1'): pass",
    ],
)
def test_questions_of_the_version_would_be_found(code: str) -> None:
    assert list(version_questions(ast.parse(code)))


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_no_except_is_broad(file: Path) -> None:
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{identify(file)}:{node.lineno}"
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert not caught & {"Exception", "BaseException"}, f"{identify(file)}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_no_pickle_is_opened(file: Path) -> None:
    assert "pickle" not in {name.split(".")[0] for _, name in imports_of(file)}
    for node in ast.walk(parse(file)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=keywords):
                safe = [k for k in keywords if k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True]
                assert safe, f"{identify(file)}:{node.lineno}: torch.load needs weights_only=True"


TOLD_BY_THE_ENVIRONMENT = SOURCE / "data" / "gpus.py"
"""CUDA is told which GPUs a process sees in no other way."""


@pytest.mark.parametrize("file", [f for f in FILES if part_of(f) not in ("cli", "serve") and f != TOLD_BY_THE_ENVIRONMENT], ids=identify)
def test_the_environment_is_read_by_cli_and_serve_alone(file: Path) -> None:
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in ("environ", "getenv", "environb"), f"{identify(file)}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_files_are_short_and_say_what_they_are(file: Path) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & {piece.removesuffix(".py") for piece in file.parts}
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
    assert not parse(file).body or ast.get_docstring(parse(file)), f"{identify(file)} has no docstring"
    classes = [node.name for node in ast.walk(parse(file)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(("Manager", "Helper", "Utils"))]


def _loaded_by(code: str) -> set[str]:
    """The heavy libraries that a fresh Python has loaded after running the code."""
    ask = f"import sys, json; print(json.dumps(sorted({HEAVY!r} & {{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{ask}"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded_by("import step1x_edit; dir(step1x_edit)") == set()


def test_types_cost_nothing() -> None:
    assert _loaded_by("from step1x_edit import EditCategory, EditRequest, EditResult") == set()


def test_every_file_of_the_command_loads_nothing_heavy() -> None:
    names = [f"step1x_edit.cli.{file.stem}" for file in FILES if part_of(file) == "cli" and file.stem != "__init__"]
    assert _loaded_by("import " + ", ".join(names)) == set()


def test_help_of_the_command_loads_nothing_heavy() -> None:
    assert _loaded_by("from step1x_edit.cli.main import run\nassert run(['--help']) == 0") == set()


def test_help_of_every_verb_loads_nothing_heavy() -> None:
    code = """
import contextlib, io
import typer
from step1x_edit.cli.main import app, run

def verbs(command, path=()):
    yield path
    for name, sub in getattr(command, "commands", {}).items():
        yield from verbs(sub, (*path, name))

paths = list(verbs(typer.main.get_command(app)))
assert len(paths) > 2, paths
for path in paths:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert run([*path, "--help"]) == 0
    assert "Usage" in text.getvalue(), path
"""
    assert _loaded_by(code) == set()
