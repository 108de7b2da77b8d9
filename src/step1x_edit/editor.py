"""The one door to editing, for the command line, the server, the benchmark and the study: a picture and an instruction in, a picture out.

    editor = Editor.open("mini")
    result = editor.edit(image, "make it night", seed=1)

`Editor._read`, `Editor._draw` and `Drawing.finish` are the method of the paper as seven numbered steps, each a call of the box of the
figure that does the work, for one request or for several of one kind at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from step1x_edit.closeup import find_shape
from step1x_edit.devices import choose_devices, choose_dtype
from step1x_edit.drawing import TOO_LARGE, Clock, Drawing, Sheet, count_steps, explain_failures, note, to_colours
from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.flow.objective import interpolate
from step1x_edit.flow.packing import pack, unpack
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.image_sizes import Form, fit_form
from step1x_edit.memory import ALL_ON_DEVICE, Placement, arrange, load_model
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.caching import Shortcuts, write_number
from step1x_edit.model.fingerprint import fingerprint
from step1x_edit.model.lora import Attached, merge_adapters, read_adapter
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.offload import Waiting
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import MLLM_FOLDERS, find_mllm, load_autoencoder, load_preset
from step1x_edit.refinement import NOWHERE, find_region
from step1x_edit.types import EditRequest, EditResult

Progress = Callable[[int, int], None]
"""(sampling steps done, sampling steps in all)."""


class Draw(Protocol):
    """Draws a picture as the model sees it now, at the size it works at, RGB."""

    def __call__(self, index: int = 0) -> Image.Image:
        """Of a batch, the request of that index. Costs a decoding."""


Preview = Callable[[int, int, Draw], None]
"""(sampling steps done, sampling steps in all, draws). An exception that it raises ends the edit and passes on."""

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
        self.weights = ""
        self.shortcuts = Shortcuts()
        self._merged: list[str] = []
        self._apart: list[str] = []
        self._attached: list[Attached] = []
        self.placement = ALL_ON_DEVICE
        self._waiting = Waiting(device)

    @classmethod
    @explain_failures(memory=TOO_LARGE)
    def open(
        cls,
        model: str = "mini",
        device: str | None = None,
        dtype: str | None = None,
        folder: Path | str | None = None,
        placement: Placement = ALL_ON_DEVICE,
    ) -> Editor:
        """Load a model.

        Args:
            model: one of `PRESETS`.
            device: cpu, cuda, cuda:N or mps, or several, as cuda:0,cuda:1, which share the DiT's work; None takes the best that is there.
            dtype: float32, bfloat16 or float16; None takes what suits the device.
            folder: where its weights are, a preset of their own among them; None takes those that come with the package.
            placement: how it is kept in memory; see memory.py.

        Raises:
            UsageError: unknown model, or a device or dtype that this machine does not have.
            WeightsError: weights are missing, damaged, or belong to another model.
            Step1XError: the device has too little memory.
        """
        if model not in PRESETS:
            raise UsageError(f"There is no model {model!r}; choose one of {', '.join(PRESETS)}.")
        remedy = "give the folder they are in" if folder else f"step1x models pull {model} fetches them: give the folder that it prints"
        folder = Path(folder or WEIGHTS / model)
        if not folder.is_dir():
            raise WeightsError(f"The weights of {model} are not in {folder}; {remedy}.")
        preset, devices = load_preset(folder, PRESETS[model]), placement.check(choose_devices(device))
        place, number = devices[0], choose_dtype(dtype, devices[0])
        if (found := find_mllm(folder)) is None:
            raise WeightsError(
                f"{folder} holds no MLLM: there is none of {', '.join(MLLM_FOLDERS)}; download it, or choose another folder."
            )
        mllm = MLLM.open(found[0], preset, torch.device("cpu") if placement.loads_elsewhere else place, number, found[1])
        placement.store(mllm.model)  # before the next part is loaded, so that they are never both wide
        autoencoder = load_autoencoder(folder, preset, number, place)
        editor = cls(preset, mllm, autoencoder, load_model(placement, folder, preset, number, devices), place, number)
        editor.weights = fingerprint(folder, preset)
        editor.placement, editor._waiting = placement, arrange(placement, mllm, autoencoder, editor.model, place)
        return editor

    def use_adapters(self, adapters: Sequence[tuple[Path, float]], merge: bool = True) -> None:
        """Put low-rank adapters on the model, each with a weight; those that were kept apart before are taken off.

        Args:
            adapters: files in kohya's or peft's naming, and how strongly each acts.
            merge: add them to the weights for good, which costs nothing afterwards; else keep them beside, as is always done where
                the weights are narrow.

        Raises:
            WeightsError: an adapter is damaged or belongs to another model.
        """
        found = [(read_adapter(path, self.model), weight) for path, weight in adapters]
        for attached in self._attached:
            attached.remove()
        self._attached, self._apart = [], []
        names = [f"{path.name}:{write_number(weight)}" for path, weight in adapters]
        self._waiting.send_back()
        models = self.model, *self.model.copies
        if merge and self.placement.weights == "full":
            for model in models:
                merge_adapters(model, found)
            self._merged += names
        else:
            self._attached, self._apart = [Attached(model, found) for model in models], names

    @property
    def made_with(self) -> dict[str, str]:
        """What a result depends on besides the request: the weights, by their fingerprint, which is left out where they have none; and,
        written as on the command line, weights_dtype, where it is not full, cache, guided, and lora, one adapter a line."""
        ways = {**self.placement.write(), **self.shortcuts.write(), "lora": "\n".join([*self._merged, *self._apart])}
        return {name: value for name, value in {"weights": self.weights, **ways}.items() if value}

    def edit(
        self,
        image: Image.Image,
        instruction: str,
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        size: int | None = None,
        mask: Image.Image | None = None,
        feather: int = 0,
        zoom: bool = False,
        progress: Progress | None = None,
    ) -> EditResult:
        """Edit one picture once, with what is used most of `EditRequest`; `edit_seeds` takes all. `progress` is called after each step.

        Raises:
            UsageError: an argument is out of its range.
            Step1XError: the device has too little memory, or the numbers overflowed.
        """
        request = EditRequest(image, instruction, seed, steps, guidance, size, mask=mask, feather=feather, zoom=zoom)
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
        request = self._complete(request)
        with self._at_work():
            read = self._read([request])
        for seed in seeds:
            with self._at_work():
                (drawing,) = self._draw(read, [replace(request, seed=seed)], progress, preview)
                result = self._refine(drawing.finish(), progress, preview)
            yield result  # outside of any mode of PyTorch's, which would hold for the caller's own code too

    def edit_batch(
        self, requests: Sequence[EditRequest], progress: Progress | None = None, preview: Preview | None = None
    ) -> list[EditResult]:
        """One result a request, all in one pass through the model: pictures, instructions, seeds and masks may differ.

        The results are those of one at a time, but for rounding; `seconds` are the whole batch's.

        Raises:
            UsageError: the requests are not of one kind, see `kind`; or as for `edit_seeds`.
            Step1XError: as for `edit`.
        """
        with explain_failures(self.dtype):
            drawings = self.draw_batch(requests, progress, preview)
            return [self._refine(drawing.finish(), progress, None) for drawing in drawings]

    def draw_batch(
        self, requests: Sequence[EditRequest], progress: Progress | None = None, preview: Preview | None = None
    ) -> list[Drawing]:
        """`edit_batch` up to where the model has done its part, refining aside; `Drawing.finish` may then be called from any thread."""
        requests = [self._complete(request) for request in requests]
        if len({self.kind(request) for request in requests}) > 1:
            raise UsageError("Requests of one batch must be alike in size, pictures, steps, guidance, its limit, strength and start.")
        with self._at_work():
            return self._draw(self._read(requests), requests, progress, preview) if requests else []

    def kind(self, request: EditRequest) -> Hashable:
        """Equal for requests that may be in one batch."""
        request = self._complete(request)
        assert request.size is not None
        sizes = [find_shape(request, request.size), *(each.size for each in request.references)]
        drawn = tuple(fit_form(*each, request.size, self.preset.cell, self.preset.squares).size for each in sizes)
        way = request.steps, request.guidance, request.guidance_limit, request.strength, request.start is None
        return request.image is None, drawn, request.size, *way

    def edit_turns(self, request: EditRequest, instructions: Sequence[str], progress: Progress | None = None) -> Iterator[EditResult]:
        """One result an instruction, each an edit of the one before it; the request's own instruction does not count."""
        for instruction in instructions:
            request = replace(request, instruction=instruction)
            result = next(self.edit_seeds(request, [request.seed], progress))
            yield result
            request = replace(request, image=result.image, start=None, shape=None)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Without gradients, and with failures of the device in words."""
        with explain_failures(self.dtype), torch.inference_mode():
            yield

    def _refine(self, first: EditResult, progress: Progress | None, preview: Preview | None) -> EditResult:
        """The result after its second pass, where it is to have one; a note says where it has none all the same."""
        strength = first.request.refine
        if strength is None:
            return first
        region = find_region(first)
        if region is None:
            return replace(first, notes=(*first.notes, NOWHERE))
        closer = region.cut(first.request, first, strength)
        return region.put_back(first, next(self.edit_seeds(closer, [closer.seed], progress, preview)))

    def _complete(self, request: EditRequest) -> EditRequest:
        """The request with the model's own values where it has none, if this model can do it."""
        preset = self.preset
        if request.image is None and not preset.text_to_image:
            able = ", ".join(name for name, row in PRESETS.items() if row.text_to_image)
            raise UsageError(f"{preset.name} makes no pictures from text alone; choose one of {able}, or give a picture.")
        if len(request.references) + 1 > preset.references:
            raise UsageError(f"{preset.name} takes {preset.references} picture{'s' * (preset.references > 1)} in one request.")
        return replace(
            request,
            steps=preset.steps if request.steps is None else request.steps,
            guidance=preset.guidance if request.guidance is None else request.guidance,
            size=preset.size if request.size is None else request.size,
            guidance_limit=next(limit for limit in (request.guidance_limit, preset.guidance_limit, 1.0) if limit is not None),
        )

    def _read(self, requests: Sequence[EditRequest]) -> _Read:
        """Steps 1 to 3, which do not depend on the seed; requests of one kind."""
        preset, first, clock = self.preset, requests[0], Clock()
        assert first.guidance is not None and first.size is not None

        # 1. The pictures: 8-bit RGB, at the area that the model works at. From text alone, the MLLM is shown a black one.
        sheets = [Sheet.of(request, first.size, preset) for request in requests]
        grids = [self._grid(forms, 1 if first.guidance == 1.0 else 2) for forms in zip(*(sheet.forms for sheet in sheets), strict=True)]
        clock.lap("picture")

        # 2. The MLLM reads pictures and instruction; beside it the empty instruction, where guidance compares the two.
        black = (Image.new("RGB", (first.size, first.size)),)
        shown = [sheet.reduced or black for sheet in sheets]
        instructions = [request.instruction for request in requests]
        if first.guidance != 1.0:
            shown, instructions = shown * 2, instructions + [request.negative for request in requests]
        prepared = self.mllm.prepare(shown, instructions)
        notes = [note(request, cut, preset.name) for request, cut in zip(requests, self.mllm.is_cut(prepared), strict=False)]
        embedding = self.mllm.embed(prepared).to(self.device, self.dtype)
        clock.lap("mllm")

        # 3. The autoencoder encodes the pictures: the references. What it makes of the first one unedited is the baseline of step 7.
        self._waiting.send_back()
        columns = zip(*(sheet.reduced for sheet in sheets), strict=True)
        latents = [self.autoencoder.encode(torch.stack([self._to_range(each) for each in column])) for column in columns]
        baselines = self._to_colours(self.autoencoder.decode(latents[0])) if latents else None
        tokens = torch.cat([pack(each, preset.patch) for each in latents], dim=1) if latents else None
        starts = [sheet.reduce(each.start) for sheet, each in zip(sheets, requests, strict=True) if each.start is not None]
        if starts and first.strength < 1:
            begin: Tensor | None = pack(self.autoencoder.encode(torch.stack([self._to_range(each) for each in starts])), preset.patch)
        else:
            begin = None if tokens is None else tokens[:, : grids[0].tokens]
        clock.lap("autoencoder")
        return _Read(sheets, grids, embedding, tokens, begin, baselines, notes, clock.read())

    def _grid(self, forms: Sequence[Form], times: int) -> Grid:
        """The grid of the pictures of a batch that stands in the model's so many times."""
        rows, columns = forms[0].height // self.preset.cell, forms[0].width // self.preset.cell
        return Grid(rows, columns, torch.tensor([form.stretch for form in forms] * times) if self.preset.squares else None)

    def _draw(self, read: _Read, requests: Sequence[EditRequest], progress: Progress | None, preview: Preview | None) -> list[Drawing]:
        """Steps 4 to 6 for the requests that were read; step 7 is the drawings' own."""
        preset, first, clock, grid = self.preset, requests[0], Clock(read.seconds), read.grids[0]
        assert first.steps is not None and first.guidance is not None

        # 4. Noise, from the seed alone: drawn on the CPU, so that it is the same for every device. At less than full strength, the way
        #    begins at the picture with as much noise as belongs there.
        times = schedule(first.steps, shift_for(grid.tokens, preset.schedule_low, preset.schedule_high))
        times = times[first.steps - count_steps(first) :]
        shape, seeds = (grid.tokens, preset.dit.in_channels), (int(each.seed) for each in requests)
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]).to(self.device)
        if times[0] < 1 and read.begin is not None:
            noise = interpolate(read.begin.float(), noise, torch.full((len(noise),), times[0], device=self.device))

        # 5. From noise to the edited latent, along the velocity that connector and DiT predict.
        def observe(done: int, total: int, estimate: Tensor) -> None:
            if progress is not None:
                progress(done, total)
            if preview is not None:
                preview(done, total, lambda index=0: read.sheets[index].show(self._decode(estimate[index : index + 1], grid)[0]))

        latent = sample(
            self._velocity(read, times),
            noise,
            times,
            guidance=first.guidance,
            limit_above=first.guidance_limit,
            guided=self.shortcuts.guided,
            observe=observe,
        )
        clock.lap("sampling")

        # 6. The autoencoder decodes it.
        self._waiting.send_back()
        drawn = self._decode(latent, grid)
        clock.lap("decoding")

        # 7. The change is laid over the original, at its own size, within the mask where there is one: see `Drawing.finish`.
        baselines = [None] * len(drawn) if read.baselines is None else read.baselines
        rows = zip(requests, read.sheets, drawn, baselines, read.notes, strict=True)
        facts = preset.name, clock.read(), self.made_with
        return [Drawing(request, sheet, picture, baseline, *facts, notes) for request, sheet, picture, baseline, notes in rows]

    def _velocity(self, read: _Read, times: Sequence[float]) -> Callable[[Tensor, Tensor], Tensor]:
        """The velocity at these times, asked for one after the other."""
        caches = self.shortcuts.new_caches(len(times) - 1, len(read.sheets))
        prepared = self.model.prepare(read.embedding, read.grids[0], read.tokens is not None, read.grids)
        signals = self.model.signals(times[:-1], prepared.still.vector_BV)

        def velocity(noisy: Tensor, t: Tensor) -> Tensor:
            beside = None if read.tokens is None else read.tokens.repeat(len(noisy) // len(read.tokens), 1, 1)
            return self.model.predict_each(noisy.to(self.dtype), beside, t, prepared, caches, next(signals)).float()

        return velocity

    def _decode(self, latent: Tensor, grid: Grid) -> Tensor:
        """Latent tokens [B, N, D] -> colours [B, 3, h, w] in 0..1, on the CPU."""
        return self._to_colours(self.autoencoder.decode(unpack(latent.to(self.dtype), grid.rows, grid.columns, self.preset.patch)))

    def _to_range(self, image: Image.Image) -> Tensor:
        """[3, h, w] in -1..1, as the autoencoder takes it."""
        return (to_colours(image) * 2 - 1).to(self.device, self.dtype)

    @staticmethod
    def _to_colours(decoded: Tensor) -> Tensor:
        """[B, 3, h, w] in 0..1 on the CPU, from what the autoencoder gives."""
        return ((decoded.float() + 1) / 2).clamp(0, 1).cpu()


@dataclass(frozen=True)
class _Read:
    """Steps 1 to 3 for a batch: pictures, their grids of tokens, what the MLLM says (with guidance, then of the negative instructions),
    reference tokens [B, M, C], tokens that less than full strength begins from [B, N, C], pictures as the autoencoder gives them back
    unedited [B, 3, h, w], and what there is to note; None where there are none."""

    sheets: Sequence[Sheet]
    grids: Sequence[Grid]
    embedding: Embedding
    tokens: Tensor | None
    begin: Tensor | None
    baselines: Tensor | None
    notes: Sequence[tuple[str, ...]]
    seconds: dict[str, float]
