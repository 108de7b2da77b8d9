"""Tiny twins of the released versions, in their layouts, through the whole path from pictures and instruction to picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from step1x_edit import Editor, EditRequest
from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.conversion import convert
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import save_preset

PREFIX = "Say what it will be:"
Open = Callable[..., Editor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, build_twin_mllm: Callable[..., MLLM], twin_preset: Callable[..., Preset]) -> Path:
    """A twin of each version in the layout of the single files."""
    root = tmp_path_factory.mktemp("twins")
    for name in ("v1.0", "v1.1", "v1.2"):
        preset, folder = twin_preset(name, PREFIX), root / name
        torch.manual_seed(1)
        model, autoencoder = Step1XEdit(preset), Autoencoder(preset.autoencoder)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
        mllm = build_twin_mllm(preset, PREFIX)
        target = folder / "Qwen2.5-VL-7B-Instruct"
        mllm.model.save_pretrained(target)
        mllm.processor.image_processor.save_pretrained(target)
        mllm.processor.tokenizer.save_pretrained(target)
        (folder / "mllm_prefix.txt").write_text(PREFIX)
        save_file(model.state_dict(), folder / (preset.released_file or "model.safetensors"))
        save_file(autoencoder.state_dict(), folder / "vae.safetensors")
        save_preset(folder, preset)
    return root


@pytest.fixture(scope="module")
def open_twin(folders: Path) -> Open:
    cache: dict[str, Editor] = {}
    return lambda name: cache.setdefault(name, Editor.open(name, device="cpu", dtype="float32", folder=folders / name))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", ["v1.0", "v1.1", "v1.2"])
def test_every_layout_gives_the_same_picture(folders: Path, open_twin: Open, scene: Image.Image, tmp_path: Path, name: str) -> None:
    editor = open_twin(name)
    convert(folders / name, tmp_path / "parts", editor.preset, "diffusers", shard_bytes=60_000)
    parts = Editor.open(name, device="cpu", dtype="float32", folder=tmp_path / "parts")
    one, other = (each.edit(scene, 'write "Hi"', seed=3) for each in (editor, parts))
    assert one.raw.size == (64, 48) and one.raw.tobytes() == other.raw.tobytes()
    assert one.image.size == scene.size


def test_the_wrong_prefix_is_refused(folders: Path, open_twin: Open, tmp_path: Path) -> None:
    preset = open_twin("v1.0").preset
    strict = replace(preset, message=replace(preset.message, prefix=PRESETS["v1.0"].message.prefix))
    mllm = folders / "v1.0" / "Qwen2.5-VL-7B-Instruct"
    with pytest.raises(WeightsError, match=r"not the prefix text of v1\.0; step1x models pull v1\.0"):
        MLLM.open(mllm, strict)
    (folders / "v1.0" / "mllm_prefix.txt").rename(tmp_path / "kept")
    try:
        with pytest.raises(WeightsError, match=r"mllm_prefix.txt is missing"):
            MLLM.open(mllm, strict)
    finally:
        (tmp_path / "kept").rename(folders / "v1.0" / "mllm_prefix.txt")


def test_text_to_image(open_twin: Open) -> None:
    for name in ("v1.1", "v1.2"):
        wide = next(open_twin(name).edit_seeds(EditRequest(None, "a red fox", shape=(200, 100)), [0]))
        assert wide.image.size == (200, 100) and wide.raw.size == (80, 32)
        square = next(open_twin(name).edit_seeds(EditRequest(None, "a red fox"), [0]))
        assert square.image.size == square.raw.size == (64, 64)
    with pytest.raises(UsageError, match=r"v1\.0 makes no pictures from text alone; choose one of v1\.1, v1\.2"):
        next(open_twin("v1.0").edit_seeds(EditRequest(None, "a red fox"), [0]))


def test_several_references(open_twin: Open, scene: Image.Image) -> None:
    other = scene.transpose(Image.Transpose.ROTATE_90)
    for name in ("v1.1", "v1.2"):
        results = [
            next(open_twin(name).edit_seeds(EditRequest(scene, "mix", references=pictures), [0])).raw.tobytes()
            for pictures in ((), (other,), (scene,), (other, scene), (scene, other))
        ]
        assert len(set(results)) == 5
    with pytest.raises(UsageError, match=r"v1\.0 takes 1 picture in one request"):
        next(open_twin("v1.0").edit_seeds(EditRequest(scene, "mix", references=(other,)), [0]))


@pytest.mark.parametrize("name", ["v1.0", "v1.1", "v1.2"])
def test_a_batch_gives_what_one_at_a_time_gives(open_twin: Open, draw_scene: Callable[..., Image.Image], name: str) -> None:
    """With guidance, texts of several lengths, some quoted, and where the version can, references and no picture at all."""
    editor = open_twin(name)
    texts = ['write "Hi"', "add a red ball to the left, and a blue one to the right", "变成夜晚"]
    pictures = [draw_scene(300, 200, 1), draw_scene(600, 400, 2), draw_scene(90, 60, 3)]
    beside = ((), (draw_scene(100, 100, 4),))[: editor.preset.references]
    batches = [[EditRequest(p, t, seed=7, references=r) for p, t in zip(pictures, texts, strict=True)] for r in beside]
    if editor.preset.text_to_image:
        batches.append([EditRequest(None, text, seed=3, shape=(90, 60)) for text in texts])
    assert editor.kind(batches[0][0]) != editor.kind(replace(batches[0][0], image=draw_scene(200, 300)))
    for requests in batches:
        for request, together in zip(requests, editor.edit_batch(requests), strict=True):
            alone = next(editor.edit_seeds(request, [request.seed]))
            assert together.image.size == alone.image.size
            assert np.abs(pixels(together.raw) - pixels(alone.raw)).max() <= 1


def test_guidance_may_be_limited_at_every_step_or_never(open_twin: Open, scene: Image.Image) -> None:
    """The limit acts in one of two steps by v1.1's own rule: t is 1, then about 0.6."""
    editor = open_twin("v1.1")
    last = editor.model.final_layer.linear
    last.weight.data.mul_(1000)  # so that the two velocities are far enough apart
    own, always, never = (next(editor.edit_seeds(EditRequest(scene, "night", guidance_limit=limit), [0])) for limit in (None, 0.0, 1.0))
    last.weight.data.div_(1000)
    assert own.request.guidance_limit == 0.93
    assert len({each.raw.tobytes() for each in (own, always, never)}) == 3


