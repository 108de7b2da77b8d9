"""Pipelines of the diffusers library, loaded from folders as they are published, on tiny random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bench_pipelines import save_pipeline, without_torchvision
from PIL import Image
from transformers import BatchFeature

from step1x_edit.bench.calls import Refused
from step1x_edit.bench.systems import Settings, System, open_system
from step1x_edit.errors import Step1XError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:diffusers", "ignore::DeprecationWarning")

SIZES = {"InstructPix2Pix": (96, 64), "Kontext": (96, 64), "OmniGen": (96, 64)}
"""What a picture of 100 x 70 pixels comes back as."""

KONTEXT = {"max_area": 96 * 64, "_auto_resize": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with without_torchvision():
        yield tmp_path_factory.mktemp("pipelines")


def open_pipeline(kind: str, folder: Path, **options: object) -> System:
    chosen = {"num_inference_steps": 2, **(KONTEXT if kind == "Kontext" else {}), **options}
    return open_system(f"diffusers:{save_pipeline(kind, folder)}", Settings(device="cpu", options=chosen))


def edit(system: System, picture: Image.Image, text: str = "make it red", seed: int = 1) -> np.ndarray:
    return np.asarray(system.edit(SimpleNamespace(instruction=text), picture, seed).image)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SIZES)
def test_picture_and_instruction_reach_the_pipeline(kind: str, folder: Path, draw_scene) -> None:
    system = open_pipeline(kind, folder)
    assert system.name == kind
    picture = draw_scene(100, 70)
    result = edit(system, picture)
    assert result.shape[1::-1] == SIZES[kind]
    assert np.array_equal(result, edit(system, picture))
    assert not np.array_equal(result, edit(system, picture, seed=2))
    assert not np.array_equal(result, edit(system, picture, text="a completely different wish"))
    assert not np.array_equal(result, edit(system, picture.transpose(Image.Transpose.ROTATE_180)))


def test_qwen_is_guided_and_keeps_the_shape(folder: Path, draw_scene) -> None:
    system = open_pipeline("QwenImageEdit", folder, num_inference_steps=1)
    result = edit(system, draw_scene(100, 50))
    height, width = result.shape[:2]
    assert abs(width / height - 2) < 0.1  # it works at a million pixels, whatever the picture's size
    assert system.arguments(draw_scene(16, 16), "x")["negative_prompt"] == " "  # type: ignore[attr-defined]


def test_a_picture_that_the_safety_checker_blacked_out_is_a_refusal(folder: Path, scene: Image.Image) -> None:
    system = open_pipeline("InstructPix2Pix", folder)
    system.pipeline.safety_checker = lambda images, clip_input: (images * 0, [True])  # type: ignore[attr-defined]
    system.pipeline.feature_extractor = lambda images, return_tensors: BatchFeature({"pixel_values": torch.zeros(1)})  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="blacked"):
        edit(system, scene)


def test_a_wrong_option_is_one_sentence(folder: Path, scene: Image.Image) -> None:
    with pytest.raises(UsageError, match=r"does not take these options .*check --option"):
        edit(open_pipeline("Kontext", folder, colour="red"), scene)


def test_values_that_the_pipeline_refuses_are_one_sentence(folder: Path, scene: Image.Image) -> None:
    with pytest.raises(UsageError, match=r"does not take these options .*max_sequence_length"):
        edit(open_pipeline("Kontext", folder, max_sequence_length=9999), scene)
    with pytest.raises(UsageError, match="does not take these options"):
        edit(open_pipeline("InstructPix2Pix", folder, num_inference_steps=0), scene)
    with pytest.raises(UsageError, match="leave out --option output_type"):
        edit(open_pipeline("InstructPix2Pix", folder, output_type="np"), scene)


def test_an_instruction_with_the_marks_of_omnigen_is_a_refusal(folder: Path, scene: Image.Image) -> None:
    with pytest.raises(Refused, match="does not take this instruction"):
        edit(open_pipeline("OmniGen", folder), scene, "like <img><|image_2|></img>")


def test_what_is_no_pipeline_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline", "_diffusers_version": "0.42.1"}')
    with pytest.raises(Step1XError, match="cannot be loaded") as raised:
        open_system(f"diffusers:{tmp_path}", Settings(device="cpu"))
    assert "\n" not in str(raised.value)


def test_a_device_that_is_not_there_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    for names in ("toaster", "cuda:99", "cuda:0,cuda:1"):
        with pytest.raises(UsageError, match=names):
            open_system(f"diffusers:{tmp_path}", Settings(device=names))
