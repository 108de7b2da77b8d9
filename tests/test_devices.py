"""Several devices that share the work of an edit; here each of them is the CPU."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from step1x_edit.cli.main import run
from step1x_edit.devices import choose_devices
from step1x_edit.editor import Editor
from step1x_edit.errors import UsageError
from step1x_edit.integrations.pipeline import Step1XEditPipeline
from step1x_edit.memory import Placement
from step1x_edit.types import EditRequest

Scene = Callable[..., Image.Image]


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("placement", [Placement(), Placement(offload="parts"), Placement("int8")])
@pytest.mark.parametrize("options", [{}, {"guidance": 1.0}, {"steps": 3, "guidance": 3.0, "negative": "red"}])
def test_an_edit_on_several_devices_is_that_of_one(
    random_mini: Path, draw_scene: Scene, placement: Placement, options: dict[str, float]
) -> None:
    request = EditRequest(draw_scene(300, 200, 1), "make it night", **options)  # type: ignore[arg-type]
    alone, several = (Editor.open("mini", names, "float32", random_mini, placement) for names in ("cpu", "cpu,cpu,cpu"))
    (one,), (other,) = (list(editor.edit_seeds(request, [4])) for editor in (alone, several))
    assert np.abs(pixels(one.image) - pixels(request.image or one.image)).max() > 50
    assert np.abs(pixels(one.image) - pixels(other.image)).max() <= 1


def test_a_batch_is_shared_out_too(random_mini: Path, draw_scene: Scene) -> None:
    requests = [EditRequest(draw_scene(300, 200, seed), "make it night", seed=seed) for seed in (1, 2, 3)]
    alone, several = (Editor.open("mini", names, "float32", random_mini).edit_batch(requests) for names in ("cpu", "cpu,cpu"))
    for one, other in zip(alone, several, strict=True):
        assert np.abs(pixels(one.image) - pixels(other.image)).max() <= 1


@pytest.mark.parametrize("merge", [True, False])
def test_adapters_are_put_on_every_device(random_mini: Path, draw_scene: Scene, tmp_path: Path, merge: bool) -> None:
    key, adapter = "lora_unet_single_blocks_0_linear2", tmp_path / "warm.safetensors"
    save_file({f"{key}.lora_down.weight": torch.full((2, 960), 0.1), f"{key}.lora_up.weight": torch.ones(192, 2)}, adapter)
    request = EditRequest(draw_scene(300, 200, 1), "make it night")
    found = []
    for names in ("cpu", "cpu,cpu"):
        editor = Editor.open("mini", names, "float32", random_mini)
        found.append([pixels(next(editor.edit_seeds(request, [0])).image)])
        editor.use_adapters([(adapter, 1.0)], merge)
        found[-1].append(pixels(next(editor.edit_seeds(request, [0])).image))
    (plain, warm), (plain_of_two, warm_of_two) = found
    assert np.abs(plain - warm).max() > 20
    assert max(np.abs(plain - plain_of_two).max(), np.abs(warm - warm_of_two).max()) <= 1


def test_an_editor_that_is_let_go_of_frees_every_device_and_thread_at_once(random_mini: Path, draw_scene: Scene) -> None:
    before = threading.enumerate()
    editor = Editor.open("mini", "cpu,cpu", "float32", random_mini)
    next(editor.edit_seeds(EditRequest(draw_scene(300, 200, 1), "make it night"), [0]))
    models = [weakref.ref(each) for each in (editor.model, *editor.model.copies)]
    threads = [each for each in threading.enumerate() if each.name.startswith("device") and each not in before]
    gc.disable()  # else it might be found by chance
    try:
        del editor
        assert [each() for each in models] == [None, None]
    finally:
        gc.enable()
    for each in threads:
        each.join(60)
    assert threads and not any(each.is_alive() for each in threads)


def test_the_command_takes_several(random_mini: Path, draw_scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "photo.png"
    draw_scene(300, 200, 1).save(photo)
    command = ["edit", str(photo), "make it night", "--weights", str(random_mini), "--dtype", "float32", "--steps", "3"]
    for names, out in (("cpu", "one.png"), ("cpu,cpu", "two.png")):
        assert run([*command, "--device", names, "--cache", "every:2", "-o", str(tmp_path / out)]) == 0
    assert np.abs(pixels(Image.open(tmp_path / "one.png")) - pixels(Image.open(tmp_path / "two.png"))).max() <= 1
    capsys.readouterr()
    for options, sentence in (
        (["--cache", "first-block:0.1"], "needs all tokens on one device"),
        (["--offload", "blocks"], "Blocks can wait for one device alone"),
    ):
        assert run([*command, "--device", "cpu,cpu", *options]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1


def test_the_pipeline_moves_to_one(random_mini: Path, draw_scene: Scene) -> None:
    pipe = Step1XEditPipeline.from_pretrained(random_mini, device="cpu,cpu", torch_dtype=torch.float32)
    (copy,) = pipe.editor.model.copies
    pipe.to(torch.bfloat16)
    assert copy.img_in.weight.dtype is torch.bfloat16 and pipe.editor.model.copies == (copy,)
    assert pipe(draw_scene(300, 200, 1), "make it night").images
    assert pipe.to("cpu").editor.model.copies == ()


def test_devices_are_named_with_commas() -> None:
    cpu = torch.device("cpu")
    assert choose_devices("cpu") == [cpu] and choose_devices("cpu, cpu") == [cpu, cpu]
    assert len(choose_devices()) == 1
    for wrong, sentence in (
        ("cpu,", "no kind of device ''"),
        ("cpu,toaster", "no kind of device 'toaster'"),
        ("cpu,cuda:99", "has no device cuda:99"),
    ):
        with pytest.raises(UsageError, match=sentence):
            choose_devices(wrong)


@pytest.mark.parametrize(("names", "sentence"), [("cuda,cuda:0", "one device is named twice"), ("cuda:0,cpu", "must be of one kind")])
def test_devices_that_do_not_go_together(names: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert len(choose_devices("cuda:0,cuda:1")) == 2
    with pytest.raises(UsageError, match=sentence):
        choose_devices(names)
