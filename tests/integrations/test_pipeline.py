"""The pipeline beside diffusers' own: output class, arrays, callback, seeds, moving, saving."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from PIL import ExifTags, Image
from safetensors.torch import save_file

from step1x_edit import Editor
from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.integrations.pipeline import Step1XEditPipeline
from step1x_edit.memory import Placement
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.conversion import convert
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import save_preset


@pytest.fixture
def pipe(editor: Editor) -> Step1XEditPipeline:
    return Step1XEditPipeline(editor)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_called_as_pipelines_are(pipe: Step1XEditPipeline, editor: Editor, scene: Image.Image) -> None:
    done = pipe(image=scene, prompt="make it night", num_inference_steps=2, true_cfg_scale=2.0, generator=seeded(1))
    assert isinstance(done, ImagePipelineOutput)
    seed = int(torch.randint(2**63 - 1, (), generator=seeded(1)))
    expected = editor.edit(scene, "make it night", seed=seed, steps=2, guidance=2.0).image
    assert [each.tobytes() for each in done.images] == [expected.tobytes()]
    (alone,) = pipe(scene, "make it night", num_inference_steps=2, guidance_scale=2.0, generator=seeded(1), return_dict=False)
    assert alone[0].tobytes() == expected.tobytes()


def test_results_differ_and_can_be_had_again(pipe: Step1XEditPipeline, scene: Image.Image) -> None:
    def run(**options: Any) -> list[bytes]:
        return [each.tobytes() for each in pipe(scene, "make it night", **options).images]

    three = run(num_images_per_prompt=3, generator=seeded(5))
    assert len(set(three)) == 3 and three == run(num_images_per_prompt=3, generator=seeded(5))
    assert run(num_images_per_prompt=2, generator=[seeded(5), seeded(5)]) == [three[0]] * 2
    going_on = seeded(5)
    assert [run(generator=going_on)[0], run(generator=going_on)[0]] == three[:2]
    torch.manual_seed(5)
    first = run()
    torch.manual_seed(5)
    assert first == run()


def test_several_pictures_and_prompts(pipe: Step1XEditPipeline, scene: Image.Image) -> None:
    small = scene.resize((150, 100))
    images = pipe([scene, small], ["make it night", "add a red ball"], num_images_per_prompt=2, generator=seeded(0)).images
    assert [each.size for each in images] == [(300, 200)] * 2 + [(150, 100)] * 2
    assert len(pipe(scene, ["make it night", "add a red ball"]).images) == 2
    with pytest.raises(UsageError, match="2 pictures and 3 prompts"):
        pipe([scene, small], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prompt": ["make it night", " "]}, "The instruction is empty"),
        ({"mask_image": Image.new("L", (300, 200), 255)}, "make the mask of the picture's size"),
        ({"output_type": "np"}, "different sizes or kinds do not fit into one array"),
        ({"output_type": "pt"}, "different sizes or kinds do not fit into one array"),
    ],
)
def test_what_is_wrong_with_the_last_is_said_before_the_first(
    pipe: Step1XEditPipeline, scene: Image.Image, options: dict[str, Any], sentence: str
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("work was done that is then lost")

    pictures = [scene, scene.resize((150, 100))]
    with pytest.raises(UsageError, match=sentence):
        pipe(pictures, **{"prompt": "make it night", **options}, callback_on_step_end=never)
    grey = scene.convert("L")  # which comes back in colours, as the other does
    assert pipe([scene, grey], "make it night", output_type="np").images.shape == (2, 200, 300, 3)


def test_a_photograph_that_lies_on_its_side_is_edited_upright(pipe: Step1XEditPipeline, scene: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    scene.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    upright = pipe(scene, "make it night", generator=seeded(2)).images[0]
    with Image.open(tmp_path / "phone.png") as phone:
        for given in (phone, [phone]):
            assert pipe(given, "make it night", generator=seeded(2)).images[0].tobytes() == upright.tobytes()


def test_arrays_are_those_of_diffusers(pipe: Step1XEditPipeline, scene: Image.Image) -> None:
    picture = pipe(scene, "make it night", generator=seeded(2)).images[0]
    numbers = pipe(scene, "make it night", generator=seeded(2), output_type="np").images
    assert np.array_equal(numbers, VaeImageProcessor.pil_to_numpy([picture]))
    tensor = pipe(scene, "make it night", generator=seeded(2), output_type="pt").images
    assert torch.equal(tensor, VaeImageProcessor.numpy_to_pt(numbers))
    array = VaeImageProcessor.pil_to_numpy([scene])
    for given in (array, VaeImageProcessor.numpy_to_pt(array), [array[0]], [VaeImageProcessor.numpy_to_pt(array)[0]], [np.asarray(scene)]):
        assert pipe(given, "make it night", generator=seeded(2)).images[0].tobytes() == picture.tobytes()
    assert len(pipe([scene, np.asarray(scene)], "make it night").images) == 2


def test_the_negative_prompt_may_be_none_as_in_diffusers(pipe: Step1XEditPipeline, scene: Image.Image) -> None:
    one, other = (pipe(scene, "make it night", negative_prompt=text, generator=seeded(2)).images[0] for text in (None, ""))
    assert one.tobytes() == other.tobytes()


def test_the_callback_is_told_steps_and_times_and_sees_the_picture(pipe: Step1XEditPipeline, scene: Image.Image) -> None:
    told: list[tuple[int, float]] = []

    def see(given: Step1XEditPipeline, step: int, time: float, asked: dict[str, Any]) -> dict[str, Any]:
        assert given is pipe and asked["image"].size == (72, 48)
        told.append((step, time))
        return asked

    pipe(scene, "make it night", num_inference_steps=4, callback_on_step_end=see, callback_on_step_end_tensor_inputs=["image"])
    assert [step for step, _ in told] == [0, 1, 2, 3] and told[0][1] == 1000
    assert all(before > after > 0 for (_, before), (_, after) in itertools.pairwise(told))
    whole, told = told, []
    pipe(scene, "a", num_inference_steps=4, strength=0.5, callback_on_step_end=see, callback_on_step_end_tensor_inputs=["image"])
    assert told == [(0, whole[2][1]), (1, whole[3][1])]

    class Enough(Exception):
        pass

    def stop(*_: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        pipe(scene, "make it night", callback_on_step_end=stop)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"true_cfg_scale": 2, "guidance_scale": 3}, "two names of one thing"),
        ({"output_type": "latent"}, "pil, np or pt"),
        ({"callback_on_step_end_tensor_inputs": ["latents"]}, "not for latents"),
        ({"num_images_per_prompt": 0}, "at least 1"),
        ({"negative_prompt": ["blurred"]}, "one negative prompt for all pictures"),
        ({"generator": [torch.Generator()] * 2}, "2 generators for 1 results"),
        ({"num_inference_steps": 0}, "Steps must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(pipe: Step1XEditPipeline, scene: Image.Image, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pipe(scene, "make it night", **options)


def test_it_moves_as_if_opened_there(random_mini: Path, scene: Image.Image) -> None:
    moved = Step1XEditPipeline.from_pretrained(random_mini, device="cpu", torch_dtype=torch.float32).to("cpu", torch.bfloat16)
    opened = Step1XEditPipeline.from_pretrained(random_mini, device="cpu", torch_dtype=torch.bfloat16)
    assert (moved.device, moved.dtype) == (torch.device("cpu"), torch.bfloat16)
    one, other = (each(scene, "make it night", generator=seeded(0)).images[0] for each in (moved, opened))
    assert one.tobytes() == other.tobytes()
    with pytest.raises(UsageError, match="choose cpu"):
        moved.to("toaster")
    with pytest.raises(UsageError, match="not for CPUs"):
        moved.to(torch.float16)
    with pytest.raises(WeightsError, match="are not in"):
        Step1XEditPipeline.from_pretrained("no/such/folder", device="cpu")


def test_weights_of_one_byte_edit_but_are_neither_moved_nor_saved(random_mini: Path, scene: Image.Image, tmp_path: Path) -> None:
    pipe = Step1XEditPipeline.from_pretrained(random_mini, device="cpu", torch_dtype=torch.float32, placement=Placement(weights="int8"))
    assert pipe(scene, "make it night", generator=seeded(0)).images[0].size == scene.size
    for refused in (lambda: pipe.to("cpu"), lambda: pipe.save_pretrained(tmp_path / "saved")):
        with pytest.raises(UsageError, match="are narrow or wait"):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_mini_is_the_same_after_saving(pipe: Step1XEditPipeline, scene: Image.Image, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path / "saved")
    again = Step1XEditPipeline.from_pretrained(tmp_path / "saved", device="cpu", torch_dtype=torch.float32)
    one, other = (each(scene, "make it night", generator=seeded(0)).images[0] for each in (pipe, again))
    assert again.editor.preset == pipe.editor.preset and one.tobytes() == other.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_path_to_a_folder_is_that_folder_whatever_its_name(random_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v1.1").symlink_to(random_mini)
    monkeypatch.chdir(tmp_path)
    assert Step1XEditPipeline.from_pretrained(Path("./v1.1"), device="cpu").editor.preset.name == "mini"


def test_saving_takes_nothing_else_away(pipe: Step1XEditPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, place = tmp_path / "photos" / "holiday.jpg", tmp_path / "place"
    photo.parent.mkdir()
    photo.write_bytes(b"mine")
    for folder in (photo.parent, photo):
        with pytest.raises(UsageError, match="holds something else than a saved model, which would be lost"):
            pipe.save_pretrained(folder)
    assert photo.read_bytes() == b"mine" and [path.name for path in tmp_path.rglob("*")] == ["photos", "holiday.jpg"]
    place.mkdir()
    monkeypatch.chdir(place)
    for _ in range(2):  # into a folder that is empty, and over an older save
        pipe.save_pretrained(".")
        assert {path.name for path in place.iterdir()} == {"preset.json", "model.safetensors", "autoencoder.safetensors", "mllm"}
        monkeypatch.chdir(place)


@pytest.mark.parametrize("name", ["v1.0", "v1.2"])
def test_a_released_folder_is_the_same_after_saving(
    build_twin_mllm: Callable[..., MLLM], twin_preset: Callable[..., Preset], scene: Image.Image, tmp_path: Path, name: str
) -> None:
    prefix = "Say what it will be:"
    preset, single = twin_preset(name, prefix), tmp_path / "single"
    torch.manual_seed(1)
    model = Step1XEdit(preset)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    build_twin_mllm(preset, prefix).save(single / "Qwen2.5-VL-7B-Instruct")
    save_file(model.state_dict(), single / (preset.released_file or "model.safetensors"))
    save_file(Autoencoder(preset.autoencoder).state_dict(), single / "vae.safetensors")
    save_preset(single, preset)
    convert(single, tmp_path / "parts", preset, "diffusers")
    pipe = Step1XEditPipeline.from_pretrained(tmp_path / "parts", device="cpu", torch_dtype=torch.float32)
    pipe.save_pretrained(tmp_path / "saved")
    again = Step1XEditPipeline.from_pretrained(tmp_path / "saved", device="cpu", torch_dtype=torch.float32)
    one, other = (each(scene, 'write "Hi"', generator=seeded(3)).images[0] for each in (pipe, again))
    assert again.editor.preset.name == name and one.tobytes() == other.tobytes()
