"""The whole path from picture and instruction to picture, with random weights in the embedded model's architecture."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit import Editor, EditRequest
from step1x_edit.devices import choose_device, choose_dtype
from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.model.caching import Shortcuts
from step1x_edit.model.costs import build_transformer
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.weights import save_preset


@pytest.fixture(scope="module")
def still(still_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=still_mini)


@pytest.fixture(scope="module")
def editor(random_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=random_mini)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("size", [(300, 200), (1, 1), (17, 400), (128, 128), (1031, 64)])
def test_a_model_that_changes_nothing_gives_the_picture_back(still: Editor, size: tuple[int, int], scene: Image.Image) -> None:
    image = scene.resize(size)
    result = still.edit(image, "make it night")
    assert result.image.tobytes() == image.tobytes()
    assert result.image.mode == "RGB"


def test_the_result_says_what_was_done(editor: Editor, scene: Image.Image) -> None:
    result = editor.edit(scene, "make it night", seed=5, steps=2)
    assert (result.model, result.image.size, result.raw.size, result.raw.mode) == ("mini", scene.size, (72, 48), "RGB")
    request = result.request
    assert (request.seed, request.steps, request.guidance, request.size) == (5, 2, editor.preset.guidance, editor.preset.size)
    assert list(result.seconds) == ["picture", "mllm", "autoencoder", "sampling", "decoding", "transfer"]
    assert all(seconds >= 0 for seconds in result.seconds.values())


def test_size_is_the_area_that_is_drawn(editor: Editor, scene: Image.Image) -> None:
    assert editor.edit(scene, "make it night", steps=1, size=64).raw.size == (72, 48)
    assert editor.edit(scene, "make it night", steps=1, size=256).raw.size == (312, 208)


def test_a_seed_gives_the_same_result_again_and_another_seed_another(editor: Editor, scene: Image.Image) -> None:
    first, again, other = (editor.edit(scene, "make it night", seed=seed) for seed in (1, 1, 2))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.raw.tobytes() == again.raw.tobytes()
    assert np.abs(pixels(first.raw) - pixels(other.raw)).mean() > 1


def test_a_seed_of_numpy_is_a_seed(editor: Editor, scene: Image.Image) -> None:
    one, other = (editor.edit(scene, "make it night", seed=seed).image.tobytes() for seed in (7, np.int64(7)))
    assert one == other


def test_several_seeds_at_once_are_the_same_as_one_by_one(editor: Editor, scene: Image.Image) -> None:
    request = EditRequest(scene, "make it night", steps=2)
    for result in editor.edit_seeds(request, [3, 4]):
        assert result.image.tobytes() == editor.edit(scene, "make it night", seed=result.request.seed, steps=2).image.tobytes()


def test_a_model_that_is_too_large_for_the_memory_is_one_sentence(random_mini: Path, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    shutil.copytree(random_mini, folder)
    mini = PRESETS["mini"]
    preset = replace(mini, dit=replace(mini.dit, depth=1, depth_single_blocks=1, mlp_ratio=13563.0))  # matrices of 500 million numbers
    save_preset(folder, preset)
    header, end = {}, 0
    for name, tensor in build_transformer(preset).state_dict().items():
        header[name] = {"dtype": "F8_E4M3", "shape": list(tensor.shape), "data_offsets": [end, end + tensor.numel()]}
        end += tensor.numel()
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)  # 3 GB of nothing, which take no room on the disk

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 5 * 2**29, limits[1]))  # 2.5 GiB: enough for everything but the large file
    try:
        with pytest.raises(Step1XError, match="not enough memory to load this model; step1x models plan") as caught:
            Editor.open("mini", device="cpu", dtype="float32", folder=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert caught.type is Step1XError


def test_the_callers_own_code_keeps_its_gradients(editor: Editor, scene: Image.Image) -> None:
    layer = torch.nn.Linear(2, 1)
    open_at_once = [editor.edit_seeds(EditRequest(scene, "make it night", steps=1), [3, 4]) for _ in range(2)]
    for _ in zip(*open_at_once, strict=True):
        layer(torch.ones(1, 2)).sum().backward()
    for other in open_at_once:
        other.close()
    turns = editor.edit_turns(EditRequest(scene, "make it night", steps=1), ["make it night", "turn it into a sketch"])
    assert [torch.is_inference_mode_enabled() for _ in turns] == [False, False]
    assert layer.weight.grad is not None and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_the_callers_random_numbers_are_left_alone(editor: Editor, scene: Image.Image) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    editor.edit(scene, "make it night", steps=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_instruction_counts_and_guidance_strengthens_it(editor: Editor, scene: Image.Image) -> None:
    night, beach = (editor.edit(scene, text, steps=1) for text in ("make it night", "把背景换成海滩"))
    assert night.raw.tobytes() != beach.raw.tobytes()
    far, without = (editor.edit(scene, "make it night", steps=1, guidance=weight) for weight in (4, 0))
    step = pixels(night.raw) - pixels(without.raw)
    assert np.abs(pixels(far.raw) - pixels(without.raw)).mean() > 1.5 * np.abs(step).mean() > 0


def test_guidance_is_against_the_empty_instruction(editor: Editor, scene: Image.Image) -> None:
    """Weight 0 is what the empty instruction alone gives, which the two in one batch must not disturb."""
    asked: list[list[str]] = []
    prepare = editor.mllm.prepare

    def listen(images: list[Image.Image], instructions: list[str]) -> object:
        asked.append(list(instructions))
        return prepare(images, instructions)

    editor.mllm.prepare = listen  # type: ignore[method-assign,assignment]
    try:
        editor.edit(scene, "make it night", steps=1, guidance=2)
        editor.edit(scene, "make it night", steps=1, guidance=1)
    finally:
        del editor.mllm.prepare
    assert asked == [["make it night", ""], ["make it night"]]


def test_an_instruction_longer_than_the_model_reads_is_noted(editor: Editor, scene: Image.Image) -> None:
    whole, long = (EditRequest(scene, "make it night and " * times) for times in (3, 60))
    other = replace(long, instruction=f"{long.instruction} add a cat")
    results = [result for each in (whole, long, other) for result in editor.edit_batch([each])]
    assert [len(result.notes) for result in results] == [0, 1, 1]
    assert "its end was left out" in results[1].notes[0]
    assert np.abs(pixels(results[1].raw) - pixels(results[2].raw)).max() <= 1  # what was left out says nothing


def test_progress_is_told_after_each_step(editor: Editor, scene: Image.Image) -> None:
    told: list[tuple[int, int]] = []
    editor.edit(scene, "make it night", steps=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_preview_draws_the_present_estimate_and_the_last_one_is_the_result(editor: Editor, scene: Image.Image) -> None:
    drawn: list[Image.Image] = []
    request = EditRequest(scene, "make it night", steps=3)
    result = next(editor.edit_seeds(request, [0], preview=lambda done, total, draw: drawn.append(draw())))
    assert len(drawn) == 3 and all(each.size == result.raw.size for each in drawn)
    assert np.array_equal(np.asarray(drawn[-1]), np.asarray(result.raw))
    assert not np.array_equal(np.asarray(drawn[0]), np.asarray(drawn[-1]))


def test_what_a_preview_raises_ends_the_edit(editor: Editor, scene: Image.Image) -> None:
    class Left(Exception):
        pass

    def leave(done: int, total: int, draw: object) -> None:
        raise Left

    with pytest.raises(Left):
        next(editor.edit_seeds(EditRequest(scene, "make it night", steps=3), [0], preview=leave))


def test_alpha_is_kept_and_what_is_invisible_is_left_alone(editor: Editor, scene: Image.Image) -> None:
    rgba = scene.convert("RGBA")
    alpha = np.zeros((scene.height, scene.width), np.uint8)
    alpha[:, 100:200], alpha[:, 200:] = 128, 255
    rgba.putalpha(Image.fromarray(alpha))
    result = editor.edit(rgba, "make it night").image
    assert result.mode == "RGBA"
    assert np.array_equal(np.asarray(result)[..., 3], alpha)
    assert np.array_equal(np.asarray(result)[:, :100], np.asarray(rgba)[:, :100])
    assert (np.asarray(result)[:, 200:] != np.asarray(rgba)[:, 200:]).any()


def test_still_alpha_comes_back_as_it_was(still: Editor, scene: Image.Image) -> None:
    rgba = scene.convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(scene.size))
    assert still.edit(rgba, "make it night").image.tobytes() == rgba.tobytes()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16"])
def test_any_mode_is_taken(still: Editor, mode: str, scene: Image.Image) -> None:
    image = Image.fromarray(np.full((20, 30), 257 * 100, np.uint16)) if mode == "I;16" else scene.convert(mode)
    result = still.edit(image, "make it night", steps=1).image
    assert (result.mode, result.size) == ("RGB", image.size)


def test_bfloat16_is_close_to_float32(editor: Editor, random_mini: Path, scene: Image.Image) -> None:
    half = Editor.open("mini", device="cpu", dtype="bfloat16", folder=random_mini)
    a, b = (e.edit(scene, "make it night", steps=1, size=64).raw for e in (half, editor))
    assert np.abs(pixels(a) - pixels(b)).mean() < 8


def test_overflow_is_explained(editor: Editor, scene: Image.Image) -> None:
    weight = editor.model.final_layer.linear.bias
    kept = weight.clone()
    weight.fill_(torch.inf)
    try:
        with pytest.raises(Step1XError, match="overflowed in float32"):
            editor.edit(scene, "make it night", steps=1)
    finally:
        weight.copy_(kept)


def test_unknown_models_devices_and_types_are_refused(random_mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"choose one of v1\.0, .*mini"):
        Editor.open("maxi")
    with pytest.raises(UsageError, match="choose cpu"):
        Editor.open("mini", device="toaster", folder=random_mini)
    with pytest.raises(UsageError, match="has no device cuda:99"):
        Editor.open("mini", device="cuda:99", folder=random_mini)
    with pytest.raises(UsageError, match="float32, bfloat16"):
        Editor.open("mini", device="cpu", dtype="int8", folder=random_mini)
    with pytest.raises(UsageError, match="not for CPUs"):
        Editor.open("mini", device="cpu", dtype="float16", folder=random_mini)
    with pytest.raises(WeightsError, match="are not in"):
        Editor.open("mini", device="cpu", folder=tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"step1x models pull v1\.2 fetches them: give the folder that it prints"):
        Editor.open("v1.2", device="cpu")
    with pytest.raises(WeightsError):
        Editor.open("mini", device="cpu", folder=tmp_path)


def test_defaults_suit_the_machine() -> None:
    assert (choose_device().type == "cuda") == torch.cuda.is_available()
    assert choose_dtype(None, torch.device("cuda")) is torch.bfloat16
    assert choose_dtype(None, torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert choose_dtype("float16", torch.device("cuda")) is torch.float16


def batch_of(draw_scene: Callable[..., Image.Image], **options: object) -> list[EditRequest]:
    """Pictures of several sizes and kinds that the model works at in one size, with texts of several lengths."""
    pictures = [draw_scene(300, 200, 1), draw_scene(600, 400, 2), draw_scene(150, 100, 3).convert("RGBA")]
    pictures[2].putalpha(Image.linear_gradient("L").resize((150, 100)))
    mask = Image.new("L", (600, 400))
    mask.paste(255, (0, 0, 300, 400))
    texts = ["make it night", "add a red ball to the picture and make all of it a little darker, please", "把背景换成海滩"]
    masks = [None, mask, None]
    each = enumerate(zip(pictures, texts, masks, strict=True))
    return [EditRequest(picture, text, seed=i, mask=mask, **options) for i, (picture, text, mask) in each]  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"steps": 2, "guidance": 3.0, "negative": "red"}, {"steps": 4, "strength": 0.5}])
def test_a_batch_gives_what_one_at_a_time_gives(editor: Editor, draw_scene: Callable[..., Image.Image], options: dict[str, float]) -> None:
    requests = batch_of(draw_scene, **options)
    for request, together in zip(requests, editor.edit_batch(requests), strict=True):
        alone = next(editor.edit_seeds(request, [request.seed]))
        assert (together.image.size, together.image.mode, together.request) == (alone.image.size, alone.image.mode, alone.request)
        assert np.abs(pixels(together.raw) - pixels(alone.raw)).max() <= 1  # sums are taken in another order
        assert np.abs(pixels(together.image) - pixels(alone.image)).max() <= 2
        if request.mask is not None:
            assert np.array_equal(pixels(together.image)[:, 301:], pixels(request.image)[:, 301:])


@pytest.mark.parametrize("guidance", [1, 2])
def test_a_cache_leaves_out_of_each_of_a_batch_what_it_does_alone(guidance: float, draw_scene: Callable[..., Image.Image]) -> None:
    editor = Editor.open("mini", device="cpu", dtype="float32")
    editor.shortcuts = Shortcuts.read("accumulated:0.2", None)
    words = ["make it night", "turn it into a pencil sketch", "remove the spoon"]
    requests = [EditRequest(draw_scene(96, 64, i), text, i, 20, guidance, 64) for i, text in enumerate(words)]
    for request, together in zip(requests, editor.edit_batch(requests), strict=True):
        alone = next(editor.edit_seeds(request, [request.seed]))
        assert np.abs(pixels(alone.raw) - pixels(together.raw)).max() <= 1


def test_a_preview_shows_each_of_a_batch(editor: Editor, draw_scene: Callable[..., Image.Image]) -> None:
    seen: dict[int, list[Image.Image]] = {}
    results = editor.edit_batch(
        batch_of(draw_scene, steps=2), preview=lambda done, _, draw: seen.update({done: [draw(i) for i in range(3)]})
    )
    for first, last, result in zip(seen[1], seen[2], results, strict=True):
        assert np.abs(pixels(last) - pixels(result.raw)).max() <= 1  # decoded alone, and in a batch
        assert np.abs(pixels(first) - pixels(last)).max() > 1


def test_pictures_of_any_proportions_are_squeezed_to_one_square(editor: Editor, draw_scene: Callable[..., Image.Image]) -> None:
    requests = [EditRequest(draw_scene(*size), "make it night") for size in ((300, 100), (100, 200))]
    assert editor.kind(requests[0]) == editor.kind(requests[1])
    for size, request, drawing in zip(((104, 32), (40, 88)), requests, editor.draw_batch(requests), strict=True):
        assert drawing.drawn.shape == (3, 64, 64)
        assert drawing.finish().raw.size == size
        (alone,) = editor.draw_batch([request])
        torch.testing.assert_close(drawing.drawn, alone.drawn, atol=0.01, rtol=0)  # each is told its own proportions


def test_a_batch_of_nothing_is_nothing(editor: Editor) -> None:
    assert editor.edit_batch([]) == []


def test_a_batch_is_of_one_kind(editor: Editor, draw_scene: Callable[..., Image.Image]) -> None:
    first, *_ = batch_of(draw_scene)
    assert editor.kind(first) == editor.kind(replace(first, seed=9, instruction="other", steps=editor.preset.steps))
    for other in (
        replace(first, steps=3),
        replace(first, guidance=2.0),
        replace(first, size=128),
    ):
        assert editor.kind(other) != editor.kind(first)
        with pytest.raises(UsageError, match="alike in size"):
            editor.edit_batch([first, other])
