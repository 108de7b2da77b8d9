"""Training the editor on stored triplets: cached or not, with adapters, evaluated, in pieces; what comes out loads in the editor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from step1x_edit.data.formats import export_finetune
from step1x_edit.data.shards import decode_mask, encode_mask, list_shards, read_tar, to_tar, write_tar
from step1x_edit.editor import Editor
from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.model.narrow import NARROW, NarrowLinear, WeightsType, narrow_linear
from step1x_edit.model.tensors import TensorFiles, read_tensors
from step1x_edit.training.adapters import ADAPTER_FILE, LowRank
from step1x_edit.training.encoding import Cache, Encoders
from step1x_edit.training.processes import ALONE, Processes
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.stored import Stored
from step1x_edit.training.tasks import build_task
from step1x_edit.training.trainer import train

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]


def run(recipe: Recipe, out: Path) -> list[dict[str, float]]:
    assert train(build_task(recipe, CPU, out), recipe, out, CPU) == recipe.steps
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(rows: list[dict[str, float]]) -> list[float]:
    return [row["loss"] for row in rows if "loss" in row]


def test_a_cache_changes_nothing_but_the_time(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    recipe = edit_recipe(dropout=0.3)
    cached = recipe.model_copy(update={"data": recipe.data.model_copy(update={"cache": tmp_path / "cache"})})
    plain, first, again = run(recipe, tmp_path / "plain"), run(cached, tmp_path / "first"), run(cached, tmp_path / "again")
    assert losses(first) == pytest.approx(losses(plain), rel=1e-5)  # padding to another length adds in another order
    assert losses(again) == losses(first)
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 6
    written = {file: file.stat().st_mtime_ns for file in files}
    files[0].unlink()
    run(cached, tmp_path / "mended")
    assert {f: f.stat().st_mtime_ns for f in files[1:]} == {f: written[f] for f in files[1:]} and files[0].exists()


def test_a_cache_serves_any_dropout(tmp_path: Path, edit_recipe: MakeRecipe, stored_set: Path) -> None:
    data = {"shards": [stored_set], "workers": 0, "cache": tmp_path / "cache"}
    run(edit_recipe(data=data), tmp_path / "without")
    assert len(losses(run(edit_recipe(data=data, dropout=1.0), tmp_path / "with"))) == 4
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 6


def test_a_cache_knows_pictures_that_were_replaced(tmp_path: Path, edit_recipe: MakeRecipe, stored_set: Path) -> None:
    export_finetune(stored_set, tmp_path / "pairs")
    recipe = edit_recipe(data={"pairs": [tmp_path / "pairs/metadata_en.json"], "workers": 0})
    encoders = Encoders(recipe, recipe.model.sizes(), CPU)
    item = Stored(recipe.data).items[0]

    def latents() -> tuple[Tensor, Tensor]:
        cache = Cache(tmp_path / "cache", encoders)
        cache.compute([(item, (64, 64))], ALONE)
        return cache.read(item, (64, 64), "en")[:2]

    source, target = latents()
    path = next(path for ending, (path, _, _) in item.places.items() if ending.startswith("target"))
    Image.new("RGB", item.size, "red").save(path)
    again, replaced = latents()
    assert torch.equal(again, source) and not torch.allclose(replaced, target, atol=0.1)


def test_the_name_of_a_cache_tells_what_its_numbers_depend_on(tmp_path: Path, edit_recipe: MakeRecipe, random_mini: Path) -> None:
    shutil.copytree(random_mini, copy := tmp_path / "copy", copy_function=shutil.copyfile)
    models = [{"autoencoder": folder, "mllm": folder} for folder in (random_mini, copy)]
    whole, copied = (edit_recipe(model=model) for model in models)
    names = [Encoders(r, r.model.sizes(), CPU).name() for r in (whole, copied, edit_recipe(model=models[0], precision="bfloat16"))]
    assert names[0] == names[1] != names[2]
    with (copy / "mllm/model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert Encoders(copied, copied.model.sizes(), CPU).name() != names[0]


def test_processes_share_a_cache_out_whoever_begins_first(
    tmp_path: Path, edit_recipe: MakeRecipe, stored_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    recipe = edit_recipe(data={"shards": [stored_set], "workers": 0, "cache": tmp_path / "cache"})
    for rank in (1, 0):
        build_task(recipe, CPU, tmp_path).prepare(Processes(rank, 2, None))
        assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == (3 if rank else 6)


def test_a_batch_computed_in_pieces_is_the_same_batch(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    whole = run(edit_recipe(), tmp_path / "whole")
    stages = [{"until": 4, "size": 64, "batch": 2, "micro_batch": 1}]
    pieces = run(edit_recipe(stages=stages, activation_checkpointing=True), tmp_path / "pieces")
    assert losses(pieces) == pytest.approx(losses(whole), abs=1e-5)


@pytest.mark.parametrize("weights", ["full", *NARROW])
def test_adapters_learn_beside_frozen_weights_and_load_in_the_editor(
    tmp_path: Path, edit_recipe: MakeRecipe, random_mini: Path, weights: WeightsType
) -> None:
    recipe = edit_recipe(adapter={"rank": 4, "alpha": 8, "weights": weights}, optim={"lr": 1e-2, "warmup": 0, "ema": 0})
    task = build_task(recipe, CPU, tmp_path)
    assert train(task, recipe, tmp_path, CPU) == 4
    frozen = {name: p for name, p in task.model.named_parameters() if not p.requires_grad}
    given = read_tensors(random_mini / "model.safetensors")
    narrow = {f"{name}.weight": layer for name, layer in task.model.named_modules() if isinstance(layer, NarrowLinear)}
    bases = {f"{name}.base.weight" for name, module in task.model.named_modules() if isinstance(module, LowRank)}
    assert narrow.keys() == (set() if weights == "full" else bases)
    for name, p in frozen.items():
        expected = given[name.replace(".base.", ".")]
        if name in narrow:
            outputs, inputs = expected.shape
            alone = narrow_linear(nn.Linear(inputs, outputs, dtype=narrow[name].scale.dtype), weights)
            alone.fill(expected)
            assert torch.equal(narrow[name].widen(torch.float32), alone.widen(torch.float32)), name
        else:
            assert torch.equal(p.float(), expected.to(p.dtype).float()), name
    names = set(TensorFiles(tmp_path / ADAPTER_FILE))
    assert {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "lora_unet_single_blocks_3_linear2.alpha"} <= names
    assert not (tmp_path / "model.safetensors").exists()
    picture = Image.new("RGB", (64, 64), "red")
    editor = Editor.open("mini", "cpu", folder=random_mini)
    before = editor.edit(picture, "make it blue", size=64).raw
    editor.use_adapters([(tmp_path / ADAPTER_FILE, 1.0)])
    assert editor.edit(picture, "make it blue", size=64).raw.tobytes() != before.tobytes()


def test_a_trained_adapter_says_in_the_editor_what_it_said_in_training(tmp_path: Path, edit_recipe: MakeRecipe, random_mini: Path) -> None:
    from step1x_edit.model.lora import Attached, read_adapter
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.records import Embedding, Grid
    from step1x_edit.model.weights import load_step1x_edit

    recipe = edit_recipe(adapter={"rank": 4}, optim={"lr": 1e-2, "warmup": 0, "ema": 0})
    task = build_task(recipe, CPU, tmp_path)
    train(task, recipe, tmp_path, CPU)
    picture, t = torch.randn(1, 4, PRESETS["mini"].dit.in_channels, generator=torch.Generator().manual_seed(0)), torch.tensor([0.5])
    embedding = Embedding(torch.ones(1, 3, 192), torch.ones(1, 3, dtype=torch.bool))

    def say(model: torch.nn.Module) -> Tensor:
        with torch.no_grad():
            return model.eval()(picture, picture, embedding, t, Grid(2, 2))

    plain = load_step1x_edit(random_mini, PRESETS["mini"])
    before = say(plain)
    Attached(plain, [(read_adapter(tmp_path / ADAPTER_FILE, plain), 1.0)])
    assert torch.allclose(say(task.model), say(plain), atol=1e-4)
    assert not torch.allclose(before, say(plain), atol=1e-4)


def test_a_model_that_predicts_the_change_has_a_smallest_time_of_its_own(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    stages = [{"until": 2, "size": 64, "batch": 16}]
    free, bound = (edit_recipe(timesteps=times, stages=stages) for times in ({"low": 0.0, "shift": 0.01}, {"shift": 0.01}))
    without, with_it = (max(losses(run(recipe, tmp_path / str(i)))) for i, recipe in enumerate((free, bound)))
    assert with_it < without / 20  # a hundredth of the shift: nearly all times are small
    assert bound.timesteps.suited_to("velocity").low == 0.0
    assert free.timesteps.suited_to("reference_blend").low == 0.0


def test_an_adapter_may_be_on_the_layer_that_pictures_come_in_by(tmp_path: Path, edit_recipe: MakeRecipe, random_mini: Path) -> None:
    recipe = edit_recipe(adapter={"rank": 2, "layers": ["img_in"]}, optim={"lr": 1e-2, "warmup": 0, "ema": 0})
    task = build_task(recipe, CPU, tmp_path)
    assert train(task, recipe, tmp_path, CPU) == 4
    editor = Editor.open("mini", "cpu", folder=random_mini)
    editor.use_adapters([(tmp_path / ADAPTER_FILE, 1.0)])
    assert task.flops(recipe.stages[0])

    (tmp_path / "other").mkdir()
    of_the_same_name = Path(shutil.copy(tmp_path / ADAPTER_FILE, tmp_path / "other"))
    editor.use_adapters([(tmp_path / ADAPTER_FILE, 0.5)], merge=False)
    with pytest.raises(WeightsError, match="nowhere"):
        editor.use_adapters([(tmp_path / "nowhere.safetensors", 1.0)], merge=False)
    assert editor.made_with["lora"].endswith(":0.5")  # those that were on it stay where others are refused
    editor.use_adapters([(tmp_path / ADAPTER_FILE, 1.0), (of_the_same_name, -1.0)], merge=False)  # every run calls its adapter so
    assert editor.made_with["lora"].splitlines()[1:] == [f"{ADAPTER_FILE}:1", f"{ADAPTER_FILE}:-1"]


def test_a_caption_that_cannot_be_read_is_named(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    pairs = {"a.png": {"caption": "say <|im_end|>", "ref_image_path": "a.png"}}
    (tmp_path / "metadata.json").write_text(json.dumps(pairs))
    stages = [{"until": 1, "size": 64, "batch": 1}]
    for cache in (None, tmp_path / "cache"):
        data = {"pairs": [tmp_path / "metadata.json"], "workers": 0, "cache": cache}
        with pytest.raises(UsageError, match=r"The triplet .*a.*: The instruction holds <\|im_end\|>"):
            run(edit_recipe(data=data, stages=stages), tmp_path / f"out-{cache is None}")


def test_an_adapter_for_no_layer_is_said(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    with pytest.raises(UsageError, match=r"'attention\.q'"):
        build_task(edit_recipe(adapter={"layers": ["attention.q"]}), CPU, tmp_path)


@pytest.mark.parametrize("cached", [False, True])
def test_scores_and_pictures_while_training(tmp_path: Path, edit_recipe: MakeRecipe, stored_set: Path, cached: bool) -> None:
    data = {"shards": [stored_set], "workers": 0, "cache": tmp_path / "cache" if cached else None}
    recipe = edit_recipe(data=data, evaluation={"every": 2, "count": 2}, logging={"tensorboard": True})
    rows = run(recipe, tmp_path / "run")
    scored = [row for row in rows if "evaluation/psnr" in row]
    assert [row["step"] for row in scored] == [2, 4]
    assert all({"evaluation/unedited", "evaluation/inside", "evaluation/outside"} <= row.keys() for row in scored)
    with Image.open(tmp_path / "run/samples/evaluation-00000004.png") as shown:
        assert shown.width > 3 * 64
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_triplets_with_an_empty_mask_have_no_figure_inside_of_it(tmp_path: Path, edit_recipe: MakeRecipe, stored_set: Path) -> None:
    for shard in list_shards(stored_set):
        black = [(key, {**files, "mask.png": encode_mask(decode_mask(files["mask.png"]) & False)}) for key, files in read_tar(shard)]
        write_tar(tmp_path / "black" / shard.name, [to_tar(key, files) for key, files in black])
    recipe = edit_recipe(data={"shards": [tmp_path / "black"], "workers": 0}, evaluation={"every": 4, "count": 2})
    (scores,) = [row for row in run(recipe, tmp_path / "run") if "evaluation/psnr" in row]
    assert scores["evaluation/outside"] == scores["evaluation/psnr"] and "evaluation/inside" not in scores


def test_evaluation_does_not_change_the_run(tmp_path: Path, edit_recipe: MakeRecipe) -> None:
    plain = run(edit_recipe(), tmp_path / "plain")
    watched = run(edit_recipe(evaluation={"every": 1, "count": 2, "heldout": False}), tmp_path / "watched")
    assert losses(plain) == losses(watched)
