"""Pictures and models for the tests: photographs drawn from formulas, and the embedded model's architecture with random weights.

And file systems on which writing fails.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

if TYPE_CHECKING:
    from step1x_edit.model.mllm import MLLM
    from step1x_edit.model.presets import Preset

sys.path.insert(0, str(Path(__file__).parent))

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
    """A folder of random weights in the embedded model's layers, but for the last one, which is zero: it changes nothing. For 64 pixels."""
    return _write_mini(tmp_path_factory.mktemp("still_mini"), strength=0.0)


@pytest.fixture(scope="session")
def random_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of random weights in the embedded model's layers: it draws nonsense, which depends on all it is given. For 64 pixels."""
    return _write_mini(tmp_path_factory.mktemp("random_mini"), strength=0.05)


TWIN_TEMPLATE = (
    "{% set n = namespace(pictures=0) %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}"
    "{% if p.type == 'image' %}{% set n.pictures = n.pictures + 1 %}{% if add_vision_id %}Picture {{ n.pictures }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As the released MLLM's: turns with a role, pictures with a number."""


def build_twin_mllm(preset: Preset, prefix: str) -> MLLM:
    """A Qwen2.5-VL of a few thousand random weights, whose tokens are single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from step1x_edit.model.mllm import MLLM, Processor

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=special[0],
        eos_token=special[2],
        additional_special_tokens=special[1:],
        chat_template=TWIN_TEMPLATE,
        model_max_length=4096,
    )
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
            "vocab_size": len(words),
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": 2,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        vision_start_token_id=3,
        vision_end_token_id=4,
        image_token_id=5,
        video_token_id=6,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2_5_VLForConditionalGeneration(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return MLLM(model, Processor(Qwen2VLImageProcessorPil(), fast, TWIN_TEMPLATE), preset, prefix)


def twin_preset(name: str, prefix: str) -> Preset:
    """The row of that name with tiny sizes; how it asks the MLLM, and all else that is not a size, stay."""
    from dataclasses import replace

    from step1x_edit.model.presets import PRESETS, AutoencoderConfig, DiTConfig

    row = PRESETS[name]
    drop = len("1user\n") + len(prefix.encode())
    return replace(
        row,
        dit=DiTConfig(
            in_channels=16,
            out_channels=16,
            vec_in_dim=10,
            context_in_dim=24,
            hidden_size=32,
            num_heads=2,
            depth=1,
            depth_single_blocks=2,
            axes_dim=(4, 6, 6),
        ),
        connector=replace(row.connector, in_channels=32, hidden_size=24, heads_num=3, depth=1),
        autoencoder=AutoencoderConfig(resolution=64, ch=8, ch_mult=(1, 1, 1, 1), num_res_blocks=1, z_channels=4, groups=4),
        text_padding=96 if row.text_padding else 0,
        text_limit=96 if row.text_padding else 2048,
        prompt_drop=drop,
        message=replace(row.message, quotes_from=len("<|im_start|>user\n") + len(prefix), pixels=(4 * 784, 6 * 784), prefix=None),
        steps=2,
        size=64,
    )


@pytest.fixture(scope="session", name="build_twin_mllm")
def build_twin_mllm_() -> Callable[..., MLLM]:
    """The function of that name."""
    return build_twin_mllm


@pytest.fixture(scope="session", name="twin_preset")
def twin_preset_() -> Callable[..., Preset]:
    """The function of that name."""
    return twin_preset


def _write_mini(folder: Path, strength: float) -> Path:
    import torch

    from step1x_edit.model.autoencoder import Autoencoder
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.step1x_edit import Step1XEdit
    from step1x_edit.model.weights import MLLM_FOLDER, save_autoencoder, save_folder, save_model
    from step1x_edit.training.tasks.mllm import build_mllm, build_tokenizer

    preset = replace(PRESETS["mini"], size=64)
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


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 16 KiB."""
    yield from _mount(tmp_path / "full", "size=16k")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to."""
    if os.geteuid() == 0:
        yield from _mount(tmp_path / "read_only", "ro,size=16k")  # root may write to any folder whose disk lets it
    else:
        folder = tmp_path / "read_only"
        folder.mkdir(mode=0o555)
        yield folder


def _mount(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs more rights than this user has")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def breaking_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub whose connection breaks, and an empty cache."""
    from http.server import ThreadingHTTPServer
    from threading import Thread

    from huggingface_hub import constants

    from breaking_hub import BreakingHub

    server = ThreadingHTTPServer(("127.0.0.1", 0), BreakingHub)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()
