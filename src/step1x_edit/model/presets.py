"""Versions as data: sizes and behaviours of the released models and of the embedded one.

A version is a row of `PRESETS`; no other file asks which version it is. Source of the released rows: reference facts.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

from step1x_edit.errors import WeightsError

T = TypeVar("T")


def _require_positive(record: Any) -> None:
    for name, value in asdict(record).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and not isinstance(number, bool) and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")


class _Strict:
    """Base of the records that are read from files: a key that no field has is an error."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class DiTConfig(_Strict):
    """Sizes of the DiT; `axes_dim` splits a head's channels over the three rope axes (kind of token, row, column)."""

    in_channels: int = 64
    out_channels: int = 64
    vec_in_dim: int = 768
    context_in_dim: int = 4096
    hidden_size: int = 3072
    mlp_ratio: float = 4.0
    num_heads: int = 24
    depth: int = 19
    depth_single_blocks: int = 38
    axes_dim: tuple[int, int, int] = (16, 56, 56)
    theta: int = 10000
    qkv_bias: bool = True

    def __post_init__(self) -> None:
        _require_positive(self)
        if self.hidden_size % self.num_heads or self.hidden_size // self.num_heads != sum(self.axes_dim):
            raise ValueError(f"{self.num_heads} heads of {sum(self.axes_dim)} rope channels do not make {self.hidden_size} hidden ones")


@dataclass(frozen=True)
class ConnectorConfig(_Strict):
    """Sizes of the connector. `scale_factor`: the pooled embedding has a learned scale (v1.0). `text_token_mapping`: raw embeddings of
    quoted characters are added to its tokens (v1.2)."""

    in_channels: int = 3584
    hidden_size: int = 4096
    heads_num: int = 32
    depth: int = 2
    scale_factor: bool = True
    text_token_mapping: bool = False

    def __post_init__(self) -> None:
        _require_positive(self)
        if self.hidden_size % self.heads_num:
            raise ValueError(f"{self.heads_num} heads do not divide {self.hidden_size} hidden channels")


@dataclass(frozen=True)
class AutoencoderConfig(_Strict):
    """Sizes of the autoencoder; it halves the picture len(ch_mult) - 1 times."""

    resolution: int = 256
    in_channels: int = 3
    ch: int = 128
    out_ch: int = 3
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    z_channels: int = 16
    scale_factor: float = 0.3611
    shift_factor: float = 0.1159
    groups: int = 32

    def __post_init__(self) -> None:
        _require_positive(self)
        if not self.ch_mult or any(self.ch * m % self.groups for m in (1, *self.ch_mult)):
            raise ValueError(f"groups of {self.groups} do not divide {self.ch} channels times 1 and {list(self.ch_mult)}")


PRESET_FILE, PREFIX_FILE = "preset.json", "mllm_prefix.txt"
"""In a model folder: what `read_preset` reads, and the prefix text."""


@dataclass(frozen=True)
class PrefixText(_Strict):
    """Where a prefix text is published, and how it is known to be the right one. It is the constant `name` of a Python file."""

    repository: str
    path: str
    name: str
    characters: int
    sha256: str

    def matches(self, text: bytes) -> bool:
        """Whether this, in UTF-8, is the right one."""
        return hashlib.sha256(text).hexdigest() == self.sha256


PREFIX_V1 = PrefixText(
    repository="stepfun-ai/Step1X-Edit/main",
    path="modules/conditioner.py",
    name="Qwen25VL_7b_PREFIX",
    characters=1058,
    sha256="40882ddca94ca6971c8d5713d42464afa31dad09236dfacafe3ee26b4b44aa82",
)
PREFIX_V1P2 = PrefixText(
    repository="Peyton-Chen/diffusers/step1xedit_v1p2",
    path="src/diffusers/pipelines/step1x_edit/pipeline_step1x_edit_v1p2.py",
    name="EDIT_PREFIX",
    characters=449,
    sha256="2d7e7837b2aacef89f7ebf5d3241e0ca3e16a130e9f59805f3a6ede207822a72",
)
"""Source: reference facts, "The prefix texts belong to the released weights"."""


