"""Versions as data: sizes and behaviours of the released models and of the embedded one.

A version is a row of `PRESETS`; no other file asks which version it is. Source of the released rows: reference facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class DiTConfig:
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


@dataclass(frozen=True)
class ConnectorConfig:
    """Sizes of the connector. `scale_factor`: the pooled embedding has a learned scale (v1.0). `text_token_mapping`: raw embeddings of
    quoted characters are added to its tokens (v1.2)."""

    in_channels: int = 3584
    hidden_size: int = 4096
    heads_num: int = 32
    depth: int = 2
    scale_factor: bool = True
    text_token_mapping: bool = False


@dataclass(frozen=True)
class AutoencoderConfig:
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


@dataclass(frozen=True)
class Preset:
    """One version of the editor.

    Attributes:
        name: as users write it.
        dit, connector, autoencoder: sizes.
        patch: side in latent pixels of the square that becomes one token.
        reference_ids: rope ids of the reference tokens: "shared" (0, i, j), "offset" (1, i+1, j+1), "axis" (1, i, j).
        text_padding: text is padded to this many tokens, which the DiT then attends to; 0 means no padding, and padding that a batch
            makes necessary is hidden from the DiT.
        text_limit: at most this many text tokens are kept.
        prompt_drop: tokens of the message that come before the picture and are dropped.
        prediction: what the network's output means: "velocity", or "reference_change", the difference of picture and reference.
        steps, guidance, size: defaults; size is the side in pixels of the square with the picture's area.
        guidance_limit: guidance is limited in length where t is above this; None never.
        schedule_low, schedule_high: (picture tokens, shift exponent), the line that gives the shift.
    """

    name: str
    dit: DiTConfig = field(default_factory=DiTConfig)
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    patch: int = 2
    reference_ids: Literal["shared", "offset", "axis"] = "shared"
    text_padding: int = 640
    text_limit: int = 640
    prompt_drop: int = 217
    prediction: Literal["velocity", "reference_change"] = "velocity"
    steps: int = 28
    guidance: float = 6.0
    size: int = 1024
    guidance_limit: float | None = None
    schedule_low: tuple[int, float] = (256, 0.5)
    schedule_high: tuple[int, float] = (4096, 1.15)

    @property
    def cell(self) -> int:
        """Pixels along the side of one token; both sides of a picture must be multiples of it."""
        return 2 ** (len(self.autoencoder.ch_mult) - 1) * self.patch


PRESETS: dict[str, Preset] = {
    "v1.0": Preset("v1.0"),
    "v1.1": Preset("v1.1", connector=ConnectorConfig(scale_factor=False), reference_ids="offset", guidance_limit=0.93),
    "v1.2": Preset(
        "v1.2",
        connector=ConnectorConfig(scale_factor=False, text_token_mapping=True),
        reference_ids="axis",
        text_padding=0,
        text_limit=2048,
        prompt_drop=90,
        steps=50,
    ),
    "mini": Preset(
        "mini",
        dit=DiTConfig(
            in_channels=384,
            out_channels=384,
            vec_in_dim=192,
            context_in_dim=192,
            hidden_size=192,
            num_heads=3,
            depth=2,
            depth_single_blocks=4,
            axes_dim=(16, 24, 24),
            theta=10,
        ),
        connector=ConnectorConfig(in_channels=192, hidden_size=192, heads_num=3, scale_factor=False),
        autoencoder=AutoencoderConfig(
            resolution=128, ch=12, ch_mult=(1, 2, 3), num_res_blocks=1, z_channels=24, scale_factor=0.735, shift_factor=0.05, groups=4
        ),
        patch=4,
        text_padding=0,
        text_limit=128,
        prompt_drop=2,
        prediction="reference_change",
        steps=4,
        guidance=1.0,
        size=128,
    ),
}
