"""How the same weights are named and cut elsewhere: the diffusers folders of v1.1 and v1.2, as rules that are read in both directions.

Ours are the names of the released single files. A rule names one of our tensors and the tensor or tensors of the other layout that it is
made of; `*` stands for a number, `**` for the rest of the name. Neither direction computes: tensors are joined, cut and moved, so that a
way there and back is exact bit for bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import Preset, read_sizes


@dataclass(frozen=True)
class Rule:
    """One tensor of ours, and what it is made of.

    Attributes:
        ours: pattern of our name.
        theirs: patterns of their names; several tensors are joined along the outputs, and all but the last have `hidden_size` outputs.
        swapped: the halves along the outputs change places (they give scale before shift).
        pointwise: our 1 x 1 convolution is their linear layer.
    """

    ours: str
    theirs: tuple[str, ...]
    swapped: bool = False
    pointwise: bool = False


def _same(ours: str, theirs: str) -> Rule:
    return Rule(f"{ours}.**", (f"{theirs}.**",))


def _joined(ours: str, *theirs: str) -> Rule:
    return Rule(f"{ours}.**", tuple(f"{name}.**" for name in theirs))


_DOUBLE, _SINGLE = "transformer_blocks.*", "single_transformer_blocks.*"

TRANSFORMER: tuple[Rule, ...] = (
    _same("connector.text_token_mapping", "text_token_mapping"),
    _same("connector", "connector"),
    _same("img_in", "x_embedder"),
    _same("txt_in", "context_embedder"),
    _same("time_in", "time_embed"),
    _same("vector_in", "vec_embed"),
    _same("double_blocks.*.img_mod.lin", f"{_DOUBLE}.norm1.linear"),
    _same("double_blocks.*.txt_mod.lin", f"{_DOUBLE}.norm1_context.linear"),
    _joined("double_blocks.*.img_attn.qkv", f"{_DOUBLE}.attn.to_q", f"{_DOUBLE}.attn.to_k", f"{_DOUBLE}.attn.to_v"),
    _joined("double_blocks.*.txt_attn.qkv", f"{_DOUBLE}.attn.add_q_proj", f"{_DOUBLE}.attn.add_k_proj", f"{_DOUBLE}.attn.add_v_proj"),
    Rule("double_blocks.*.img_attn.norm.query_norm.scale", (f"{_DOUBLE}.attn.norm_q.weight",)),
    Rule("double_blocks.*.img_attn.norm.key_norm.scale", (f"{_DOUBLE}.attn.norm_k.weight",)),
    Rule("double_blocks.*.txt_attn.norm.query_norm.scale", (f"{_DOUBLE}.attn.norm_added_q.weight",)),
    Rule("double_blocks.*.txt_attn.norm.key_norm.scale", (f"{_DOUBLE}.attn.norm_added_k.weight",)),
    _same("double_blocks.*.img_attn.proj", f"{_DOUBLE}.attn.to_out.0"),
    _same("double_blocks.*.txt_attn.proj", f"{_DOUBLE}.attn.to_add_out"),
    _same("double_blocks.*.img_mlp.0", f"{_DOUBLE}.ff.net.0.proj"),
    _same("double_blocks.*.img_mlp.2", f"{_DOUBLE}.ff.net.2"),
    _same("double_blocks.*.txt_mlp.0", f"{_DOUBLE}.ff_context.net.0.proj"),
    _same("double_blocks.*.txt_mlp.2", f"{_DOUBLE}.ff_context.net.2"),
    _same("single_blocks.*.modulation.lin", f"{_SINGLE}.norm.linear"),
    _joined("single_blocks.*.linear1", f"{_SINGLE}.attn.to_q", f"{_SINGLE}.attn.to_k", f"{_SINGLE}.attn.to_v", f"{_SINGLE}.proj_mlp"),
    _same("single_blocks.*.linear2", f"{_SINGLE}.proj_out"),
    Rule("single_blocks.*.norm.query_norm.scale", (f"{_SINGLE}.attn.norm_q.weight",)),
    Rule("single_blocks.*.norm.key_norm.scale", (f"{_SINGLE}.attn.norm_k.weight",)),
    Rule("final_layer.adaLN_modulation.1.**", ("norm_out.linear.**",), swapped=True),
    _same("final_layer.linear", "proj_out"),
)
"""Connector and DiT as `transformer/` of a diffusers folder."""

_DIT_FIELDS = {
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "num_layers": "depth",
    "num_single_layers": "depth_single_blocks",
    "num_attention_heads": "num_heads",
    "joint_attention_dim": "context_in_dim",
    "vector_in_dim": "vec_in_dim",
    "axes_dims_rope": "axes_dim",
}
_CONNECTOR_FIELDS = {
    "connector_in_channels": "in_channels",
    "connector_hidden_size": "hidden_size",
    "connector_heads_num": "heads_num",
    "connector_depth": "depth",
    "enable_text_token_mapping": "text_token_mapping",
}


def read_transformer_config(values: Any, preset: Preset, source: str) -> Preset:
    """The preset with the sizes that `config.json` of a diffusers transformer gives; their name for a field may be absent.

    Raises:
        WeightsError: `values` is no such configuration, or one of a model with distilled guidance, which these never are.
    """
    if not isinstance(values, dict) or "num_attention_heads" not in values:
        raise WeightsError(f"{source} is not the configuration of a diffusers transformer.")
    if values.get("guidance_embeds") or values.get("patch_size", 1) != 1:
        raise WeightsError(f"{source} describes another model: guidance_embeds must be false and patch_size 1.")
    dit = {ours: values[theirs] for theirs, ours in _DIT_FIELDS.items() if values.get(theirs) is not None}
    heads, size = values["num_attention_heads"], values.get("attention_head_dim", sum(preset.dit.axes_dim))
    if not isinstance(heads, int) or not isinstance(size, int):
        raise WeightsError(f"{source} does not describe a model: num_attention_heads and attention_head_dim must be whole numbers.")
    dit = {**asdict(preset.dit), "out_channels": values.get("in_channels", preset.dit.out_channels), **dit, "hidden_size": heads * size}
    connector = {ours: values[theirs] for theirs, ours in _CONNECTOR_FIELDS.items() if values.get(theirs) is not None}
    return read_sizes(preset, source, dit=dit, connector={**asdict(preset.connector), **connector})


def autoencoder_rules(levels: int) -> tuple[Rule, ...]:
    """The autoencoder as `vae/` of a diffusers folder, whose decoder counts its levels from the lowest resolution up."""
    return tuple(_autoencoder_rules(levels))


def _autoencoder_rules(levels: int) -> Iterator[Rule]:
    for half in ("encoder", "decoder"):
        yield _same(f"{half}.conv_in", f"{half}.conv_in")
        yield _same(f"{half}.conv_out", f"{half}.conv_out")
        yield _same(f"{half}.norm_out", f"{half}.conv_norm_out")
        yield _same(f"{half}.mid.block_1", f"{half}.mid_block.resnets.0")
        yield _same(f"{half}.mid.block_2", f"{half}.mid_block.resnets.1")
        yield _same(f"{half}.mid.attn_1.norm", f"{half}.mid_block.attentions.0.group_norm")
        for ours, theirs in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
            yield Rule(f"{half}.mid.attn_1.{ours}.**", (f"{half}.mid_block.attentions.0.{theirs}.**",), pointwise=True)
    for i in range(levels):
        ours, theirs = f"encoder.down.{i}", f"encoder.down_blocks.{i}"
        yield _same(f"{ours}.block.*.nin_shortcut", f"{theirs}.resnets.*.conv_shortcut")
        yield _same(f"{ours}.block.*", f"{theirs}.resnets.*")
        yield _same(f"{ours}.downsample.conv", f"{theirs}.downsamplers.0.conv")
        ours, theirs = f"decoder.up.{levels - 1 - i}", f"decoder.up_blocks.{i}"
        yield _same(f"{ours}.block.*.nin_shortcut", f"{theirs}.resnets.*.conv_shortcut")
        yield _same(f"{ours}.block.*", f"{theirs}.resnets.*")
        yield _same(f"{ours}.upsample.conv", f"{theirs}.upsamplers.0.conv")


def is_diffusers(names: Iterable[str]) -> bool:
    """Whether these are names of the diffusers layout."""
    return any(name.startswith(("x_embedder.", "transformer_blocks.", "encoder.down_blocks.", "decoder.up_blocks.")) for name in names)


class FromDiffusers(Mapping[str, Tensor]):
    """Tensors of a diffusers folder under our names, each joined when asked for. Names that no rule knows are kept as they are.

    Raises:
        WeightsError: on construction, if parts that belong together are not all there; on reading, if their sizes do not fit.
    """

    def __init__(self, theirs: Mapping[str, Tensor], rules: tuple[Rule, ...]) -> None:
        self._theirs = theirs
        self._sources: dict[str, tuple[Rule | None, tuple[str, ...]]] = {}
        for name in theirs:
            ours, rule, parts = _find(name, rules)
            if self._sources.setdefault(ours, (rule, parts)) != (rule, parts):
                raise WeightsError(f"The weights hold {name} under two names.")
            if absent := [part for part in parts if part not in theirs]:
                raise WeightsError(f"The weights are incomplete: {', '.join(absent)} is missing beside {name}.")

    def __getitem__(self, name: str) -> Tensor:
        rule, parts = self._sources[name]
        tensors = [self._theirs[part] for part in parts]
        if len(tensors) == 1:
            tensor = tensors[0]
        else:
            hidden, inputs = self._theirs["x_embedder.bias"].shape, tensors[0].shape[1:]
            if any(t.shape[:1] != hidden for t in tensors[:-1]) or any(not t.ndim or t.shape[1:] != inputs for t in tensors):
                raise WeightsError(f"The weights do not fit together: {', '.join(parts)} are of other sizes than the rest.")
            tensor = torch.cat(tensors)
        if rule is not None and rule.swapped:
            tensor = _swap_halves(tensor)
        if rule is not None and rule.pointwise and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


class ToDiffusers(Mapping[str, Tensor]):
    """Our tensors under the names of the diffusers layout, each cut as it cuts them when asked for.

    Raises:
        KeyError: on construction, a name that no rule knows.
    """

    def __init__(self, ours: Mapping[str, Tensor], rules: tuple[Rule, ...]) -> None:
        self._ours = ours
        self._sources: dict[str, tuple[str, Rule, int]] = {}
        for name in ours:
            theirs, rule = split_names(name, rules)
            self._sources |= {part: (name, rule, index) for index, part in enumerate(theirs)}
        self._last: tuple[str, Tensor] | None = None  # one of ours, whose parts are mostly asked for one after another

    def __getitem__(self, name: str) -> Tensor:
        ours, rule, index = self._sources[name]
        if self._last is None or self._last[0] != ours:
            self._last = None  # let go of before the next one is read
            self._last = ours, self._ours[ours]
        tensor = self._last[1]
        if rule.swapped:
            tensor = _swap_halves(tensor)
        if rule.pointwise and tensor.ndim == 4:
            tensor = tensor[:, :, 0, 0]
        parts = len(rule.theirs)
        hidden = len(self._ours["img_in.bias"]) if parts > 1 else 0
        return tensor.tensor_split([hidden * i for i in range(1, parts)])[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def locate(theirs: str, rules: tuple[Rule, ...]) -> tuple[str, int, int, bool]:
    """Our name for theirs, which part of ours it is and of how many, and whether halves change places; an unknown name stays as it is."""
    ours, rule, parts = _find(theirs, rules)
    return ours, parts.index(theirs), len(parts), rule is not None and rule.swapped


def split_names(ours: str, rules: tuple[Rule, ...]) -> tuple[tuple[str, ...], Rule]:
    """Their names for the parts of ours, and the rule that says so; raises KeyError for a name that no rule knows."""
    for rule in rules:
        if found := _pattern(rule.ours).fullmatch(ours):
            return tuple(_fill(pattern, found.groups()) for pattern in rule.theirs), rule
    raise KeyError(ours)


def _find(name: str, rules: tuple[Rule, ...]) -> tuple[str, Rule | None, tuple[str, ...]]:
    """Our name for theirs, the rule, and all of their names that the rule joins."""
    for rule in rules:
        for pattern in rule.theirs:
            if found := _pattern(pattern).fullmatch(name):
                values = found.groups()
                return _fill(rule.ours, values), rule, tuple(_fill(p, values) for p in rule.theirs)
    return name, None, (name,)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*\*", "(.+)").replace(r"\*", r"(\d+)"))


def _fill(pattern: str, values: tuple[str, ...]) -> str:
    """The pattern with its stars replaced, in order."""
    pieces = re.split(r"\*+", pattern)
    return pieces[0] + "".join(value + piece for value, piece in zip(values, pieces[1:], strict=True))


def _swap_halves(tensor: Tensor) -> Tensor:
    middle = len(tensor) // 2
    return torch.cat([tensor[middle:], tensor[:middle]])