@dataclass(frozen=True)
class MessageConfig(_Strict):
    """How the MLLM is asked; see message.py.

    Attributes:
        instruction_first: prefix and instruction are one text before the picture; else the picture stands between them.
        quotes: how quoted text is cut into tokens: "none" as it comes, "toggled" (v1.0, v1.1) or "paired" (v1.2).
        quotes_from: quotation marks count from this character of the whole message on ("toggled"), or after the prefix ("paired").
        positions: the text tokens carry rope ids of their own, and those of a picture its rows and columns.
        pixels: least and most pixels of a picture as the MLLM sees it; None leaves it to the MLLM's own processor.
        prefix: the published prefix text that belongs to the weights; None where there is none, or any will do.
        square: side in pixels of the square that a picture is squeezed to for an MLLM that knows no others; None keeps its proportions.
    """

    instruction_first: bool = False
    quotes: Literal["none", "toggled", "paired"] = "toggled"
    quotes_from: int = 156
    positions: bool = False
    pixels: tuple[int, int] | None = (256 * 28 * 28, 324 * 28 * 28)
    prefix: PrefixText | None = field(default_factory=lambda: PREFIX_V1)
    square: int | None = None


@dataclass(frozen=True)
class Preset(_Strict):
    """One version of the editor.

    Attributes:
        name: as users write it.
        dit, connector, autoencoder: sizes.
        patch: side in latent pixels of the square that becomes one token.
        rope_unit: latent pixels along a side that rope ids count as one; None for the patch's side, so that they count tokens.
        reference_ids: rope ids of the reference tokens: "shared" (0, i, j), "offset" (1, i+1, j+1), "axis" (1, i, j).
        text_padding: text is padded to this many tokens, which the DiT then attends to; 0 means no padding, and padding that a batch
            makes necessary is hidden from the DiT.
        text_limit: at most this many text tokens are kept.
        prompt_drop: tokens of the message that come before the picture and are dropped.
        message: how the MLLM is asked.
        references: how many pictures one request may show.
        text_to_image: whether it makes pictures from text alone.
        thinks: whether its MLLM also answers questions, as thinking and reflection ask it to.
        prediction: what the network's output means: "velocity"; "reference_change", the difference of picture and reference; or
            "reference_blend", that and, in patch**2 further channels, how much of the reference goes from each latent pixel.
        steps, guidance, size: defaults; size is the side in pixels of the square with the picture's area.
        squares: pictures are squeezed to such squares, and the rope ids tell how much; see `Grid.stretch_B`.
        guidance_limit: guidance is limited in length where t is above this; None never.
        schedule_low, schedule_high: (picture tokens, shift exponent), the line that gives the shift.
        released_file: name of the single file in which connector and DiT were released, if they were.
        other_files: other names of such files, those in float8 among them.
    """

    name: str
    dit: DiTConfig = field(default_factory=DiTConfig)
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    patch: int = 2
    rope_unit: int | None = None
    reference_ids: Literal["shared", "offset", "axis"] = "shared"
    text_padding: int = 640
    text_limit: int = 640
    prompt_drop: int = 217
    message: MessageConfig = field(default_factory=MessageConfig)
    references: int = 1
    text_to_image: bool = False
    thinks: bool = False
    prediction: Literal["velocity", "reference_change", "reference_blend"] = "velocity"
    steps: int = 28
    guidance: float = 6.0
    size: int = 1024
    squares: bool = False
    guidance_limit: float | None = None
    schedule_low: tuple[int, float] = (256, 0.5)
    schedule_high: tuple[int, float] = (4096, 1.15)
    released_file: str | None = None
    other_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.connector.hidden_size != self.dit.context_in_dim:
            raise ValueError(f"the connector gives {self.connector.hidden_size} channels, the DiT takes {self.dit.context_in_dim}")
        channels = self._channels_out(self.dit.in_channels, self.patch)
        if self.dit.out_channels != channels:
            raise ValueError(f"{self.prediction} takes {channels} channels from the DiT, it gives {self.dit.out_channels}")

    def _channels_out(self, numbers: int, side: int) -> int:
        """What the DiT has to give of a patch of this side that holds so many numbers."""
        return numbers + (side**2 if self.prediction == "reference_blend" else 0)

    def with_patch(self, side: int) -> Preset:
        """The same with tokens of another side in latent pixels, the channels that they take, and rope ids that count as before."""
        numbers = self.autoencoder.z_channels * side**2
        dit = replace(self.dit, in_channels=numbers, out_channels=self._channels_out(numbers, side))
        return replace(self, patch=side, rope_unit=self.rope_unit or self.patch, dit=dit)

    @property
    def cell(self) -> int:
        """Pixels along the side of one token; both sides of a picture must be multiples of it."""
        return 2 ** (len(self.autoencoder.ch_mult) - 1) * self.patch


