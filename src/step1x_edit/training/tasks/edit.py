"""Train the editor as the paper does: connector and DiT together, by the velocity loss alone; MLLM and autoencoder stay as they are.

Or, where the recipe has an adapter, low-rank matrices beside both, which stay as they are too.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from step1x_edit.data.triplet import Triplet
from step1x_edit.flow.objective import draw_times, flow_loss, interpolate, weigh_by_change
from step1x_edit.image_sizes import Form, fit_form
from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.mllm import find_prefix
from step1x_edit.model.presets import PREFIX_FILE
from step1x_edit.model.tensors import write_whole
from step1x_edit.model.weights import AUTOENCODER_FILE, MLLM_FOLDER, save_folder, save_model
from step1x_edit.training import adapters
from step1x_edit.training.batches import Streams, draw_forms, instruction_of, to_device, to_tensor
from step1x_edit.training.counting import count_step
from step1x_edit.training.encoding import Cache, Encoded, Encoders, Pictures, Rounds, collate, pack_latents
from step1x_edit.training.evaluation import Example, evaluate
from step1x_edit.training.portions import Portion, first_use
from step1x_edit.training.processes import Processes
from step1x_edit.training.recipe import Recipe, Stage
from step1x_edit.training.sharding import is_sharded
from step1x_edit.training.starting import build_editor, check_start, choose_preset, fill_editor
from step1x_edit.training.stored import Item, Stored
from step1x_edit.training.trainer import Task


@dataclass(frozen=True)
class Again:
    """Triplets that are used several times: the portion that used them first, and if that is this one, what they hold."""

    first: Portion
    made: Pictures | Encoded | None


@dataclass(frozen=True)
class Batch:
    """What a portion learns from, and how many times as wide as high a token's place is in each of its B triplets; see `records.Grid`."""

    content: Pictures | Encoded | Again
    stretch_B: Tensor


