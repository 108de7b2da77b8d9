"""The one door to editing, for the command line, the server, the benchmark and the study: a picture and an instruction in, a picture out.

    editor = Editor.open("mini")
    result = editor.edit(image, "make it night", seed=1)

`Editor.edit_seeds` is the method of the paper as seven numbered steps, each a call of the box of the figure that does the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.alignment import realign
from step1x_edit.devices import choose_device, choose_dtype
from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.flow.objective import interpolate
from step1x_edit.flow.packing import pack, unpack
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.image_io import fit_size, resize
from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.lora import Attached, merge_adapters, read_adapter
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import MLLM_FOLDERS, find_mllm, load_autoencoder, load_preset, load_step1x_edit
from step1x_edit.transfer import transfer
from step1x_edit.types import EditRequest, EditResult

Progress = Callable[[int, int], None]
"""(sampling steps done, sampling steps in all)."""

Preview = Callable[[int, int, Callable[[], Image.Image]], None]
"""(sampling steps done, sampling steps in all, draws the picture as the model sees it now, at the size it works at, RGB).

Drawing costs a decoding, so it is left to the caller. An exception that it raises ends the edit and passes on.
"""

WEIGHTS = Path(__file__).parent / "weights"
"""Where the embedded model lies, in the installed package too."""


class Editor:
    """The loaded boxes of the figure; see `open`."""

    def __init__(
        self, preset: Preset, mllm: MLLM, autoencoder: Autoencoder, model: Step1XEdit, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.preset = preset
        self.mllm = mllm
        self.autoencoder = autoencoder
        self.model = model
        self.device = device
        self.dtype = dtype
        self._attached: Attached | None = None

    @classmethod
    def open(cls, model: str = "mini", device: str | None = None, dtype: str | None = None, folder: Path | None = None) -> Editor:
        """Load a model.

        Args:
            model: one of `PRESETS`.
            device: cpu, cuda, cuda:N or mps; None takes the best that is there.
            dtype: float32, bfloat16 or float16; None takes what suits the device.
            folder: where its weights are, a preset of their own among them; None takes those that come with the package.

        Raises:
            UsageError: unknown model, or a device or dtype that this machine does not have.
            WeightsError: weights are missing, damaged, or belong to another model.
        """
        if model not in PRESETS:
            raise UsageError(f"There is no model {model!r}; choose one of {', '.join(PRESETS)}.")
        folder = folder or WEIGHTS / model
        if not folder.is_dir():
            raise WeightsError(
                f"The weights of {model} are not in {folder}; step1x models pull fetches them, or give the folder they are in."
            )
        preset, place = load_preset(folder, PRESETS[model]), choose_device(device)
        number = choose_dtype(dtype, place)
        found = find_mllm(folder)
        if found is None:
            raise WeightsError(
                f"{folder} holds no MLLM: there is none of {', '.join(MLLM_FOLDERS)}; download it, or choose another folder."
            )
        return cls(
            preset,
            MLLM.open(found[0], preset, place, number, found[1]),
            load_autoencoder(folder, preset, number, place),
            load_step1x_edit(folder, preset, number, place),
            place,
            number,
        )

    def use_adapters(self, adapters: Sequence[tuple[Path, float]], merge: bool = True) -> None:
        """Put low-rank adapters on the model, each with a weight; those that were kept apart before are taken off.

        Args:
            adapters: files in kohya's or peft's naming, and how strongly each acts.
            merge: add them to the weights for good, which costs nothing afterwards; else keep them beside.

        Raises:
            WeightsError: an adapter is damaged or belongs to another model.
        """
        found = [(read_adapter(path, self.model), weight) for path, weight in adapters]
        if self._attached is not None:
            self._attached.remove()
            self._attached = None
        if merge:
            merge_adapters(self.model, found)
        else:
            self._attached = Attached(self.model, found)

    def edit(
        self,
        image: Image.Image,
        instruction: str,
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> EditResult:
        """Edit one picture once; the arguments are those of `EditRequest`, and `progress` is called after each sampling step.

        Raises:
            UsageError: an argument is out of its range.
            Step1XError: the device has too little memory, or the numbers overflowed.
        """
        request = EditRequest(image, instruction, seed=seed, steps=steps, guidance=guidance, size=size)
        return next(self.edit_seeds(request, [seed], progress))

    def edit_seeds(
        self, request: EditRequest, seeds: Sequence[int], progress: Progress | None = None, preview: Preview | None = None
    ) -> Iterator[EditResult]:
        """One result a seed, as they are done; picture and instruction are read once. The request's own seed does not count.

        After each sampling step `progress` and `preview` are called.

        Raises:
            UsageError: the model does not do what is asked: it makes no pictures from text alone, or takes fewer references.
            Step1XError: as for `edit`.
        """
        preset = self.preset
        if request.image is None and not preset.text_to_image:
            able = ", ".join(name for name, row in PRESETS.items() if row.text_to_image)
            raise UsageError(f"{preset.name} makes no pictures from text alone; choose one of {able}, or give a picture.")
        if len(request.references) + 1 > preset.references:
            raise UsageError(f"{preset.name} takes {preset.references} picture{'s' * (preset.references > 1)} in one request.")
        request = replace(
            request,
            steps=preset.steps if request.steps is None else request.steps,
            guidance=preset.guidance if request.guidance is None else request.guidance,
            size=preset.size if request.size is None else request.size,
            guidance_limit=_first(request.guidance_limit, preset.guidance_limit, 1.0),
        )
        requests = [replace(request, seed=seed) for seed in seeds]
        with _explain_failures(self.dtype), torch.inference_mode():
            yield from self._edit(requests, progress, preview)

    def edit_turns(self, request: EditRequest, instructions: Sequence[str], progress: Progress | None = None) -> Iterator[EditResult]:
        """One result an instruction, each an edit of the one before it; the request's own instruction does not count."""
        for instruction in instructions:
            request = replace(request, instruction=instruction)
            result = next(self.edit_seeds(request, [request.seed], progress))
            yield result
            request = replace(request, image=result.image, shape=None)

    def _edit(
        self, requests: Sequence[EditRequest], progress: Progress | None = None, preview: Preview | None = None
    ) -> Iterator[EditResult]:
        preset, first, clock = self.preset, requests[0], _Clock()
        assert first.steps is not None and first.guidance is not None and first.size is not None and first.guidance_limit is not None

        # 1. The pictures: 8-bit RGB, at the area that the model works at. From text alone, the MLLM is shown a black one.
        original = None if first.image is None else to_standard(first.image).image
        opaque = None if original is None else flatten(original)
        sources = [flatten(to_standard(each).image) for each in first.references]
        reduced = [self._reduce(each, first.size) for each in ([opaque, *sources] if opaque else sources)]
        width, height = reduced[0].size if reduced else fit_size(*(first.shape or (1, 1)), first.size, preset.cell)
        grid = Grid(height // preset.cell, width // preset.cell)
        shown = reduced or [Image.new("RGB", (first.size, first.size))]
        clock.lap("picture")

        # 2. The MLLM reads pictures and instruction; beside it the empty instruction, where guidance compares the two.
        instructions = [first.instruction] if first.guidance == 1.0 else [first.instruction, first.negative]
        messages = [shown if len(shown) > 1 else shown[0]] * len(instructions)
        embedding = self.mllm.encode(messages, instructions).to(self.device, self.dtype)
        clock.lap("mllm")

        # 3. The autoencoder encodes the pictures: the references. What it makes of the first one unedited is the baseline of step 7.
        latents = [self.autoencoder.encode(self._to_range(each)) for each in reduced]
        baseline = self._to_colours(self.autoencoder.decode(latents[0])) if latents else None
        tokens = [pack(each, preset.patch) for each in latents]
        grids = [Grid(each.height // preset.cell, each.width // preset.cell) for each in reduced]
        clock.lap("autoencoder")

        times = schedule(first.steps, shift_for(grid.tokens, preset.schedule_low, preset.schedule_high))
        times = times[first.steps - max(1, round(first.steps * first.strength)) :]
        for request in requests:
            # 4. Noise, from the seed alone: drawn on the CPU, so that it is the same for every device. At less than full strength, the
            #    way begins at the picture with as much noise as belongs there.
            generator = torch.Generator().manual_seed(request.seed)
            noise = torch.randn((1, grid.tokens, preset.dit.in_channels), generator=generator).to(self.device)
            if times[0] < 1:
                noise = interpolate(tokens[0].float(), noise, torch.tensor(times[:1], device=self.device))

            # 5. From noise to the edited latent, along the velocity that connector and DiT predict.
            latent = sample(
                self._velocity(torch.cat(tokens, dim=1) if tokens else None, embedding, grid, grids),
                noise,
                times,
                guidance=first.guidance,
                limit_above=first.guidance_limit,
                observe=partial(self._report, progress, preview, grid),
            )
            clock.lap("sampling")

            # 6. The autoencoder decodes it.
            drawn = self._draw(latent, grid)
            raw = _picture(drawn)
            clock.lap("decoding")

            # 7. The change is laid over the original, at its own size, within the mask where there is one.
            edited = raw
            if original is not None and opaque is not None and baseline is not None:
                full = transfer(np.asarray(opaque), _colours(reduced[0]), baseline, realign(drawn, baseline))
                edited = _lay_over(original, opaque, full, request.mask)
            elif first.shape is not None:
                edited = resize(raw, first.shape)
            clock.lap("transfer")
            yield EditResult(edited, raw, request, preset.name, clock.read())

    def _report(self, progress: Progress | None, preview: Preview | None, grid: Grid, done: int, total: int, latent: Tensor) -> None:
        if progress is not None:
            progress(done, total)
        if preview is not None:
            preview(done, total, lambda: _picture(self._draw(latent, grid)))

    def _draw(self, latent: Tensor, grid: Grid) -> Tensor:
        """Latent tokens [1, N, D] -> colours [3, h, w] in 0..1."""
        return self._to_colours(self.autoencoder.decode(unpack(latent.to(self.dtype), grid.rows, grid.columns, self.preset.patch)))

    def _reduce(self, image: Image.Image, size: int) -> Image.Image:
        return resize(image, fit_size(*image.size, size, self.preset.cell))

    def _velocity(
        self, references: Tensor | None, embedding: Embedding, grid: Grid, grids: Sequence[Grid]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        prepared = self.model.prepare(embedding, grid, references is not None, grids or None)

        def velocity(noisy: Tensor, t: Tensor) -> Tensor:
            beside = None if references is None else references.expand(len(noisy), -1, -1)
            return self.model.predict(noisy.to(self.dtype), beside, t, prepared).float()

        return velocity

    def _to_range(self, image: Image.Image) -> Tensor:
        """[1, 3, h, w] in -1..1, as the autoencoder takes it."""
        return (_colours(image) * 2 - 1).unsqueeze(0).to(self.device, self.dtype)

    def _to_colours(self, decoded: Tensor) -> Tensor:
        """[3, h, w] in 0..1 on the CPU, from what the autoencoder gives."""
        return ((decoded[0].float() + 1) / 2).clamp(0, 1).cpu()


class _Clock:
    """Wall-clock seconds by step of the work."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """What passed since the last lap was this step."""
        now = time.perf_counter()
        self._seconds[step] = now - self._last
        self._last = now

    def read(self) -> dict[str, float]:
        return dict(self._seconds)


@contextmanager
def _explain_failures(dtype: torch.dtype) -> Iterator[None]:
    """Failures of the device in words; any other exception is a bug and passes."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Step1XError("There is not enough memory for this edit; choose a smaller size or another device.") from error
    except FloatingPointError as error:
        name = str(dtype).removeprefix("torch.")
        raise Step1XError(f"The numbers overflowed in {name}; choose float32 as dtype, or a lower guidance.") from error


def _colours(image: Image.Image) -> Tensor:
    """RGB picture -> [3, h, w] in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _picture(colours: Tensor) -> Image.Image:
    """[3, h, w] in 0..1 -> RGB picture."""
    return Image.fromarray((colours * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _lay_over(original: Image.Image, opaque: Image.Image, edited: np.ndarray, mask: Image.Image | None) -> Image.Image:
    """The edited colours under the original's alpha, and outside the mask the original.

    The model saw transparent parts on white. What it changed is added to the original's own colours, except where nothing is visible.
    """
    change = edited.astype(np.int16) - np.asarray(opaque)
    if mask is not None:
        share = np.asarray(mask.convert("L"), dtype=np.float32)[..., None] / 255
        change = np.rint(change * share).astype(np.int16)
    pixels = np.array(original)
    if original.mode == "RGBA":
        change *= pixels[..., 3:] > 0
    pixels[..., :3] = np.clip(pixels[..., :3] + change, 0, 255)
    return Image.fromarray(pixels)


def _first(*values: float | None) -> float:
    """The first of them that is given."""
    return next(value for value in values if value is not None)
