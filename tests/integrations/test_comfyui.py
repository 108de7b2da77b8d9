"""The nodes as ComfyUI reads and calls them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from comfyui_protocol import check_node, run_node
from PIL import Image
from safetensors.torch import save_file

from step1x_edit import Editor
from step1x_edit.errors import UsageError
from step1x_edit.integrations import comfyui
from step1x_edit.integrations.arrays import to_array, to_pictures
from step1x_edit.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, Step1XEditLoader, Step1XEditNode
from step1x_edit.memory import Placement


@pytest.fixture
def batch(scene: Image.Image) -> torch.Tensor:
    return torch.from_numpy(to_array([scene, scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]))


def test_the_nodes_keep_the_protocol() -> None:
    assert set(NODE_DISPLAY_NAME_MAPPINGS) == set(NODE_CLASS_MAPPINGS)
    for node in NODE_CLASS_MAPPINGS.values():
        check_node(node)
    assert Step1XEditLoader.RETURN_TYPES[0] == Step1XEditNode.INPUT_TYPES()["required"]["model"][0]


@pytest.mark.parametrize(("name", "value"), [("RETURN_TYPES", ["IMAGE"]), ("CATEGORY", ""), ("FUNCTION", "check")])
def test_the_checker_finds_what_is_wrong(name: str, value: object) -> None:
    broken = type("Broken", (Step1XEditNode,), {name: value, "check": lambda self, image: None})
    with pytest.raises(AssertionError):
        check_node(broken)


def test_a_loaded_model_edits_each_picture_as_the_editor_does(random_mini: Path, batch: torch.Tensor) -> None:
    (model,) = run_node(Step1XEditLoader, {"folder": f" {random_mini}\n"})
    assert isinstance(model, Editor)
    (images,) = run_node(Step1XEditNode, {"model": model, "image": batch, "seed": 4, "steps": 2})
    assert images.dtype == torch.float32 and images.shape == batch.shape and images.min() >= 0 and images.max() <= 1
    expected = [model.edit(each, "make it night", seed=4, steps=2).image.tobytes() for each in to_pictures(batch)]
    assert [each.tobytes() for each in to_pictures(images)] == expected


def test_a_model_is_loaded_in_little_memory_and_with_an_adapter(random_mini: Path, batch: torch.Tensor, tmp_path: Path) -> None:
    key = "lora_unet_double_blocks_0_img_attn_qkv"
    save_file({f"{key}.lora_down.weight": torch.ones(2, 192), f"{key}.lora_up.weight": torch.ones(576, 2)}, tmp_path / "warm.safetensors")
    asked = {"folder": str(random_mini), "weights_dtype": "int4", "offload": "blocks", "lora": f"{tmp_path}/warm.safetensors\n"}
    (model,) = run_node(Step1XEditLoader, {**asked, "lora_strength": 0.5})
    assert model.placement == Placement("int4", "blocks")
    assert model.made_with["lora"] == "warm.safetensors:0.5" and model.made_with["weights_dtype"] == "int4"
    (images,) = run_node(Step1XEditNode, {"model": model, "image": batch, "steps": 1})
    assert images.shape == batch.shape


@pytest.mark.parametrize("shape", [(200, 300), (1, 200, 300), (2, 200, 300), (1, 100, 150)])
def test_outside_the_mask_nothing_changes(editor: Editor, batch: torch.Tensor, shape: tuple[int, ...]) -> None:
    mask = torch.zeros(shape)
    mask[..., : shape[-1] // 2] = 1
    (images,) = run_node(Step1XEditNode, {"model": editor, "image": batch, "mask": mask, "zoom": True, "feather": 4})
    assert torch.equal(images[:, :, 160:], batch[:, :, 160:]) and not torch.equal(images[:, :, :140], batch[:, :, :140])


def test_what_does_not_fit_is_one_sentence(editor: Editor, batch: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="3 masks for 2 pictures"):
        run_node(Step1XEditNode, {"model": editor, "image": batch, "mask": torch.ones(3, 200, 300)})
    with pytest.raises(UsageError, match="There is no mask to zoom in on"):
        run_node(Step1XEditNode, {"model": editor, "image": batch, "zoom": True})
    with pytest.raises(UsageError, match="The instruction is empty"):
        run_node(Step1XEditNode, {"model": editor, "image": batch, "instruction": ""})


def test_comfyuis_bar_moves_and_its_cancel_ends_the_edit(editor: Editor, batch: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three names of ComfyUI that the node calls, in modules of their place."""
    told: list[tuple[int, int]] = []
    cancelled = False

    class Cancelled(Exception):
        pass

    class ProgressBar:
        def __init__(self, total: int) -> None: ...

        def update_absolute(self, value: int, total: int | None = None) -> None:
            assert total is not None
            told.append((value, total))

    def throw_exception_if_processing_interrupted() -> None:
        if cancelled:
            raise Cancelled

    package, utils, management = (ModuleType(name) for name in ("comfy", "comfy.utils", "comfy.model_management"))
    utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
    management.throw_exception_if_processing_interrupted = throw_exception_if_processing_interrupted  # type: ignore[attr-defined]
    for module in (package, utils, management):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    run_node(Step1XEditNode, {"model": editor, "image": batch, "steps": 2})
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    cancelled = True
    with pytest.raises(Cancelled):
        run_node(Step1XEditNode, {"model": editor, "image": batch})


def test_the_defaults_are_the_models_own(editor: Editor, scene: Image.Image) -> None:
    (images,) = run_node(Step1XEditNode, {"model": editor, "image": torch.from_numpy(to_array([scene]))})
    assert np.array_equal(np.asarray(to_pictures(images)[0]), np.asarray(editor.edit(scene, "make it night").image))
    assert comfyui.MOST_SEED == 2**63 - 1
