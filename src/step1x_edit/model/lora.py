"""Low-rank adapters: read from either naming, used several at once, merged or kept apart, and saved in either naming.

An adapter adds scale * up @ down to some of the model's linear layers. Two namings are known:

    kohya: lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight, .lora_up.weight, .alpha; the modules are ours, and the scale is
        alpha over the rank
    peft: transformer.transformer_blocks.0.attn.to_q.lora_A.weight, .lora_B.weight, as diffusers writes them, whose queries, keys and values
        are parts of one of our layers, with alpha in the file's metadata; or base_model.model. with our own names, beside an
        adapter_config.json

In memory an adapter is a list of pieces for each of our layers, each of which adds to some of the layer's outputs.

Shape suffixes: R rank, I inputs, O outputs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from step1x_edit.errors import WeightsError
from step1x_edit.model.layouts import TRANSFORMER, locate, split_names
from step1x_edit.model.tensors import TensorFiles, read_json, write_tensors

PEFT_FILE, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
DIFFUSERS_CONFIG = "lora_adapter_metadata"
_DIFFUSERS, _PEFT = "transformer.", "base_model.model."
_KOHYA = "lora_unet_"
_PEFT_PREFIXES = ("base_model.model.transformer.", "base_model.model.", "transformer.", "diffusion_model.", "")
_ENDINGS = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".alpha": "alpha",
}


@dataclass(frozen=True)
class Piece:
    """scale * up @ down, added to the outputs of a layer from `start` on. Tensors are down [R, I] and up [O, R]."""

    start: int
    down_RI: Tensor
    up_OR: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """R."""
        return len(self.down_RI)

    def delta(self) -> Tensor:
        """What it adds to the layer's weights, [O, I], in float32."""
        return self.scale * (self.up_OR.float() @ self.down_RI.float())


@dataclass(frozen=True)
class Adapter:
    """The pieces of each layer, by the layer's name in our model; how many outputs the layers have, and the DiT's hidden size."""

    pieces: Mapping[str, tuple[Piece, ...]]
    outputs: Mapping[str, int]
    hidden: int


def read_adapter(path: Path, model: nn.Module) -> Adapter:
    """An adapter from a safetensors file, or from a folder that peft wrote.

    Args:
        path: the file, or the folder that holds `adapter_model.safetensors`.
        model: connector and DiT, whose layers the adapter must fit.

    Raises:
        WeightsError: the file is damaged, names layers that the model does not have, or does not fit them.
    """
    file = path / PEFT_FILE if path.is_dir() else path
    tensors = TensorFiles(file)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    kohya = {_KOHYA + name.replace(".", "_"): name for name in layers}
    config = _read_config(tensors)
    parts: dict[str, dict[str, Tensor]] = {}
    for key in tensors:
        ending = next((ending for ending in _ENDINGS if key.endswith(ending)), None)
        if ending is None:
            raise WeightsError(f"{path} is no adapter that is known here: {key} is neither in kohya's naming nor in peft's.")
        parts.setdefault(key.removesuffix(ending), {})[_ENDINGS[ending]] = tensors[key]
    pieces: dict[str, list[Piece]] = {}
    hidden = layers["img_in"].out_features
    for module, found in parts.items():
        name, start, end, swapped = _find_layer(module, layers, kohya, hidden, path)
        piece = _check_piece(found, module, layers[name], (start, end), None if config is None else config.alpha_of(module), path)
        if swapped:
            piece = Piece(start, piece.down_RI, _swap(piece.up_OR), piece.scale)
        pieces.setdefault(name, []).append(piece)
    if not pieces:
        raise WeightsError(f"{path} is an empty adapter.")
    outputs = {name: layers[name].out_features for name in pieces}
    return Adapter({name: tuple(each) for name, each in pieces.items()}, outputs, hidden)


@torch.no_grad()
def merge_adapters(model: nn.Module, adapters: Sequence[tuple[Adapter, float]]) -> None:
    """Add adapters, each with its weight, to the model's own weights, computed in float32: no cost afterwards, but no way back."""
    for name in sorted({name for adapter, _ in adapters for name in adapter.pieces}):
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        total = layer.weight.float()
        for adapter, weight in adapters:
            for piece in adapter.pieces.get(name, ()):
                total[piece.start : piece.start + len(piece.up_OR)] += weight * piece.delta().to(total.device)
        layer.weight.copy_(total)  # in place: whoever else holds the weights, as `offload.Waiting` does, has them merged too


class Attached:
    """Adapters beside a model, whose own weights stay as they are.

    `weights` has the weight of each adapter, in their order, and may change at any time; `remove` takes them off.
    """

    def __init__(self, model: nn.Module, adapters: Sequence[tuple[Adapter, float]]) -> None:
        self.weights = [weight for _, weight in adapters]
        self._handles = []
        for name in {name for adapter, _ in adapters for name in adapter.pieces}:
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            used = [(i, piece) for i, (adapter, _) in enumerate(adapters) for piece in adapter.pieces.get(name, ())]
            self._handles.append(layer.register_forward_hook(self._hook(used)))

    def remove(self) -> None:
        """Take the adapters off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _hook(self, used: Sequence[tuple[int, Piece]]) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        def add(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            for i, piece in used:
                if factor := self.weights[i] * piece.scale:
                    down, up = piece.down_RI.to(output), piece.up_OR.to(output)
                    part = output[..., piece.start : piece.start + len(up)]  # in place: as wide a tensor again may not fit beside it
                    part += F.linear(F.linear(inputs[0], down), up) * factor
            return output

        return add


def save_adapter(path: Path, adapter: Adapter, naming: Literal["kohya", "peft"]) -> None:
    """Write an adapter as a safetensors file in kohya's naming, or in diffusers' with peft's endings.

    Raises:
        Step1XError: the disk is full or the folder cannot be written.
    """
    tensors = dict(_to_kohya(adapter) if naming == "kohya" else _to_peft(adapter))
    write_tensors(path, tensors)


def _to_kohya(adapter: Adapter) -> Iterator[tuple[str, Tensor]]:
    for name, pieces in adapter.pieces.items():
        down, up, scale = _joined(pieces, adapter.outputs[name])
        key = _KOHYA + name.replace(".", "_")
        yield f"{key}.lora_down.weight", down
        yield f"{key}.lora_up.weight", up
        yield f"{key}.alpha", torch.tensor(scale * len(down))


def _to_peft(adapter: Adapter) -> Iterator[tuple[str, Tensor]]:
    """The scale goes into B, since the naming has no place for it; a layer that diffusers cuts is cut, each part with its own A."""
    for name, pieces in adapter.pieces.items():
        theirs, rule = split_names(f"{name}.weight", TRANSFORMER)
        bounds = [*(adapter.hidden * i for i in range(len(theirs))), adapter.outputs[name]]
        for key, start, end in zip(theirs, bounds, bounds[1:], strict=False):
            if found := [part for piece in pieces if (part := _clip(piece, start, end))]:
                down, up, scale = _joined(found, end - start)
                module = f"transformer.{key.removesuffix('.weight')}"
                yield f"{module}.lora_A.weight", down
                yield f"{module}.lora_B.weight", scale * (_swap(up) if rule.swapped else up)


def _clip(piece: Piece, start: int, end: int) -> Piece | None:
    """The part of a piece that adds to the outputs start..end, counted from start; None where there is none."""
    first, last = max(piece.start, start), min(piece.start + len(piece.up_OR), end)
    if first >= last:
        return None
    return Piece(first - start, piece.down_RI, piece.up_OR[first - piece.start : last - piece.start], piece.scale)


def _joined(pieces: Sequence[Piece], outputs: int) -> tuple[Tensor, Tensor, float]:
    """Several pieces as one over all outputs: ranks add up, and what is not there is zero."""
    if len(pieces) == 1 and len(pieces[0].up_OR) == outputs:
        return pieces[0].down_RI, pieces[0].up_OR, pieces[0].scale
    ups = [F.pad(p.up_OR * p.scale, (0, 0, p.start, outputs - p.start - len(p.up_OR))) for p in pieces]
    return torch.cat([p.down_RI for p in pieces]), torch.cat(ups, dim=1), 1.0


def _find_layer(
    module: str, layers: Mapping[str, nn.Linear], kohya: Mapping[str, str], hidden: int, path: Path
) -> tuple[str, int, int, bool]:
    """Our layer, the first of its outputs that is meant and the end of these, and whether their halves are to change places."""
    if module in kohya:
        return kohya[module], 0, layers[kohya[module]].out_features, False
    for prefix in _PEFT_PREFIXES:
        rest = module.removeprefix(prefix)
        if not module.startswith(prefix):
            continue
        if rest in layers:
            return rest, 0, layers[rest].out_features, False
        ours, part, parts, swapped = locate(f"{rest}.weight", TRANSFORMER)
        if (name := ours.removesuffix(".weight")) in layers:
            return name, hidden * part, hidden * (part + 1) if part + 1 < parts else layers[name].out_features, swapped
    raise WeightsError(f"The adapter {path} changes {module}, which this model does not have; it belongs to another model.")


def _check_piece(
    found: Mapping[str, Tensor], module: str, layer: nn.Linear, outputs: tuple[int, int], alpha: float | None, path: Path
) -> Piece:
    """The tensors of one module as a piece, once they are known to fit these outputs of the layer."""
    if "down" not in found or "up" not in found:
        raise WeightsError(f"The adapter {path} is incomplete: {module} has only one of its two matrices.")
    down, up = found["down"], found["up"]
    start, end = outputs
    if down.ndim != 2 or up.ndim != 2 or len(down) != up.shape[1] or down.shape[1] != layer.in_features or len(up) != end - start:
        raise WeightsError(
            f"The adapter {path} does not fit the model: {module} is {list(up.shape)} times {list(down.shape)} "
            f"where the layer is {end - start} x {layer.in_features}."
        )
    if not len(down):
        raise WeightsError(f"The adapter {path} is damaged: {module} has rank 0.")
    if "alpha" in found:
        alpha = float(found["alpha"].float().flatten()[0]) if found["alpha"].numel() == 1 else float("nan")
    scale = 1.0 if alpha is None else alpha / len(down)
    if not all(t.is_floating_point() and bool(torch.isfinite(t.float()).all()) for t in (down, up)) or not math.isfinite(scale):
        raise WeightsError(f"The adapter {path} is damaged: {module} holds values that are not finite numbers.")
    down, up = (t.float() if t.element_size() == 1 else t for t in (down, up))  # nothing is computed in float8
    return Piece(start, down, up, scale)


_MOVES_WEIGHTS = ("pissa", "olora", "corda", "lora_ga", "loftq")
"""Ways to begin an adapter that take it out of the model's own weights first, so that what is trained does not fit the released ones."""


@dataclass(frozen=True)
class _PeftConfig:
    """Of peft's configuration, what scales a plain adapter; what makes it another one must not be asked for."""

    lora_alpha: float
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    use_rslora: Literal[False] = False
    use_dora: Literal[False] = False
    init_lora_weights: bool | str = True

    def __post_init__(self) -> None:
        if str(self.init_lora_weights).startswith(_MOVES_WEIGHTS):
            raise ValueError("it was trained beside weights that its beginning had changed")

    def alpha_of(self, module: str) -> float:
        """A module's alpha; the patterns are ends of names as peft has them, or with `^`, which diffusers writes, the whole name there."""
        known = module.removeprefix(_PEFT) if module.startswith(_PEFT) else module.removeprefix(_DIFFUSERS)
        return next((alpha for name, alpha in self.alpha_pattern.items() if re.fullmatch(rf"(.*\.)?({name})", known)), self.lora_alpha)


def _read_config(tensors: TensorFiles) -> _PeftConfig | None:
    """From peft's file beside it, or from the words that diffusers writes into it; None where there is neither, and alpha is the rank."""
    path, config = tensors.path, tensors.path.with_name(PEFT_CONFIG)
    try:
        if path.name == PEFT_FILE and config.is_file():
            path, values = config, read_json(config)
        elif (words := tensors.words.get(DIFFUSERS_CONFIG)) is not None:
            values = {key.removeprefix(_DIFFUSERS): value for key, value in json.loads(words).items() if key.startswith(_DIFFUSERS)}
        else:
            return None
        found = TypeAdapter(_PeftConfig).validate_python(values)
        for pattern in found.alpha_pattern:
            re.compile(pattern)
    except (ValueError, AttributeError, RecursionError, re.error) as error:
        raise WeightsError(f"{path} is not the configuration of a plain low-rank adapter.") from error
    return found


def _swap(up_OR: Tensor) -> Tensor:
    return torch.cat([*reversed(up_OR.chunk(2))])
