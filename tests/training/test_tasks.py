"""The three real tasks, two steps each on the repository's own pictures: what they write is what the editor loads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from step1x_edit.editor import Editor
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.tensors import read_tensors
from step1x_edit.model.weights import load_autoencoder, load_step1x_edit
from step1x_edit.training.encoding import Encoders
from step1x_edit.training.portions import Portion, portions
from step1x_edit.training.recipe import Recipe, read_recipe
from step1x_edit.training.tasks import build_task
from step1x_edit.training.tasks.autoencoder import reconstruction_loss
from step1x_edit.training.tasks.edit import EditTask
from step1x_edit.training.tasks.mllm import build_tokenizer
from step1x_edit.training.trainer import train

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Settings that make a recipe read a few pictures, all of them for training."""
    for kind, names in (("photos", ("coffee.jpg", "rocket.jpg")), ("cutouts", ("airplane.png", "avocado.png", "names.json"))):
        (tmp_path / kind).mkdir()
        for name in names:
            if (ROOT / "examples" / kind / name).exists():
                shutil.copy(ROOT / "examples" / kind / name, tmp_path / kind)
    (tmp_path / "split.toml").write_text("")
    return [
        f'data.photos=["{tmp_path}/photos"]',
        f'data.cutouts=["{tmp_path}/cutouts"]',
        f'data.heldout="{tmp_path}/split.toml"',
        "data.workers=0",
        "threads=1",
    ]


def read(name: str, pictures: list[str], *settings: str) -> Recipe:
    stages = "stages=[{until=2, size=64, batch=2, mixture={tone_transfer=1, style_change=1}}]"
    return read_recipe(ROOT / f"recipes/mini_{name}.toml", [*pictures, stages, *settings])


def frozen(folder: Path) -> list[str]:
    """Settings that take the editor's frozen parts from a model folder."""
    return [f'model.autoencoder="{folder}"', f'model.mllm="{folder}"']


def test_editor_and_its_weights(tmp_path: Path, random_mini: Path, pictures: list[str]) -> None:
    recipe = read("edit", pictures, *frozen(random_mini))
    out = tmp_path / "out"
    assert train(build_task(recipe, CPU, out), recipe, out, CPU) == 2
    result = Editor.open("mini", "cpu", folder=out).edit(Image.new("RGB", (40, 30), "red"), "make it blue", size=64)
    assert result.image.size == (40, 30)
    assert result.raw.width % 16 == 0


def test_training_may_start_from_given_weights(tmp_path: Path, random_mini: Path, pictures: list[str]) -> None:
    recipe = read("finer", pictures, *frozen(random_mini), f'model.start="{random_mini}"')
    task = build_task(recipe, CPU, tmp_path / "out")
    task.model.to_empty(device=CPU)
    task.fill()
    started = task.model.state_dict()
    given = load_step1x_edit(random_mini, PRESETS["mini"]).state_dict()
    assert all(torch.equal(started[name], given[name]) for name in given)


@pytest.mark.parametrize(("squares", "shape", "stretch"), [(True, (64, 64), 1.5), (False, (64, 48), 1.0)])
def test_pictures_are_squeezed_to_squares_and_the_model_is_told_or_keep_their_proportions(
    squares: bool, shape: tuple[int, int], stretch: float, tmp_path: Path, random_mini: Path, pictures: list[str]
) -> None:
    stages = "stages=[{until=2, size=64, batch=2, aspects=[1.5], mixture={tone_transfer=1}}]"
    task = build_task(read("edit", pictures, *frozen(random_mini), stages, f"model.squares={squares}".lower()), CPU, tmp_path / "out")
    assert isinstance(task, EditTask) and task.preset.squares is squares
    batch = task.batch(Portion(task.recipe.stages[0], 0, range(2), range(2)))
    assert batch.content.source.shape[:1:-1] == shape and batch.stretch_B.tolist() == [stretch] * 2


