"""The picture at both ends of an edit: as the model is shown it, and with what the model drew laid over it (step 7 of editor.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.alignment import realign
from step1x_edit.closeup import Box, find_closeup, soften
from step1x_edit.errors import Step1XError
from step1x_edit.image_io import resize
from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.image_sizes import Form, fit_form, fit_size
from step1x_edit.model.presets import Preset
from step1x_edit.transfer import transfer
from step1x_edit.types import EditRequest, EditResult

SHORT_OF_MEMORY = "There is not enough memory for this edit; choose a smaller size or another device."
OF_THE_CPU = ("DefaultCPUAllocator", "Cannot allocate memory")
"""What PyTorch's errors say where the memory is that of the CPU: for numbers, and for files that are mapped."""
TOO_LONG = "The instruction is longer than {} reads, and its end was left out; say it shorter."
NO_WEAKER = "A strength of {:g} makes no difference, because with so few steps ({}) none is left out; give more steps."
TOO_LARGE = "There is not enough memory to load this model; step1x models plan lists ways that need less, and --vram GIB takes one."


def count_steps(request: EditRequest) -> int:
    """How many of a request's steps are taken: at less than full strength the last ones, at least one."""
    assert request.steps is not None
    return max(1, round(request.steps * request.strength))


def note(request: EditRequest, cut: bool, model: str) -> tuple[str, ...]:
    """What there is to say of a request before it is drawn, a sentence each: its instruction is cut, its strength does nothing."""
    assert request.steps is not None
    long = (TOO_LONG.format(model),) if cut else ()
    if request.strength == 1 or count_steps(request) < request.steps:
        return long
    return (*long, NO_WEAKER.format(request.strength, request.steps))


class Clock:
    """Wall-clock seconds by step of the work, after those of the steps before."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self._last = time.perf_counter()
        self._seconds = dict(seconds or {})

    def lap(self, step: str) -> None:
        """What passed since the last lap was this step."""
        now = time.perf_counter()
        self._seconds[step] = now - self._last
        self._last = now

    def read(self) -> dict[str, float]:
        """The laps so far."""
        return dict(self._seconds)


@dataclass(frozen=True)
class Sheet:
    """The pictures of one request.

    Attributes:
        whole: the picture to edit, RGB or RGBA, 8 bits; None from text alone.
        box: what of it is worked at.
        original: that part, or the whole.
        opaque: the same without transparency, RGB.
        reduced: what the model is shown: this one and the references, at the size that it works at, RGB.
        forms: theirs; from text alone, that of the picture to be drawn.
        natural: width and height of a drawn picture in the proportions of the original.
    """

    whole: Image.Image | None
    box: Box | None
    original: Image.Image | None
    opaque: Image.Image | None
    reduced: tuple[Image.Image, ...]
    forms: tuple[Form, ...]
    natural: tuple[int, int]

    @classmethod
    def of(cls, request: EditRequest, size: int, preset: Preset) -> Sheet:
        """Read a request for a model that works at `size`, as for `fit_form`."""
        whole, box = None if request.image is None else to_standard(request.image).image, find_closeup(request, size)
        original = whole if whole is None or box is None else whole.crop(box)
        opaque = None if original is None else flatten(original)
        pictures = [*([] if opaque is None else [opaque]), *(flatten(to_standard(each).image) for each in request.references)]
        shape = request.shape or (1, 1) if original is None else original.size
        forms = tuple(fit_form(*each, size, preset.cell, preset.squares) for each in [picture.size for picture in pictures] or [shape])
        reduced = tuple(resize(picture, form.size) for picture, form in zip(pictures, forms, strict=False))
        return cls(whole, box, original, opaque, reduced, forms, fit_size(*shape, size, preset.cell))

    def reduce(self, picture: Image.Image) -> Image.Image:
        """Another picture of the whole one's size, as the model is shown it."""
        standard = to_standard(picture).image
        part = standard if self.box is None else standard.crop(self.box)
        return resize(flatten(part), self.forms[0].size)

    def draw(self, colours: Tensor) -> Image.Image:
        """What the model drew, [3, h, w] in 0..1, as a picture: RGB, no longer squeezed where it was."""
        return resize(to_picture(colours), self.natural)

    def show(self, colours: Tensor) -> Image.Image:
        """The same to look at: in its place, where the model sees less than the whole picture."""
        drawn = self.draw(colours)
        if self.whole is None or self.box is None:
            return drawn
        scale = (drawn.width * drawn.height / (self.whole.width * self.whole.height)) ** 0.5
        shown = resize(flatten(self.whole), (max(1, round(self.whole.width * scale)), max(1, round(self.whole.height * scale))))
        left, top, right, bottom = (round(side * scale) for side in self.box)
        shown.paste(resize(drawn, (max(1, right - left), max(1, bottom - top))), (left, top))
        return shown

    def put_back(self, edited: Image.Image) -> Image.Image:
        """The whole picture with an edited one in the place of its original, whose mode it has."""
        if self.whole is None or self.box is None:
            return edited
        picture = self.whole.copy()
        picture.paste(edited, self.box[:2])
        return picture


