"""Pictures and models for the tests: photographs drawn from formulas, and the embedded model's architecture with random weights."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("step1x", deadline=None)  # the machine may be busy
settings.load_profile("step1x")


def draw_scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with gradients, edges and fine texture, as a photograph has them; RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height, 2)
    sky = np.stack([0.35 + 0.3 * y, 0.5 + 0.2 * y, 0.8 - 0.2 * x], axis=-1)
    ground = np.stack([0.45 + 0.2 * x, 0.35 + 0.1 * np.sin(20 * x), 0.2 + 0.1 * y], axis=-1)
    horizon = 0.3 * height / max(width, height, 2) + 0.05 * np.sin(6 * x + seed)
    scene = np.where((y > horizon)[..., None], ground, sky)
    trunk = (np.abs(x - 0.7) < 0.05) & (y > 0.1)
    scene = np.where(trunk[..., None], [0.25, 0.15, 0.1], scene)
    texture = 0.03 * np.sin(150 * x)[..., None] * np.cos(130 * y)[..., None] + 0.01 * rng.standard_normal((height, width, 1))
    return Image.fromarray((np.clip(scene + texture, 0, 1) * 255).round().astype(np.uint8))


@pytest.fixture(scope="session", name="draw_scene")
def draw_scene_() -> Callable[..., Image.Image]:
    """The function of that name."""
    return draw_scene


@pytest.fixture(scope="session")
def png_with_header() -> Callable[[int, int], bytes]:
    """A PNG that declares any size, and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def make(width: int, height: int) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def scene() -> Image.Image:
    """300 x 200 pixels."""
    return draw_scene(300, 200)


@pytest.fixture(scope="session")
def still_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights with the embedded model's sizes, random, but for the last layer, which is zero: it changes nothing."""
    return _write_mini(tmp_path_factory.mktemp("still_mini"), strength=0.0)


@pytest.fixture(scope="session")
def random_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights with the embedded model's sizes, all random: it draws nonsense, which depends on everything it is given."""
    return _write_mini(tmp_path_factory.mktemp("random_mini"), strength=0.05)


def _write_mini(folder: Path, strength: float) -> Path:
    import torch

    from step1x_edit.model.autoencoder import Autoencoder
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.step1x_edit import Step1XEdit
    from step1x_edit.model.weights import MLLM_FOLDER, save_autoencoder, save_folder, save_model
    from step1x_edit.training.tasks.mllm import build_mllm, build_tokenizer

    preset = PRESETS["mini"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mllm = build_mllm(build_tokenizer(["make it night", "add a red ball", "把背景换成海滩"], size=300), "mini")

        def write(partial: Path) -> None:
            mllm.model.save_pretrained(partial)
            mllm.processor.image_processor.save_pretrained(partial)
            mllm.processor.tokenizer.save_pretrained(partial)

        save_folder(folder / MLLM_FOLDER, write)
        save_autoencoder(folder, Autoencoder(preset.autoencoder).state_dict())
        model = Step1XEdit(preset)
        model.initialise(0)
        if strength:
            for parameter in model.parameters():
                if not parameter.any():
                    torch.nn.init.normal_(parameter, std=strength)
        save_model(folder, preset, model.state_dict())
    return folder
