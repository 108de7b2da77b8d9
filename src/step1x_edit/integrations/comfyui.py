"""Nodes for ComfyUI: one loads a model, one edits pictures with it.

ComfyUI finds them through a folder below its `custom_nodes` whose `__init__.py` reads

    from step1x_edit.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

Pictures are float tensors [B, H, W, C] in 0..1, masks [B, H, W] or [H, W] with 1 where the edit may be. The names in capitals, and the
shape of what they hold, are ComfyUI's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import torch
from PIL import Image
from torch import Tensor

from step1x_edit.editor import Editor, Progress
from step1x_edit.errors import UsageError
from step1x_edit.image_io import resize
from step1x_edit.integrations.arrays import to_array, to_pictures
from step1x_edit.memory import Offload, Placement
from step1x_edit.model.narrow import WeightsType
from step1x_edit.model.presets import PRESETS
from step1x_edit.types import WIDEST_FEATHER, EditRequest

CATEGORY = "Step1X-Edit"
MODEL = "STEP1X_EDIT_MODEL"
MOST_SEED = 2**63 - 1


class Step1XEditLoader:
    """Loads a model that is on this machine."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Load a Step1X-Edit model. Leave the folder empty for the embedded one; fetch others with: step1x models pull."
    FUNCTION = "load"
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:
        """What the node takes."""
        return {
            "required": {
                "model": (sorted(PRESETS), {"default": "mini", "tooltip": "Which version the folder holds."}),
                "folder": ("STRING", {"default": "", "tooltip": "Where its weights are; empty for the embedded model."}),
            },
            "optional": {
                "weights_dtype": (list(get_args(WeightsType)), {"default": "full", "tooltip": "Narrower weights take less memory."}),
                "offload": (list(get_args(Offload)), {"default": "none", "tooltip": "What waits in main memory until it is used."}),
                "split": ("BOOLEAN", {"default": False, "tooltip": "Compute the two sides of guidance one after the other."}),
                "strips": ("BOOLEAN", {"default": False, "tooltip": "Run the autoencoder some rows at a time."}),
                "lora": ("STRING", {"default": "", "tooltip": "File of an adapter; empty for none."}),
                "lora_strength": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05}),
            },
        }

    def load(
        self,
        model: str,
        folder: str,
        weights_dtype: WeightsType = "full",
        offload: Offload = "none",
        split: bool = False,
        strips: bool = False,
        lora: str = "",
        lora_strength: float = 1.0,
    ) -> tuple[Editor]:
        """The loaded editor, kept in memory as `Placement` says; raises as `Editor.open` and `Editor.use_adapters` do."""
        place, adapter = folder.strip(), lora.strip()  # pasted with a newline, often
        editor = Editor.open(model, folder=Path(place) if place else None, placement=Placement(weights_dtype, offload, strips, split))
        if adapter:
            editor.use_adapters([(Path(adapter), lora_strength)])
        return (editor,)


class Step1XEditNode:
    """Edits each picture of a batch by one instruction."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Edit pictures by an instruction, in English or Chinese. With a mask, all outside it stays as it is."
    FUNCTION = "edit"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS: ClassVar[tuple[str, ...]] = ("The edited pictures, of the size of those given.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:
        """What the node takes."""
        own = "0 takes the model's own."
        return {
            "required": {
                "model": (MODEL,),
                "image": ("IMAGE",),
                "instruction": ("STRING", {"multiline": True, "default": "make it night"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": MOST_SEED, "control_after_generate": True}),
                "steps": ("INT", {"default": 0, "min": 0, "max": 1000, "tooltip": f"Sampling steps; {own}"}),
                "guidance": ("FLOAT", {"default": -1.0, "min": -1.0, "max": 100.0, "step": 0.1, "tooltip": "-1 takes the model's own."}),
                "size": ("INT", {"default": 0, "min": 0, "max": 4096, "step": 16, "tooltip": f"Side of the area it works at; {own}"}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 1.0, "step": 0.01}),
            },
            "optional": {
                "mask": ("MASK",),
                "feather": ("INT", {"default": 0, "min": 0, "max": WIDEST_FEATHER, "tooltip": "Pixels over which the mask's edge fades."}),
                "zoom": ("BOOLEAN", {"default": False, "tooltip": "Show the model the mask's surroundings alone, so drawn larger."}),
                "negative": ("STRING", {"multiline": True, "default": ""}),
            },
        }

    def edit(
        self,
        model: Editor,
        image: Tensor,
        instruction: str,
        seed: int,
        steps: int,
        guidance: float,
        size: int,
        strength: float,
        mask: Tensor | None = None,
        feather: int = 0,
        zoom: bool = False,
        negative: str = "",
    ) -> tuple[Tensor]:
        """The edited batch [B, H, W, C]; raises as `Editor.edit_seeds` does."""
        pictures = to_pictures(image)
        masks = _masks(mask, pictures)
        request = EditRequest(
            pictures[0],
            instruction,
            steps=steps or None,
            guidance=None if guidance < 0 else guidance,
            size=size or None,
            strength=strength,
            negative=negative,
        )
        made: list[Image.Image] = []
        for index, (picture, region) in enumerate(zip(pictures, masks, strict=True)):
            one = replace(request, image=picture, mask=region, feather=feather, zoom=zoom)
            made += [result.image for result in model.edit_seeds(one, [seed], _progress(index, len(pictures)))]
        return (torch.from_numpy(to_array(made)),)


def _masks(mask: Tensor | None, pictures: Sequence[Image.Image]) -> list[Image.Image | None]:
    """A mask for each picture, at its size; one mask may serve all."""
    if mask is None:
        return [None] * len(pictures)
    masks = to_pictures((mask[None] if mask.ndim == 2 else mask).unsqueeze(-1))
    if len(masks) not in (1, len(pictures)):
        raise UsageError(f"There are {len(masks)} masks for {len(pictures)} pictures; give one, or one for each.")
    shared = masks * (len(pictures) // len(masks))
    return [resize(each, picture.size) for each, picture in zip(shared, pictures, strict=True)]


def _progress(index: int, count: int) -> Progress | None:
    """Moves ComfyUI's bar, and ends the edit when its user cancels; None outside of ComfyUI."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:
        return None
    bar = ProgressBar(count)

    def advance(done: int, total: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(index * total + done, count * total)

    return advance


NODE_CLASS_MAPPINGS: dict[str, type] = {"Step1XEditLoader": Step1XEditLoader, "Step1XEdit": Step1XEditNode}
NODE_DISPLAY_NAME_MAPPINGS = {"Step1XEditLoader": "Load Step1X-Edit", "Step1XEdit": "Edit by instruction (Step1X-Edit)"}