class EditTask(Task):
    """See `trainer.Task`."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        preset = choose_preset(recipe)
        check_start(recipe, preset)
        self.recipe, self.preset, self.device = recipe, preset, device
        self.times = recipe.timesteps.suited_to(preset.prediction)
        evaluation = recipe.evaluation
        self.streams = Streams(recipe.data, recipe.stages) if recipe.data.photos else None
        kept_out = evaluation.count if evaluation.every and evaluation.heldout else 0
        self.stored = None if self.streams else Stored(recipe.data, kept_out, preset.squares)
        self.encoders = Encoders(recipe, preset, device)
        self.cache = Cache(recipe.data.cache, self.encoders) if recipe.data.cache else None
        self.rounds = Rounds()
        self.editor = build_editor(recipe, preset, recipe.dtype(device))
        self.model: nn.Module = self.editor
        self.blocks: Sequence[nn.Module] = blocks_of(self.editor)
        self.sharded = is_sharded(recipe, self.editor)
        self._flops: dict[int, int] = {}  # by the step that a stage ends with
        self._examples: list[Example] | None = None

    def prepare(self, processes: Processes) -> None:
        """Compute what is cached and let go of the MLLM and the autoencoder; or load them. Says which triplets are used too often."""
        if self.stored is not None and processes.first:
            overused = [each for stage in self.recipe.stages for each in self.stored.find_overused(stage, self.preset.cell)]
            print("".join(f"{each}\n" for each in dict.fromkeys(overused)), end="", file=sys.stderr, flush=True)
        if self.cache is None or self.stored is None:
            _ = self.encoders.mllm, self.encoders.autoencoder
            return
        stages = {(s.size, tuple(s.aspects or ())): s for s in self.recipe.stages}.values()
        items = [*self.stored.items, *self._evaluated_items()]
        cell, stored = self.preset.cell, self.stored
        wanted = [(item, f.size) for stage in stages for item, f in zip(items, stored.forms(stage, cell, items), strict=True)]
        self.cache.compute(wanted, processes)
        self.encoders.drop()

    def fill(self) -> None:
        """From the start that the recipe names, or from chance."""
        fill_editor(self.editor, self.recipe, self.preset)

    def batch(self, portion: Portion) -> Batch:
        """What is learned from, read from the disk or made on the way; the share `dropout` of the instructions is empty."""
        if portion.stage.repeats == 1:
            return Batch(*self._draw(portion))
        first = first_use(portion)
        made = self._draw(portion)[0] if first is portion else None
        return Batch(Again(first, made), _stretch(self._forms(first)))

    def _draw(self, portion: Portion) -> tuple[Pictures | Encoded, Tensor]:
        """A portion's triplets, and how much each is squeezed."""
        dropped = [random.Random(f"{self.recipe.seed}/drop/{n}").random() < self.recipe.dropout for n in portion.samples]
        if self.streams is not None:
            forms = self._forms(portion)
            triplets = self.streams.triplets(portion.stage, portion.samples, forms)
            return self._prepare(triplets, portion, dropped, self.recipe.data.limit), _stretch(forms)
        assert self.stored is not None
        form, items = self.stored.plan(portion, self.preset.cell)
        stretch = _stretch([form] * len(items))
        if self.cache is not None:
            return self._read_cached(self.cache, items, form, portion, dropped), stretch
        triplets = [item.read().resized(form.size) for item in items]
        for item, triplet in zip(items, triplets, strict=True):
            with item.named():
                self.encoders.mllm.check([triplet.instruction_en, triplet.instruction_zh])
        return self._prepare(triplets, portion, dropped), stretch

    def _prepare(self, triplets: Sequence[Triplet], portion: Portion, dropped: Sequence[bool], limit: int | None = None) -> Pictures:
        """Pictures, and the MLLM's message of each with its instruction, or an empty one."""
        asked = zip(triplets, portion.samples, dropped, strict=True)
        instructions = ["" if drop else instruction_of(triplet, number, limit) for triplet, number, drop in asked]
        message = self.encoders.mllm.prepare([Image.fromarray(t.source) for t in triplets], instructions)
        return Pictures(to_tensor([t.source for t in triplets]), to_tensor([t.target for t in triplets]), message)

    @staticmethod
    def _read_cached(cache: Cache, items: Sequence[Item], form: Form, portion: Portion, dropped: Sequence[bool]) -> Encoded:
        """What the cache holds, in one language or the other by turns, or of the empty instruction."""
        texts = ["empty" if drop else ("en", "zh")[n % 2] for n, drop in zip(portion.samples, dropped, strict=True)]
        read = [cache.read(item, form.size, text) for item, text in zip(items, texts, strict=True)]
        latents = torch.stack([source for source, _, _ in read] + [target for _, target, _ in read])
        return Encoded(latents, collate([embedding for _, _, embedding in read]))

    def _forms(self, portion: Portion) -> list[Form]:
        """Of triplets that are made on the way."""
        return draw_forms(portion, self.recipe.seed, self.preset.cell, self.preset.squares)

    def loss(self, batch: Batch, draws: Sequence[torch.Generator]) -> Tensor:
        """Velocity loss at random times; see `flow.objective`."""
        encoded = self._encode(batch.content)
        tokens, grid = pack_latents(encoded.latents, self.preset, batch.stretch_B)
        reference, latent = tokens.chunk(2)
        draw = partial(draw_times, 1, **self.times.model_dump(), device=latent.device)
        t = torch.cat([draw(generator=generator) for generator in draws])
        noise = torch.stack([torch.randn(latent.shape[1:], generator=generator, device=latent.device) for generator in draws])
        predicted = self.editor(interpolate(latent, noise, t), reference, encoded.embedding, t, grid)
        weights = weigh_by_change(latent, reference) if self.recipe.weighting == "change" else None
        return flow_loss(predicted, latent, noise, weights)

    def _encode(self, content: Pictures | Encoded | Again) -> Encoded:
        match content:
            case Encoded():
                return content
            case Pictures():
                return self.encoders.encode(content)
            case Again(first, made):
                return self.rounds.read(first, lambda: self._encode(made or to_device(self._draw(first)[0], self.device)))

    def flops(self, stage: Stage) -> float | None:
        """Of the square that has the stage's area, with as much text as the version is taken to see; see `counting`."""
        if stage.until not in self._flops:
            editor = build_editor(self.recipe, self.preset, torch.bfloat16)
            self._flops[stage.until] = count_step(editor, stage.size, 1, dtype=torch.bfloat16).flops * stage.batch
        return self._flops[stage.until]

    def evaluate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Edit triplets that are kept out of training, or some of it; see `evaluation`."""
        if self._examples is None:
            self._examples = self._read_examples()
        return evaluate(self.editor, self.encoders, self._examples, self.recipe.evaluation.steps)

    def _evaluated_items(self) -> list[Any]:
        if self.stored is None or not self.recipe.evaluation.every:
            return []
        return self.stored.heldout or self.stored.items[: self.recipe.evaluation.count]

    def _read_examples(self) -> list[Example]:
        stage, count = self.recipe.stages[-1], self.recipe.evaluation.count
        if self.streams is not None:
            triplets = self.streams.evaluated(stage, count, self.recipe.evaluation.heldout)
            form = fit_form(1, 1, stage.size, self.preset.cell, self.preset.squares)
            return [Example.of(triplet, form) for triplet in triplets]
        assert self.stored is not None
        items = self._evaluated_items()
        found = []
        for item, form in zip(items, self.stored.forms(stage, self.preset.cell, items), strict=True):
            embedding = self.cache.read(item, form.size, "en")[2] if self.cache is not None else None
            found.append(Example.of(item.read(), form, embedding))
        return found

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write `model.safetensors`, and copy the frozen parts beside it once: the folder is a whole model. Or the adapter alone."""
        if self.recipe.adapter is not None:
            adapters.save(folder, self.editor, weights)
            return
        save_model(folder, self.preset, weights)
        if not (folder / AUTOENCODER_FILE).exists():
            write_whole(folder / AUTOENCODER_FILE, partial(shutil.copyfile, self.encoders.autoencoder_file))
        if not (folder / MLLM_FOLDER).exists():
            save_folder(folder / MLLM_FOLDER, partial(copy_mllm, self.encoders))


def _stretch(forms: Sequence[Form]) -> Tensor:
    return torch.tensor([form.stretch for form in forms])


def copy_mllm(encoders: Encoders, folder: Path) -> None:
    """Weights, processor and prefix text, in one folder."""
    shutil.copytree(encoders.mllm_folder, folder, dirs_exist_ok=True)
    if encoders.processor_folder != encoders.mllm_folder:
        shutil.copytree(encoders.processor_folder, folder, dirs_exist_ok=True)
    if (prefix := find_prefix(encoders.mllm_folder)) is not None:
        shutil.copyfile(prefix, folder / PREFIX_FILE)
