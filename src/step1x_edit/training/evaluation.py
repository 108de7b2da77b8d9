"""How well the editor does while it is trained: it edits some triplets, and what it draws is compared with what they ask for.

The comparison is at the size of training and of the drawn picture itself, without the step that lays a change over the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.comparison import side_by_side
from step1x_edit.data.triplet import Triplet
from step1x_edit.flow.packing import unpack
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.image_sizes import Form
from step1x_edit.model.records import Embedding
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.training.batches import to_range, to_tensor
from step1x_edit.training.encoding import Encoders, pack_latents

SHOWN = 8
"""At most so many triplets are put into the picture."""


@dataclass(frozen=True)
class Example:
    """A triplet to be edited, with the instruction, how much it is squeezed, and its embedding where it is kept on disk."""

    triplet: Triplet
    instruction: str
    stretch: float
    embedding: Embedding | None

    @classmethod
    def of(cls, triplet: Triplet, form: Form, embedding: Embedding | None = None) -> Example:
        """A triplet given that form, with the English instruction, or the Chinese one where there is no other."""
        return cls(triplet.resized(form.size), triplet.instruction_en or triplet.instruction_zh, form.stretch, embedding)


def evaluate(
    editor: Step1XEdit, encoders: Encoders, examples: Sequence[Example], steps: int | None
) -> tuple[dict[str, float], Image.Image]:
    """Mean peak signal-to-noise ratios in dB, and rows of source, result and target.

    `psnr` compares the whole pictures; `unedited` is the same for the source, which a model has to beat; `inside` and `outside` look at the
    region that the edit is meant for and at the rest, of the triplets that have any.
    """
    scores: dict[str, list[float]] = {"psnr": [], "unedited": [], "inside": [], "outside": []}
    rows = []
    for number, example in enumerate(examples):
        triplet = example.triplet
        drawn = _edit(editor, encoders, example, steps, number)
        scores["psnr"].append(psnr(drawn, triplet.target))
        scores["unedited"].append(psnr(triplet.source, triplet.target))
        for name, place in (("inside", triplet.region), ("outside", ~triplet.region)):
            if place.any():
                scores[name].append(psnr(drawn[place], triplet.target[place]))
        if number < SHOWN:
            rows.append(side_by_side([Image.fromarray(p) for p in (triplet.source, drawn, triplet.target)], example.instruction))
    return {name: float(np.mean(values)) for name, values in scores.items() if values}, _stack(rows)


def psnr(picture: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit colours in dB; at most 99, for equal ones."""
    error = float(np.mean(np.square(picture.astype(np.float64) - other)))
    return 99.0 if error == 0 else min(99.0, 10 * np.log10(255**2 / error))


def _edit(editor: Step1XEdit, encoders: Encoders, example: Example, steps: int | None, seed: int) -> np.ndarray:
    preset, device = encoders.preset, encoders.device
    source = to_tensor([example.triplet.source]).to(device)
    embedding = example.embedding or encoders.mllm.encode([Image.fromarray(example.triplet.source)], [example.instruction])
    embedding = embedding.to(device)
    latent = encoders.autoencoder.encode(to_range(source)).float()
    reference, grid = pack_latents(latent, preset, torch.tensor([example.stretch]))
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(seed)).to(device)
    times = schedule(steps or preset.steps, shift_for(grid.tokens, preset.schedule_low, preset.schedule_high))

    def velocity(noisy: Tensor, t: Tensor) -> Tensor:
        # Choice: without guidance, which would take twice as long; the numbers are for comparison with one another
        return editor(noisy, reference, embedding, t, grid).float()

    made = sample(velocity, noise, times)
    decoded = encoders.autoencoder.decode(unpack(made, grid.rows, grid.columns, preset.patch))[0].float()
    return (((decoded + 1) / 2).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _stack(rows: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), (255, 255, 255))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet
