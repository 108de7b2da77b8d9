"""What the frozen parts say of a triplet: latents and the MLLM's embedding, computed as they are needed, or once and kept on disk.

    cache/PARTS/ab/abcdef....safetensors    one file for each triplet and shape; PARTS tells the frozen parts apart, by contents

With a cache, neither the MLLM nor the encoder is in memory while the editor is trained, as in the published fine-tuning.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from step1x_edit.errors import UsageError
from step1x_edit.flow.packing import pack
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.fingerprint import fingerprint_files
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.tensors import TensorFiles, write_tensors
from step1x_edit.model.weights import find_autoencoder, find_mllm, load_autoencoder
from step1x_edit.training.batches import to_range, to_tensor
from step1x_edit.training.portions import Portion, round_of
from step1x_edit.training.processes import Processes
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.stored import Item

Shape = tuple[int, int]
"""Width and height in pixels."""

TEXTS = ("en", "zh", "empty")


@dataclass(frozen=True)
class Pictures:
    """What the frozen parts are to read: uint8 pictures [B, 3, H, W], and the MLLM's inputs as `MLLM.prepare` makes them."""

    source: Tensor
    target: Tensor
    message: dict[str, Tensor]


@dataclass(frozen=True)
class Encoded:
    """What they say of a batch: latents float32 [2 B, Z, h, w], those of the sources first, and the embedding of B instructions."""

    latents: Tensor
    embedding: Embedding


class Encoders:
    """The editor's frozen parts, each loaded when first needed."""

    def __init__(self, recipe: Recipe, preset: Preset, device: torch.device) -> None:
        assert recipe.model.mllm is not None and recipe.model.autoencoder is not None  # the recipe has seen to it
        found = find_mllm(recipe.model.mllm)
        if found is None:
            raise UsageError(f"model.mllm names {recipe.model.mllm}, which holds no MLLM; name a model folder.")
        self.mllm_folder, self.processor_folder = found
        self.autoencoder_file = find_autoencoder(recipe.model.autoencoder)
        self.preset, self.device, self._dtype = preset, device, recipe.dtype(device)

    @cached_property
    def mllm(self) -> MLLM:
        """The MLLM."""
        return MLLM.open(self.mllm_folder, self.preset, self.device, self._dtype, self.processor_folder)

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """The autoencoder."""
        loaded = load_autoencoder(self.autoencoder_file, self.preset, device=self.device)
        return loaded.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def drop(self) -> None:
        """Let go of both."""
        for name in ("mllm", "autoencoder"):
            self.__dict__.pop(name, None)

    def encode(self, pictures: Pictures) -> Encoded:
        """What both say of pictures that lie on the device."""
        return Encoded(self.latents(pictures.source, pictures.target), self.mllm.embed(pictures.message))

    @torch.no_grad()
    def latents(self, source: Tensor, target: Tensor) -> Tensor:
        """Pictures uint8 [B, 3, H, W] -> latents [2 B, Z, h, w], sources first, in float32."""
        pictures = to_range(torch.cat([source, target])).contiguous(memory_format=torch.channels_last)
        return self.autoencoder.encode(pictures).float()

    def name(self) -> str:
        """Tells these parts, and what they are computed in, from others; copies of them have the same name."""
        files = [self.autoencoder_file, *sorted(file for file in self.mllm_folder.iterdir() if file.is_file())]
        facts = [repr(self.preset), str(self._dtype), fingerprint_files(files)]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


