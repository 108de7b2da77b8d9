"""The editor in the manner of a diffusers pipeline.

    pipe = Step1XEditPipeline.from_pretrained("mini").to("cuda")
    picture = pipe(image=picture, prompt="make it night", generator=torch.Generator().manual_seed(1)).images[0]

Choice: it is no subclass of `DiffusionPipeline`, whose loading and saving know the classes of diffusers and transformers alone, while the
boxes here are this package's own. What a caller sees is the same: arguments, output class, callback, `to`, `save_pretrained`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from PIL import Image, ImageOps
from torch import Tensor

from step1x_edit.closeup import find_shape
from step1x_edit.devices import choose_device, choose_dtype
from step1x_edit.editor import Draw, Editor
from step1x_edit.errors import UsageError
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.image_modes import to_standard
from step1x_edit.image_sizes import fit_form
from step1x_edit.integrations.arrays import check_alike, to_array, to_pictures
from step1x_edit.memory import ALL_ON_DEVICE, Placement
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.weights import (
    AUTOENCODER_FILE,
    MLLM_FOLDER,
    MODEL_FILE,
    PRESET_FILE,
    save_autoencoder,
    save_folder,
    save_model,
)
from step1x_edit.types import EditRequest

Pictures = Image.Image | np.ndarray | Tensor | Sequence[Image.Image | np.ndarray | Tensor]
Callback = Callable[["Step1XEditPipeline", int, float, dict[str, Any]], dict[str, Any] | None]
TRAINING_TIMES = 1000
"""Callbacks are told times from this down to 0, as in diffusers."""
ESTIMATE = "image"
"""What a callback may ask for: the picture as the model sees it now, PIL."""
SAVED = {PRESET_FILE, MODEL_FILE, AUTOENCODER_FILE, MLLM_FOLDER}
"""Names in a saved folder."""


class Step1XEditPipeline:
    """See the head of the file."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        device: str | None = None,
        version: str = "v1.1",
        placement: Placement = ALL_ON_DEVICE,
    ) -> Self:
        """Load a model that is on this machine; nothing is fetched.

        Args:
            model: the name of the embedded model, or a folder: released single files, the diffusers layout, or `save_pretrained`'s. A
                `Path` to a folder is that folder, whatever its name.
            torch_dtype: None takes what suits the device.
            device: None takes the best there is.
            version: which one a folder holds that does not say so itself.
            placement: how it is kept in memory; see memory.py.

        Raises:
            UsageError: an unknown version, device or dtype.
            WeightsError: no such folder, or weights that are missing or damaged.
        """
        dtype = None if torch_dtype is None else _name(torch_dtype)
        if str(model) in PRESETS and not (isinstance(model, Path) and model.is_dir()):
            return cls(Editor.open(str(model), device, dtype, placement=placement))
        return cls(Editor.open(version, device, dtype, Path(model), placement))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as it is now, merged adapters among it; the folder appears when it is whole, and an older save gives way to it.

        Raises:
            UsageError: its weights are narrow, or wait in main memory; or the folder holds anything that is not from here.
            Step1XError: the disk is full or the folder cannot be written.
        """
        editor, target = self._whole(), Path(folder).resolve()
        if target.exists() and (not target.is_dir() or {path.name for path in target.iterdir()} - SAVED):
            raise UsageError(f"{folder} holds something else than a saved model, which would be lost; choose another name.")

        def write(partial: Path) -> None:
            save_model(partial, editor.preset, editor.model.state_dict(), editor.dtype)
            save_autoencoder(partial, editor.autoencoder.state_dict(), editor.dtype)
            editor.mllm.save(partial / MLLM_FOLDER)

        save_folder(target, write)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.editor.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.editor.dtype

    def to(self, *where: str | torch.device | torch.dtype) -> Self:
        """Move to one device, or to a dtype, or both; returns the pipeline itself.

        Raises:
            UsageError: this machine has no such device, or the device does not compute in this dtype; or as for `save_pretrained`.
        """
        editor = self._whole()
        device, dtype, model = editor.device, editor.dtype, editor.model
        for each in where:
            if isinstance(each, torch.dtype):
                dtype = each
            else:
                device = choose_device(str(each))
        choose_dtype(_name(dtype), device)
        if any(not isinstance(each, torch.dtype) for each in where):
            model.work_with((), (device,))
        for copy in model.copies:
            copy.to(dtype)
        model.to(device, dtype)
        editor.autoencoder.to(device, dtype)
        editor.mllm.to(device, dtype)
        editor.device, editor.dtype = device, dtype
        return self

    def __call__(
        self,
        image: Pictures | None = None,
        prompt: str | Sequence[str] = "",
        negative_prompt: str | None = None,
        num_inference_steps: int | None = None,
        true_cfg_scale: float | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        num_images_per_prompt: int = 1,
        mask_image: Image.Image | None = None,
        feather: int = 0,
        zoom: bool = False,
        strength: float = 1.0,
        size: int | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = (),
    ) -> ImagePipelineOutput | tuple[Any]:
        """Edit.

        Args:
            image: one picture or several, PIL, which are turned upright as their EXIF data says, or arrays (numpy [B, H, W, C], torch
                [B, C, H, W], or without B) of bytes or of numbers in 0..1; None makes one from the text.
            prompt: the instruction, for all pictures or one each.
            negative_prompt: what guidance leads away from, of all pictures; None is the empty instruction.
            num_inference_steps: None takes the model's own number.
            true_cfg_scale, guidance_scale: two names of one thing, the weight of the instruction; None takes the model's own.
            generator: seeds are drawn from it, so that one that goes on gives other pictures; or one for each result; None is torch's own.
            num_images_per_prompt: results of each picture, one after another.
            mask_image: white where the edit may be, of the picture's size.
            feather: pixels over which the mask's edge fades, inside it.
            zoom: show the model the mask and its surroundings alone, so that it draws them larger.
            strength: under 1 keeps more of the picture.
            size: side of the square whose area the model works at.
            output_type: pil, np ([B, H, W, C]) or pt ([B, C, H, W]).
            return_dict: else a tuple with the pictures alone.
            callback_on_step_end: called after each step with (pipeline, step from 0, time 1000..0, what it asked for); what it returns is
                not used, what it raises ends the edit and passes on.
            callback_on_step_end_tensor_inputs: what it asks for: nothing, or "image", the present estimate, which costs a decoding.

        Raises:
            UsageError: an argument is out of its range, or two contradict each other.
            Step1XError: too little memory, or the numbers overflowed.
        """
        if true_cfg_scale is not None and guidance_scale is not None and true_cfg_scale != guidance_scale:
            raise UsageError("true_cfg_scale and guidance_scale are two names of one thing; give one of them.")
        if output_type not in ("pil", "np", "pt"):
            raise UsageError(f"The output type is pil, np or pt, not {output_type!r}.")
        if asked := set(callback_on_step_end_tensor_inputs) - {ESTIMATE}:
            raise UsageError(f"A callback may ask for {ESTIMATE} alone, not for {', '.join(sorted(asked))}.")
        if not isinstance(negative_prompt, str | None):
            raise UsageError("There is one negative prompt for all pictures; give it as text.")
        if num_images_per_prompt < 1:
            raise UsageError(f"num_images_per_prompt must be at least 1, not {num_images_per_prompt}.")
        pairs = _pair(_open(image), [prompt] if isinstance(prompt, str) else list(prompt))
        seeds = _draw_seeds(generator, len(pairs) * num_images_per_prompt)
        requests = [
            EditRequest(
                picture,
                text,
                steps=num_inference_steps,
                guidance=true_cfg_scale if guidance_scale is None else guidance_scale,
                size=size,
                negative=negative_prompt or "",
                strength=strength,
                mask=mask_image,
                feather=feather,
                zoom=zoom,
            )
            for picture, text in pairs
        ]
        if output_type != "pil":
            check_alike([to_standard(picture).image for picture, _ in pairs if picture is not None])
        made: list[Image.Image] = []
        for index, request in enumerate(requests):
            own = seeds[index * num_images_per_prompt : (index + 1) * num_images_per_prompt]
            watch = self._watch(callback_on_step_end, ESTIMATE in callback_on_step_end_tensor_inputs, request)
            made += [result.image for result in self.editor.edit_seeds(request, own, preview=watch)]
        images: Any = made if output_type == "pil" else to_array(made)
        if output_type == "pt":
            images = torch.from_numpy(images).permute(0, 3, 1, 2)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _whole(self) -> Editor:
        placement = self.editor.placement
        if (placement.weights, placement.offload) != ("full", "none"):
            raise UsageError("A model whose weights are narrow or wait in main memory cannot be moved or saved; open it without.")
        return self.editor

    def _watch(self, callback: Callback | None, draws: bool, request: EditRequest) -> Callable[[int, int, Draw], None] | None:
        if callback is None:
            return None
        preset = self.editor.preset
        size = request.size or preset.size
        width, height = fit_form(*find_shape(request, size), size, preset.cell, preset.squares).size
        steps = request.steps or preset.steps
        times = schedule(steps, shift_for(width * height // preset.cell**2, preset.schedule_low, preset.schedule_high))

        def watch(done: int, total: int, draw: Draw) -> None:
            asked = {ESTIMATE: draw()} if draws else {}
            callback(self, done - 1, times[steps - total + done - 1] * TRAINING_TIMES, asked)

        return watch


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _open(image: Pictures | None) -> list[Image.Image | None]:
    match image:
        case None:
            return [None]
        case Image.Image():
            return [ImageOps.exif_transpose(image)]
        case Tensor():
            return [*to_pictures(image.movedim(-3, -1) if image.ndim >= 3 else image)]
        case np.ndarray():
            return [*to_pictures(image)]
        case _:
            return [picture for each in image for picture in _open(each)]


def _pair(pictures: list[Image.Image | None], prompts: list[str]) -> list[tuple[Image.Image | None, str]]:
    """One picture for all instructions, one instruction for all pictures, or as many of each."""
    count = max(len(pictures), len(prompts))
    if {len(pictures), len(prompts)} - {1, count} or not pictures or not prompts:
        raise UsageError(f"There are {len(pictures)} pictures and {len(prompts)} prompts; give one for all, or as many of each.")
    return list(zip(pictures * (count // len(pictures)), prompts * (count // len(prompts)), strict=True))


def _draw_seeds(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[int]:
    if isinstance(generator, Sequence) and len(generator) != count:
        raise UsageError(f"There are {len(generator)} generators for {count} results; give one, or one for each.")
    generators = generator if isinstance(generator, Sequence) else [generator] * count
    seeds = (torch.randint(2**63 - 1, (), generator=each, device=None if each is None else each.device) for each in generators)
    return [int(seed) for seed in seeds]
