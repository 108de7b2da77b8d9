"""SAM-2 through a twin: boxes and pictures reach the model as its own library would give them, and masks come back in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.sam2 import Sam2
from step1x_edit.data.triplet import Pixels

Photo = Callable[[str, int], Pixels]


@pytest.fixture(scope="module")
def tool(twin: Callable[[str], Path]) -> Sam2:
    return Sam2.open(ToolChoice("sam2", str(twin("sam2")), device="cpu"))


def test_a_picture_of_the_models_size_gets_the_models_own_mask(tool: Sam2, photo: Photo) -> None:
    picture, box = photo("astronaut", 64), Box(12, 8, 50, 60)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    values = ((torch.from_numpy(picture.copy()) / 255 - mean) / spread).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = tool.model(pixel_values=values, input_boxes=torch.tensor([[[12.0, 8, 50, 60]]]), multimask_output=False).pred_masks
    wanted = torch.nn.functional.interpolate(logits[0], (64, 64), mode="bilinear")[0, 0].numpy() > 0
    inside = np.zeros((64, 64), np.bool_)
    inside[3:65, 7:55] = True
    mask = tool.segment(picture, box)
    assert mask.dtype == np.bool_
    assert 0 < mask.sum() < mask.size
    assert np.array_equal(mask, wanted & inside)


def test_the_mask_has_the_pictures_shape_and_depends_on_the_box(tool: Sam2, photo: Photo) -> None:
    picture = np.ascontiguousarray(photo("astronaut", 120)[:90])
    masks = [tool.segment(picture, box) for box in (Box(0, 0, 120, 90), Box(10, 10, 60, 60), Box(10, 10, 60, 60))]
    assert all(mask.shape == (90, 120) for mask in masks)
    assert np.array_equal(masks[1], masks[2])
    assert not np.array_equal(masks[0], masks[1])
    assert not masks[1][66:].any()
    assert not tool.segment(picture, Box(10, 10, 10, 40)).any()


def test_a_box_stays_exact_where_the_model_computes_in_half(twin: Callable[[str], Path], photo: Photo) -> None:
    tool = Sam2.open(ToolChoice("sam2", str(twin("sam2")), device="cpu", dtype="bfloat16"))
    given: list[torch.Tensor] = []
    tool.model.prompt_encoder.register_forward_pre_hook(lambda module, args, named: given.append(named["input_boxes"]), with_kwargs=True)
    tool.segment(photo("astronaut", 200), Box(101, 7, 199, 183))
    assert given[0][0, 0].tolist() == pytest.approx([101 * 0.32, 7 * 0.32, 199 * 0.32, 183 * 0.32], abs=1e-4)


def test_the_card_says_which_weights_these_are(tool: Sam2, twin: Callable[[str], Path]) -> None:
    parameters = tool.card.parameters
    assert parameters["model"] == str(twin("sam2"))
    assert len(parameters["sha256"]) == 64
    assert (parameters["device"], parameters["dtype"]) == ("cpu", "float32")
    assert "transformers" in tool.card.version
