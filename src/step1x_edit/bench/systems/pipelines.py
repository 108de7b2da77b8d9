"""Edit pipelines of the diffusers library: OmniGen, InstructPix2Pix, FLUX Kontext, Qwen-Image-Edit, and others that take a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from step1x_edit.bench.calls import Passing, Refused
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.systems.system import Edited, Settings, name_folder
from step1x_edit.devices import choose_device
from step1x_edit.errors import Step1XError, UsageError, first_line
from step1x_edit.image_modes import flatten

Arguments = Callable[[Image.Image, str], dict[str, Any]]


def _plain(picture: Image.Image, instruction: str) -> dict[str, Any]:
    return {"prompt": instruction, "image": picture}


def _kontext(picture: Image.Image, instruction: str) -> dict[str, Any]:
    # without a size it answers with a square, whatever the picture's shape
    return {**_plain(picture, instruction), "width": picture.width, "height": picture.height}


def _qwen(picture: Image.Image, instruction: str) -> dict[str, Any]:
    # its guidance is off, whatever the scale, unless there is something to be guided away from
    return {**_plain(picture, instruction), "negative_prompt": " "}


def _omnigen(picture: Image.Image, instruction: str) -> dict[str, Any]:
    return {"prompt": f"<img><|image_1|></img> {instruction}", "input_images": [picture], "use_input_image_size_as_output": True}


PIPELINES: dict[str, Arguments] = {
    "FluxKontextPipeline": _kontext,
    "OmniGenPipeline": _omnigen,
    "QwenImageEditPipeline": _qwen,
    "QwenImageEditPlusPipeline": _qwen,
}
"""Pipelines that want their arguments otherwise than `prompt` and `image`."""

CELL = 16
"""Sides are rounded down to multiples of so many pixels, which every latent grid divides."""


class Pipeline:
    """A pipeline from the hub or a folder, loaded once."""

    concurrency = 1

    def __init__(self, model: str, pipeline: Any, options: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.name = name_folder(model)
        self.pipeline = pipeline
        self.options = dict(options)
        kind = type(pipeline).__name__
        self.arguments = PIPELINES.get(kind, _plain)
        self.facts: Mapping[str, Any] = {"model": model, "pipeline": kind, "options": self.options, **facts}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """One run of the pipeline, at the picture's own size to the next lower multiple of `CELL`."""
        import torch

        width, height = (max(CELL, side // CELL * CELL) for side in picture.size)
        reduced = flatten(picture).resize((width, height), Image.Resampling.LANCZOS)
        generator = torch.Generator("cpu").manual_seed(seed)
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)  # some pipelines draw part of their numbers past the generator
                result = self.pipeline(**{**self.arguments(reduced, case.instruction), "generator": generator, **self.options})
        except torch.OutOfMemoryError as error:
            raise Passing("there was not enough memory") from error
        except AssertionError as error:  # OmniGen's, where an instruction holds its marks for pictures
            raise Refused(f"the pipeline does not take this instruction ({error})") from error
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise UsageError(f"{self.facts['pipeline']} does not take these options ({error}); check --option.") from error
        if any(getattr(result, "nsfw_content_detected", None) or ()):
            raise Refused("the pipeline's safety checker blacked the picture out")
        if not isinstance(made := result.images[0], Image.Image):
            raise UsageError(f"{self.facts['pipeline']} gave no picture of Pillow's; leave out --option output_type.")
        return Edited(made, model=str(self.facts["model"]))


def diffusers(settings: Settings) -> Pipeline:
    """Load a pipeline.

    Raises:
        UsageError: no model is named, or no one device of this machine.
        Step1XError: it cannot be loaded, or is no pipeline that edits.
    """
    if not settings.model:
        raise UsageError("The system diffusers needs a model: diffusers:REPOSITORY or diffusers:FOLDER.")
    try:
        import torch
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise Step1XError("The library diffusers is not installed; install step1x-edit[bench].") from error
    device = str(choose_device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu")))
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    try:
        pipeline = DiffusionPipeline.from_pretrained(settings.model, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, AttributeError, NameError, ImportError) as error:  # the last two where torchvision is missing
        raise Step1XError(f"The pipeline {settings.model} cannot be loaded ({first_line(error)}).") from error
    pipeline.set_progress_bar_config(disable=True)
    return Pipeline(settings.model, pipeline.to(device), settings.options, {"device": device, "dtype": str(dtype).removeprefix("torch.")})
