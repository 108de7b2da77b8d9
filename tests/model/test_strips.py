"""The autoencoder some rows at a time: the same picture as at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.presets import AutoencoderConfig

Draw = Callable[..., Tensor]
CONFIG = AutoencoderConfig(ch=16, ch_mult=(1, 2, 2), num_res_blocks=1, z_channels=4, groups=4)


@pytest.fixture
def autoencoder(randomise: Callable[..., None]) -> Autoencoder:
    made = Autoencoder(CONFIG).eval().requires_grad_(False)
    randomise(made)
    return made


@pytest.mark.parametrize("rows", [1, 3, 8, 20, 100])
@pytest.mark.parametrize("size", [(44, 52), (64, 24)])
def test_strips_leave_no_seam(autoencoder: Autoencoder, draw: Draw, rows: int, size: tuple[int, int]) -> None:
    image = draw(2, 3, *size)
    latent = autoencoder.encode(image)
    picture = autoencoder.decode(latent)
    autoencoder.use_strips(rows)
    with torch.inference_mode():
        torch.testing.assert_close(autoencoder.encode(image), latent, rtol=1e-4, atol=1e-5 * float(latent.std()))
        torch.testing.assert_close(autoencoder.decode(latent), picture, rtol=1e-4, atol=1e-5 * float(picture.std()))


def test_the_picture_that_was_given_is_left_alone(autoencoder: Autoencoder, draw: Draw) -> None:
    image, latent = draw(1, 3, 64, 64), draw(1, 4, 16, 16)
    autoencoder.use_strips(4)
    copies = image.clone(), latent.clone()
    with torch.inference_mode():
        autoencoder.encode(image), autoencoder.decode(latent)
    assert torch.equal(image, copies[0]) and torch.equal(latent, copies[1])
    autoencoder.use_strips(None)
    assert not [part for part in autoencoder.modules() if getattr(part, "rows", None)]
