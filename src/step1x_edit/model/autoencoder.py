"""Picture <-> latent: the convolutional autoencoder at both ends of the figure (FLUX's, frozen while the editor is trained).

The encoder halves the picture once per entry of `ch_mult` but the last and gives a mean and a log-variance; the decoder mirrors it.
The editor works on the mean, shifted and scaled: latent = scale * (mean - shift). Parameter names are those of the released
`vae.safetensors`; sizes come from the configuration, so the same classes serve the embedded model.

Shape suffixes: B batch, C channels, H, W picture or feature height and width, Z latent channels, h, w latent height and width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.presets import AutoencoderConfig
from step1x_edit.model.strips import double_and_convolve, normalise_and_convolve


class Residual(nn.Module):
    """Two 3x3 convolutions on normalised activations, added to the input; a 1x1 convolution where the channel count changes."""

    def __init__(self, c_in: int, c_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, c_in, eps=1e-6)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, c_out, eps=1e-6)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out:
            self.nin_shortcut = nn.Conv2d(c_in, c_out, 1)
        self.rows: int | None = None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h = normalise_and_convolve(x_BCHW, self.norm1, self.conv1, self.rows)
        shortcut = self.nin_shortcut if hasattr(self, "nin_shortcut") else nn.Identity()
        return normalise_and_convolve(h, self.norm2, self.conv2, self.rows, (x_BCHW, shortcut))


class Attention(nn.Module):
    """One head of self-attention over all positions, added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h = self.norm(x_BCHW)
        # contiguous: the CPU's fast attention kernel is not taken for strided queries
        q, k, v = (f(h).flatten(2).transpose(1, 2).unsqueeze(1).contiguous() for f in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2)
        return x_BCHW + self.proj_out(attended.reshape(x_BCHW.shape))


class Middle(nn.Module):
    """The lowest resolution: residual block, attention, residual block."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = Residual(channels, channels, groups)
        self.attn_1 = Attention(channels, groups)
        self.block_2 = Residual(channels, channels, groups)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x_BCHW)))


class Downsample(nn.Module):
    """Half the height and width; padded at the right and the bottom alone, as the released weights expect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(F.pad(x_BCHW, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the height and width, by repetition and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rows: int | None = None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return double_and_convolve(x_BCHW, self.conv, self.rows)


class Level(nn.Module):
    """The blocks of one resolution; the encoder and the decoder attach the step to the next resolution where there is one."""

    def __init__(self, c_in: int, c_out: int, blocks: int, groups: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(Residual(c_in if i == 0 else c_out, c_out, groups) for i in range(blocks))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for block in self.block:
            x_BCHW = block(x_BCHW)
        return x_BCHW


class Encoder(nn.Module):
    """Picture [B, C, H, W] -> moments [B, 2 Z, h, w]."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.ch * m for m in config.ch_mult]
        self.conv_in = nn.Conv2d(config.in_channels, config.ch, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            level = Level(config.ch if i == 0 else widths[i - 1], width, config.num_res_blocks, config.groups)
            if i < len(widths) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1], config.groups)
        self.norm_out = nn.GroupNorm(config.groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.z_channels, 3, padding=1)
        self.rows: int | None = None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h = self.conv_in(x_BCHW)
        for level in self.down:
            h = level(h)
            if isinstance(step := getattr(level, "downsample", None), Downsample):
                h = step(h)
        return normalise_and_convolve(self.mid(h), self.norm_out, self.conv_out, self.rows)


class Decoder(nn.Module):
    """Mean [B, Z, h, w] -> picture [B, C, H, W]; level i of the encoder and of the decoder have the same resolution."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.ch * m for m in config.ch_mult]
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], config.groups)
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            level = Level(widths[min(i + 1, len(widths) - 1)], width, config.num_res_blocks + 1, config.groups)
            if i > 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = nn.GroupNorm(config.groups, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], config.out_ch, 3, padding=1)
        self.rows: int | None = None

    def forward(self, z_BZhw: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z_BZhw))
        for level in reversed(self.up):
            h = level(h)
            if isinstance(step := getattr(level, "upsample", None), Upsample):
                h = step(h)
        return normalise_and_convolve(h, self.norm_out, self.conv_out, self.rows)


class Autoencoder(nn.Module):
    """Both halves, with the latent's scale and shift.

    Source: reference facts, "Autoencoder: FLUX's (16 channels, x8, scale 0.3611, shift 0.1159)".
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def use_strips(self, rows: int | None) -> None:
        """Compute so many rows of a layer at a time, which needs a fraction of the memory; None computes all at once."""
        for part in self.modules():
            if isinstance(part, Residual | Upsample | Encoder | Decoder):
                part.rows = rows

    @property
    def factor(self) -> int:
        """Picture pixels per latent pixel, along each side."""
        return 2 ** (len(self.config.ch_mult) - 1)

    def moments(self, image_BCHW: Tensor) -> Tensor:
        """Picture in -1..1, sides multiples of `factor` -> mean and log-variance, stacked: [B, 2 Z, H/factor, W/factor]."""
        return self.encoder(image_BCHW)

    def encode(self, image_BCHW: Tensor) -> Tensor:
        """Picture in -1..1 -> latent [B, Z, H/factor, W/factor], from the mean alone, so that equal pictures give equal latents."""
        mean = self.moments(image_BCHW).chunk(2, dim=1)[0]
        return self.config.scale_factor * (mean - self.config.shift_factor)

    def decode(self, latent_BZhw: Tensor) -> Tensor:
        """Latent -> picture [B, C, H, W], about -1..1; the caller clips."""
        return self.decoder(latent_BZhw / self.config.scale_factor + self.config.shift_factor)