def test_triplets_that_are_used_again_say_the_same_in_a_run_that_was_stopped(
    tmp_path: Path, random_mini: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = "stages=[{until=6, size=64, batch=2, repeats=3, round=2, mixture={tone_transfer=1, style_change=1}}]"
    recipe = read("edit", pictures, *frozen(random_mini), stages, 'weighting="change"', "optim.decay=0")
    made: list[int] = []
    latents = Encoders.latents
    monkeypatch.setattr(Encoders, "latents", lambda self, *pictures: made.append(1) or latents(self, *pictures))  # type: ignore[func-returns-value]
    assert train(build_task(recipe, CPU, tmp_path / "whole"), recipe, tmp_path / "whole", CPU) == 6
    assert len(made) == 2
    for steps in (3, 6):  # stopped between the two steps that use them for the second time
        parts = recipe.model_copy(update={"stages": [recipe.stages[0].model_copy(update={"until": steps})]})
        assert train(build_task(parts, CPU, tmp_path / "parts"), parts, tmp_path / "parts", CPU) == steps
    whole, parts = (read_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_triplets_that_come_again_are_asked_for_in_both_languages(tmp_path: Path, random_mini: Path, pictures: list[str]) -> None:
    recipe = read("edit", pictures, *frozen(random_mini), "data.limit=2", "dropout=0")
    task = build_task(recipe, CPU, tmp_path)
    tokenizer = task.encoders.mllm.processor.tokenizer
    asked = [tokenizer.batch_decode(task.batch(portions(recipe, step)[0]).content.message["input_ids"]) for step in (0, 1)]
    chinese = [[re.search("[\u4e00-\u9fff]", text) is not None for text in texts] for texts in asked]
    assert chinese == [[False, True], [True, False]]


def test_instructions_are_dropped_for_guidance(tmp_path: Path, random_mini: Path, pictures: list[str]) -> None:
    recipes = [read("edit", pictures, *frozen(random_mini), f"dropout={share}") for share in (0.0, 1.0)]
    asked, dropped = (build_task(recipe, CPU, tmp_path).batch(portions(recipe, 0)[0]).content.message["input_ids"] for recipe in recipes)
    assert dropped.shape[1] < asked.shape[1]
    assert torch.equal(dropped[0], dropped[1])


def test_autoencoder(tmp_path: Path, pictures: list[str]) -> None:
    recipe = read("autoencoder", pictures)
    assert train(build_task(recipe, CPU, tmp_path / "out"), recipe, tmp_path / "out", CPU) == 2
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    autoencoder = load_autoencoder(tmp_path / "out", PRESETS["mini"])
    assert autoencoder.decode(autoencoder.encode(picture)).shape == picture.shape


def test_reconstruction_loss_is_zero_for_the_same_picture_and_a_unit_gaussian() -> None:
    picture, latent = torch.rand(1, 3, 4, 4), torch.zeros(1, 2, 1, 1)
    assert reconstruction_loss(picture, picture, latent, latent) == 0
    assert reconstruction_loss(picture, picture + 0.5, latent, latent) == pytest.approx(0.5 + 10 * 0.25)
    assert reconstruction_loss(picture, picture, latent + 1, latent) == pytest.approx(0.5e-5)


def _in_pieces(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"stages": [stage.model_copy(update={"micro_batch": 1}) for stage in recipe.stages]})


def test_mllm_and_that_a_resumed_run_keeps_its_tokens(tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from step1x_edit.training.tasks import mllm

    recipe = read("mllm", pictures)
    monkeypatch.setattr(mllm, "CORPUS", 8)
    out = tmp_path / "out"
    first = build_task(recipe, CPU, out)
    assert train(first, recipe, out, CPU) == 2
    monkeypatch.setattr(mllm.MLLMTask, "_corpus", lambda self, recipe: ["other words altogether"])
    again = build_task(recipe, CPU, out)
    batches = [task.batch(portions(recipe, 1)[0]) for task in (first, again)]
    assert torch.equal(batches[0]["input_ids"], batches[1]["input_ids"])
    labels, ids = batches[0]["labels"], batches[0]["input_ids"]
    said = labels != -100
    assert torch.equal(labels[said], ids[said])
    together = first.loss(batches[0], ())
    apart = [first.loss(first.batch(piece), ()) for piece in portions(_in_pieces(recipe), 1)]
    assert together.item() == pytest.approx(sum(each.item() for each in apart) / len(apart), abs=1e-5) and len(apart) > 1
    tokenizer = first.mllm.processor.tokenizer
    assert tokenizer.decode(labels[0][said[0]]).count(";") >= 2  # the edit, the scene, and the scene after it


@pytest.mark.parametrize("text", ["make it night", "把背景换成海滩", "😀 e\u0301 \x00"])
def test_any_text_can_be_written_in_the_tokens(text: str) -> None:
    tokenizer = build_tokenizer(["make it night"], size=300)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