@dataclass(frozen=True)
class Drawing:
    """What the model drew for one request, before it is laid over the original.

    Attributes:
        request: with every None replaced by the value that was used.
        sheet: its pictures.
        drawn: float [3, h, w] in 0..1, on the CPU.
        baseline: what the model makes of the unedited picture, of the same shape; None from text alone.
        model: name of the model.
        seconds: how long the steps so far took.
        made_with: see `Editor.made_with`.
        notes: what there is to say so far, see `EditResult`.
    """

    request: EditRequest
    sheet: Sheet
    drawn: Tensor
    baseline: Tensor | None
    model: str
    seconds: dict[str, float]
    made_with: dict[str, str]
    notes: tuple[str, ...] = ()

    def finish(self) -> EditResult:
        """The change laid over the original, at its own size, within the mask where there is one."""
        clock, sheet, request = Clock(self.seconds), self.sheet, self.request
        edited = raw = sheet.draw(self.drawn)
        if sheet.original is not None and sheet.opaque is not None and self.baseline is not None:
            drawn = realign(self.drawn, self.baseline)
            mask = None if request.mask is None else soften(request.mask, request.feather)
            part = mask if mask is None or sheet.box is None else mask.crop(sheet.box)
            rows = None if part is None else _find_rows(part)
            full = transfer(np.asarray(sheet.opaque), to_colours(sheet.reduced[0]), self.baseline, drawn, rows)
            edited = sheet.put_back(_lay_over(sheet.original, sheet.opaque, full, part))
        elif request.shape is not None:
            edited = resize(raw, request.shape)
        clock.lap("transfer")
        return EditResult(edited, raw, request, self.model, clock.read(), self.made_with, notes=self.notes)


@contextmanager
def explain_failures(dtype: torch.dtype | None = None, memory: str = SHORT_OF_MEMORY) -> Iterator[None]:
    """Failures of the device in words, `memory` for one that is short of it; any other exception is a bug and passes."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Step1XError(memory) from error
    except FloatingPointError as error:
        name = str(dtype).removeprefix("torch.")
        raise Step1XError(f"The numbers overflowed in {name}; choose float32 as dtype, or a lower guidance.") from error
    except RuntimeError as error:
        if not any(words in str(error) for words in OF_THE_CPU):
            raise
        raise Step1XError(memory) from error


def to_colours(image: Image.Image) -> Tensor:
    """RGB picture -> [3, h, w] in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def to_picture(colours: Tensor) -> Image.Image:
    """[3, h, w] in 0..1 -> RGB picture."""
    return Image.fromarray((colours * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _find_rows(mask: Image.Image) -> range:
    """The rows of a grey mask that are not all black."""
    _, top, _, bottom = mask.getbbox() or (0, 0, 0, 0)
    return range(top, bottom)


def _lay_over(original: Image.Image, opaque: Image.Image, edited: np.ndarray, mask: Image.Image | None) -> Image.Image:
    """The edited colours under the original's alpha, and outside the mask the original.

    The model saw transparent parts on white. What it changed is added to the original's own colours, except where nothing is visible.
    """
    if original.mode == "RGBA":
        pixels = np.array(original)
        change = edited.astype(np.int16) - np.asarray(opaque)
        change *= pixels[..., 3:] > 0
        pixels[..., :3] = np.clip(pixels[..., :3] + change, 0, 255)
        laid = Image.fromarray(pixels)
    else:
        laid = Image.fromarray(edited)
    return laid if mask is None else Image.composite(laid, original, mask)