class Cache:
    """Latents and embeddings of stored triplets on disk; what is there already is kept, so that the work can be cut off and taken up.

    The empty instruction's are always among them, so that a cache serves any dropout.
    """

    def __init__(self, folder: Path, encoders: Encoders) -> None:
        self._folder, self._encoders = folder / encoders.name(), encoders
        self._stamps: dict[Path, str] = {}

    def compute(self, wanted: Sequence[tuple[Item, Shape]], processes: Processes) -> None:
        """Write what is missing, each process of its share of all, and say how far it is."""
        share = list({self._path(*pair): pair for pair in wanted}.items())[processes.rank :: processes.count]
        missing = [pair for path, pair in share if not path.exists()]
        for done, (item, shape) in enumerate(missing):
            if processes.first and done % 20 == 0:
                print(f"caching {done * processes.count}/{len(missing) * processes.count}", file=sys.stderr, flush=True)
            self._write(item, shape)
        processes.wait()

    def read(self, item: Item, shape: Shape, text: str) -> tuple[Tensor, Tensor, Embedding]:
        """Reference and target latents [Z, h, w], and the embedding, a batch of one; `text` is en, zh or empty."""
        tensors = TensorFiles(self._path(item, shape))
        if text != "empty" and f"{text}.tokens_BLC" not in tensors:
            text = "zh" if text == "en" else "en"
        embedding = {f.name: tensors[name] for f in fields(Embedding) if (name := f"{text}.{f.name}") in tensors}
        return tensors["source"], tensors["target"], Embedding(**embedding)

    def _path(self, item: Item, shape: Shape) -> Path:
        places = (f"{path} {self._stamp(path)} {start} {size}" for path, start, size in item.places.values())
        facts = [item.name, str(shape), *places]
        name = hashlib.sha256("\n".join([*facts, repr(item.record)]).encode()).hexdigest()[:32]
        return self._folder / name[:2] / f"{name}.safetensors"

    def _stamp(self, path: Path) -> str:
        """Length and time of a file, looked at once a run: another picture under the same name must not be taken for the one before."""
        if path not in self._stamps:
            try:
                found = path.stat()
            except OSError as error:
                raise UsageError(f"{path} cannot be read ({error.strerror}); it was there when training began.") from error
            self._stamps[path] = f"{found.st_size} {found.st_mtime_ns}"
        return self._stamps[path]

    def _write(self, item: Item, shape: Shape) -> None:
        triplet = item.read().resized(shape)
        source, target = (to_tensor([picture]).to(self._encoders.device) for picture in (triplet.source, triplet.target))
        latents = self._encoders.latents(source, target)
        tensors = {"source": latents[0], "target": latents[1]}
        for text in TEXTS:
            instruction = {"en": triplet.instruction_en, "zh": triplet.instruction_zh, "empty": ""}[text]
            if instruction or text == "empty":
                with item.named():
                    embedding = self._encoders.mllm.encode([Image.fromarray(triplet.source)], [instruction])
                values = {f.name: getattr(embedding, f.name) for f in fields(Embedding)}
                tensors |= {f"{text}.{name}": value for name, value in values.items() if value is not None}
        write_tensors(self._path(item, shape), tensors, shared=True)  # runs that differ in their rate alone may have one cache


class Rounds:
    """What the frozen parts say of the triplets of one round, in bfloat16, kept on the device for the repeats; see `recipe.Stage`."""

    def __init__(self) -> None:
        self._key: tuple[int, int] | None = None
        self._kept: dict[int, Encoded] = {}

    def read(self, first: Portion, make: Callable[[], Encoded]) -> Encoded:
        """What they say of a portion that used its triplets first; made, where this process has not seen them in this round."""
        key = first.stage.until, round_of(first)
        if key != self._key:
            self._key, self._kept = key, {}
        number = first.samples.start
        if number not in self._kept:
            made = make()
            self._kept[number] = Encoded(made.latents.bfloat16(), made.embedding.to(dtype=torch.bfloat16))
        kept = self._kept[number]
        return Encoded(kept.latents.float(), kept.embedding.to(dtype=torch.float32))


def collate(embeddings: Sequence[Embedding]) -> Embedding:
    """Batches of one, put together; the shorter ones are padded."""
    longest = max(each.tokens_BLC.shape[1] for each in embeddings)
    padded = [each.padded(longest) for each in embeddings]
    present = [f.name for f in fields(Embedding) if getattr(padded[0], f.name) is not None]
    return Embedding(**{name: torch.cat([getattr(each, name) for each in padded]) for name in present})


def pack_latents(latents: Tensor, preset: Preset, stretch_B: Tensor) -> tuple[Tensor, Grid]:
    """Latents [N B, Z, h, w] of pictures that are squeezed so much -> their tokens [N B, L, D] and grid."""
    rows, columns = (side // preset.patch for side in latents.shape[-2:])
    return pack(latents, preset.patch), Grid(rows, columns, stretch_B if preset.squares else None)
