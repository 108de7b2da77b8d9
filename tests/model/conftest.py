"""Models so small that a forward pass takes milliseconds, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.presets import PRESETS, AutoencoderConfig, ConnectorConfig, DiTConfig, Preset
from step1x_edit.model.records import Embedding
from step1x_edit.model.step1x_edit import Step1XEdit

DIT = DiTConfig(
    in_channels=16,
    out_channels=16,
    vec_in_dim=10,
    context_in_dim=24,
    hidden_size=32,
    num_heads=2,
    depth=2,
    depth_single_blocks=2,
    axes_dim=(4, 6, 6),
)
CONNECTOR = ConnectorConfig(in_channels=14, hidden_size=24, heads_num=3, depth=2)
AUTOENCODER = AutoencoderConfig(resolution=32, ch=8, ch_mult=(1, 2), num_res_blocks=1, z_channels=4, groups=4)


def _tiny(name: str) -> Preset:
    row = PRESETS[name]
    connector = replace(CONNECTOR, scale_factor=row.connector.scale_factor, text_token_mapping=row.connector.text_token_mapping)
    dit = replace(DIT, out_channels=20) if row.prediction == "reference_blend" else DIT
    return replace(row, dit=dit, connector=connector, autoencoder=AUTOENCODER, patch=2)


def _randomise(module: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def _tiny_model(name: str, seed: int = 0) -> Step1XEdit:
    model = Step1XEdit(_tiny(name)).eval().requires_grad_(False)
    _randomise(model, seed)
    return model


def _draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny() -> Callable[[str], Preset]:
    """The row of a name with tiny sizes; its behaviours, and which optional weights it has, stay."""
    return _tiny


@pytest.fixture
def tiny_model() -> Callable[..., Step1XEdit]:
    """Connector and DiT of the tiny row of a name, all weights random; a second argument is the seed."""
    return _tiny_model


@pytest.fixture
def randomise() -> Callable[..., None]:
    """Gives every parameter of a module a random value; a second argument is the seed."""
    return _randomise


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    """Standard normal numbers of a shape, which depend on `seed` alone."""
    return _draw


@pytest.fixture
def embedding() -> Embedding:
    """Two texts of 7 tokens; the second has 4 and padding, whose hidden states are not zero."""
    return Embedding(_draw(2, 7, CONNECTOR.in_channels), torch.tensor([[True] * 7, [True] * 4 + [False] * 3]))