def test_strength(open_twin: Open, scene: Image.Image) -> None:
    editor = open_twin("v1.0")
    told: list[tuple[int, int]] = []
    weak = EditRequest(scene, "night", steps=4, strength=0.25)
    next(editor.edit_seeds(weak, [0], lambda done, total: told.append((done, total))))
    assert told == [(1, 1)]
    full, half = (next(editor.edit_seeds(EditRequest(scene, "night", steps=4, strength=s), [0])) for s in (1.0, 0.5))
    assert full.raw.tobytes() != half.raw.tobytes()
    assert full.raw.tobytes() == editor.edit(scene, "night", steps=4).raw.tobytes()
    assert full.notes == half.notes == ()


def test_a_strength_that_leaves_no_step_out_is_noted(open_twin: Open, scene: Image.Image) -> None:
    editor = open_twin("v1.0")
    weak, whole = (next(editor.edit_seeds(EditRequest(scene, "night", steps=1, strength=s), [0])) for s in (0.3, 1.0))
    assert weak.raw.tobytes() == whole.raw.tobytes()
    assert weak.notes == ("A strength of 0.3 makes no difference, because with so few steps (1) none is left out; give more steps.",)
    assert whole.notes == ()


def test_a_mask_bounds_the_edit(open_twin: Open, draw_scene: Callable[..., Image.Image]) -> None:
    photo = draw_scene(1200, 900)  # over a megapixel
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (300, 200, 700, 600))
    free = next(open_twin("v1.0").edit_seeds(EditRequest(photo, "night"), [0])).image
    bound = next(open_twin("v1.0").edit_seeds(EditRequest(photo, "night", mask=mask), [0])).image
    inside = np.asarray(mask) == 255
    assert np.array_equal(pixels(bound)[~inside], pixels(photo)[~inside])
    assert np.array_equal(pixels(bound)[inside], pixels(free)[inside])
    assert (pixels(bound)[inside] != pixels(photo)[inside]).any()
    transparent = photo.convert("RGBA")
    transparent.putalpha(100)
    both = next(open_twin("v1.0").edit_seeds(EditRequest(transparent, "night", mask=mask), [0])).image
    assert np.array_equal(pixels(both)[~inside], pixels(transparent)[~inside])


def test_what_is_seen_from_close_by_may_have_any_form(open_twin: Open, draw_scene: Callable[..., Image.Image]) -> None:
    editor, photo = open_twin("v1.0"), draw_scene(1200, 900)
    requests = []
    for box in ((100, 300, 700, 500), (300, 100, 500, 700)):
        mask = Image.new("L", photo.size, 0)
        mask.paste(255, box)
        requests.append(EditRequest(photo, "night", mask=mask, zoom=True, start=photo, strength=0.5))
    wide, high = requests
    assert len({editor.kind(each) for each in (wide, high, replace(high, zoom=False))}) == 3
    for request in requests:
        result = next(editor.edit_seeds(request, [0]))
        assert result.image.size == photo.size
        assert (result.raw.width > result.raw.height) == (request is wide)


def test_turns(open_twin: Open, scene: Image.Image) -> None:
    editor = open_twin("v1.1")
    first, second = editor.edit_turns(EditRequest(scene, "unused", seed=4), ["night", "snow"])
    assert first.image.tobytes() == editor.edit(scene, "night", seed=4).image.tobytes()
    assert second.image.tobytes() == editor.edit(first.image, "snow", seed=4).image.tobytes()
    assert second.request.instruction == "snow"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strength": 0.0}, "Strength must be above 0"),
        ({"strength": float("nan")}, "Strength must be above 0"),
        ({"guidance_limit": 1.5}, "guidance limit must lie"),
        ({"mask": Image.new("L", (3, 3))}, "make the mask of the picture's size"),
        ({"shape": (10, 10)}, "keeps its own shape"),
        ({"negative": "x" * 3000}, "negative instruction"),
        ({"references": (Image.new("RGB", (0, 4)),)}, "has no pixels"),
        ({"image": None, "strength": 0.5}, "no use for strength"),
        ({"image": None, "mask": Image.new("L", (3, 3))}, "no use for a mask"),
        ({"image": None, "shape": (0, 10)}, "two sides of 1 to 65536"),
    ],
)
def test_requests_that_make_no_sense(changes: dict[str, object], sentence: str, scene: Image.Image) -> None:
    with pytest.raises(UsageError, match=sentence):
        EditRequest(**{"image": scene, "instruction": "night", **changes})  # type: ignore[arg-type]