EVERY_STEP = 0.93 / 1000
"""The guidance limit of the published diffusers pipelines, which compare times in 0..1000 with 0.93: it acts at every step."""
MOST_REFERENCES = 4
"""Choice: the versions that tell reference tokens from noise by the first rope id tell several pictures apart by counting it up."""

_ADDED = ("message", "references", "text_to_image", "thinks", "other_files")
"""Fields that a `preset.json` may lack, since older ones do; the row of its name has them."""
_FORMER = {"squares": False, "rope_unit": None}
"""What holds where others are lacking."""

PRESETS: dict[str, Preset] = {
    "v1.0": Preset("v1.0", released_file="step1x-edit-i1258.safetensors", other_files=("step1x-edit-i1258-FP8.safetensors",)),
    "v1.1": Preset(
        "v1.1",
        connector=ConnectorConfig(scale_factor=False),
        reference_ids="offset",
        guidance_limit=0.93,
        references=MOST_REFERENCES,
        text_to_image=True,
        released_file="step1x-edit-v1p1-official.safetensors",
        other_files=("step1x-edit-v1p1-official-FP8.safetensors",),
    ),
    "v1.2": Preset(
        "v1.2",
        connector=ConnectorConfig(scale_factor=False, text_token_mapping=True),
        reference_ids="axis",
        text_padding=0,
        text_limit=2048,
        prompt_drop=90,
        message=MessageConfig(
            instruction_first=True, quotes="paired", positions=True, pixels=(256 * 28 * 28, 400 * 28 * 28), prefix=PREFIX_V1P2
        ),
        references=MOST_REFERENCES,
        text_to_image=True,
        thinks=True,
        steps=50,
        guidance_limit=EVERY_STEP,
    ),
    "mini": Preset(
        "mini",
        dit=DiTConfig(
            in_channels=96,
            out_channels=100,
            vec_in_dim=192,
            context_in_dim=192,
            hidden_size=192,
            num_heads=3,
            depth=2,
            depth_single_blocks=12,
            axes_dim=(16, 24, 24),
            theta=10,
        ),
        connector=ConnectorConfig(in_channels=192, hidden_size=192, heads_num=3, scale_factor=False),
        autoencoder=AutoencoderConfig(
            resolution=128, ch=12, ch_mult=(1, 2, 3), num_res_blocks=1, z_channels=24, scale_factor=0.735, shift_factor=0.05, groups=4
        ),
        rope_unit=4,
        text_padding=0,
        text_limit=128,
        prompt_drop=2,
        message=MessageConfig(quotes="none", pixels=None, prefix=None, square=112),
        prediction="reference_blend",
        steps=1,
        guidance=1.2,
        size=128,
        squares=True,
    ),
}


def read_record(kind: type[T], values: Any, source: str) -> T:
    """Values that were read from a file, as a record; unknown keys and values of another type are errors.

    Args:
        kind: DiTConfig, ConnectorConfig, AutoencoderConfig or Preset.
        values: what the file holds, usually a dictionary.
        source: how to call the file in the message.

    Raises:
        WeightsError: the values do not make such a record.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WeightsError(f"{source} does not describe a model: {place + ': ' if place else ''}{first['msg']}.") from error


def read_sizes(preset: Preset, source: str, **values: Any) -> Preset:
    """The preset with other fields, which were read from a file, nested tables included; raises as `read_record` does."""
    return read_record(Preset, {**vars(preset), **values}, source)


def read_preset(values: Any, source: str) -> Preset:
    """A preset from the contents of a `preset.json`: the name of a row alone, or a whole row; raises as `read_record` does."""
    if isinstance(values, dict) and values.keys() == {"name"} and values["name"] in list(PRESETS):
        return PRESETS[values["name"]]
    if isinstance(values, dict):
        row = PRESETS.get(values["name"]) if isinstance(values.get("name"), str) else None
        values = {**_FORMER, **{name: getattr(row or PRESETS["mini"], name) for name in _ADDED}, **values}
    if isinstance(values, dict) and values.keys() < {f.name for f in fields(Preset)}:
        raise WeightsError(f"{source} does not describe a model: give the name of one ({', '.join(PRESETS)}), or all of its values.")
    preset = read_record(Preset, values, source)
    numbers = preset.autoencoder.z_channels * preset.patch**2
    if numbers != preset.dit.in_channels:
        raise WeightsError(f"{source} does not describe a model: a patch holds {numbers} numbers, the DiT takes {preset.dit.in_channels}.")
    return preset
