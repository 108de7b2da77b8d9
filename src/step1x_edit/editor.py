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
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.devices import choose_device, choose_dtype
from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.flow.packing import pack, unpack
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.image_io import fit_size, resize
from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import MLLM_FOLDER, load_autoencoder, load_preset, load_step1x_edit
from step1x_edit.transfer import transfer
from step1x_edit.types import EditRequest, EditResult

Progress = Callable[[int, int], None]
"""(sampling steps done, sampling steps in all)."""

WEIGHTS = Path(__file__).parent / "weights"
"""Where the embedded model lies, in the installed package too."""


RELEASED_MLLM_FOLDER = "Qwen2.5-VL-7B-Instruct"


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
            raise WeightsError(f"The weights of {model} are not in {folder}; give the folder that they were downloaded to.")
        preset, place = load_preset(folder, PRESETS[model]), choose_device(device)
        number = choose_dtype(dtype, place)
        return cls(
            preset,
            MLLM.open(_find_mllm(folder), preset, place, number),
            load_autoencoder(folder, preset, number, place),
            load_step1x_edit(folder, preset, number, place),
            place,
            number,
        )

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

    def edit_seeds(self, request: EditRequest, seeds: Sequence[int], progress: Progress | None = None) -> Iterator[EditResult]:
        """One result a seed, as they are done; picture and instruction are read once. The request's own seed does not count."""
        request = replace(
            request,
            steps=self.preset.steps if request.steps is None else request.steps,
            guidance=self.preset.guidance if request.guidance is None else request.guidance,
            size=self.preset.size if request.size is None else request.size,
        )
        requests = [replace(request, seed=seed) for seed in seeds]
        with _explain_failures(self.dtype), torch.inference_mode():
            yield from self._edit(requests, progress)

    def _edit(self, requests: Sequence[EditRequest], progress: Progress | None) -> Iterator[EditResult]:
        preset, first, clock = self.preset, requests[0], _Clock()
        assert first.steps is not None and first.guidance is not None and first.size is not None

        # 1. The picture: 8-bit RGB, at the area that the model works at.
        original = to_standard(first.image).image
        opaque = flatten(original)
        reduced = resize(opaque, fit_size(*opaque.size, first.size, preset.cell))
        grid = Grid(reduced.height // preset.cell, reduced.width // preset.cell)
        clock.lap("picture")

        # 2. The MLLM reads picture and instruction; beside it the empty instruction, where guidance compares the two.
        instructions = [first.instruction] if first.guidance == 1.0 else [first.instruction, ""]
        embedding = self.mllm.encode([reduced] * len(instructions), instructions).to(self.device, self.dtype)
        clock.lap("mllm")

        # 3. The autoencoder encodes the picture: the reference. What it makes of it unedited is the baseline of step 7.
        reference_latent = self.autoencoder.encode(self._to_range(reduced))
        baseline = self._to_colours(self.autoencoder.decode(reference_latent))
        reference = pack(reference_latent, preset.patch)
        clock.lap("autoencoder")

        for request in requests:
            # 4. Noise, from the seed alone: drawn on the CPU, so that it is the same for every device.
            generator = torch.Generator().manual_seed(request.seed)
            noise = torch.randn(reference.shape, generator=generator).to(self.device)

            # 5. From noise to the edited latent, along the velocity that connector and DiT predict.
            latent = sample(
                self._velocity(reference, embedding, grid),
                noise,
                schedule(first.steps, shift_for(grid.tokens, preset.schedule_low, preset.schedule_high)),
                guidance=first.guidance,
                limit_above=preset.guidance_limit,
                progress=progress,
            )
            clock.lap("sampling")

            # 6. The autoencoder decodes it.
            drawn = self._to_colours(self.autoencoder.decode(unpack(latent.to(self.dtype), grid.rows, grid.columns, preset.patch)))
            clock.lap("decoding")

            # 7. The change is laid over the original, at its own size.
            edited = _lay_over(original, opaque, transfer(np.asarray(opaque), _colours(reduced), baseline, drawn))
            raw = Image.fromarray((drawn * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
            clock.lap("transfer")
            yield EditResult(edited, raw, request, preset.name, clock.read())

    def _velocity(self, reference: Tensor, embedding: Embedding, grid: Grid) -> Callable[[Tensor, Tensor], Tensor]:
        def velocity(noisy: Tensor, t: Tensor) -> Tensor:
            references = reference.expand(len(noisy), -1, -1)
            return self.model(noisy.to(self.dtype), references, embedding, t, grid).float()

        return velocity

    def _to_range(self, image: Image.Image) -> Tensor:
        """[1, 3, h, w] in -1..1, as the autoencoder takes it."""
        return (_colours(image) * 2 - 1).unsqueeze(0).to(self.device, self.dtype)

    def _to_colours(self, decoded: Tensor) -> Tensor:
        """[3, h, w] in 0..1 on the CPU, from what the autoencoder gives."""
        return ((decoded[0].float() + 1) / 2).clamp(0, 1).cpu()


def _find_mllm(folder: Path) -> Path:
    released = folder / RELEASED_MLLM_FOLDER
    return released if released.is_dir() else folder / MLLM_FOLDER


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


def _lay_over(original: Image.Image, opaque: Image.Image, edited: np.ndarray) -> Image.Image:
    """The edited colours under the original's alpha.

    The model saw transparent parts on white. What it changed is added to the original's own colours, except where nothing is visible.
    """
    if original.mode == "RGB":
        return Image.fromarray(edited)
    pixels = np.array(original)
    change = edited.astype(np.int16) - np.asarray(opaque)
    visible = pixels[..., 3:] > 0
    pixels[..., :3] = np.clip(pixels[..., :3] + change * visible, 0, 255)
    return Image.fromarray(pixels)
