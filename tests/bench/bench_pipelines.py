"""Edit pipelines of the diffusers library with a few thousand random weights, saved as their folders are published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def build_tokenizer(longest: int) -> PreTrainedTokenizerFast:
    """Single bytes as tokens, and one that ends the text."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[0],
        additional_special_tokens=SPECIAL[1:],
        model_max_length=longest,
    )


WORDS = len(SPECIAL) + 256


def build_clip(hidden: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=WORDS,
            hidden_size=hidden,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            eos_token_id=0,
            pad_token_id=0,
            bos_token_id=0,
        )
    )


def build_vae(channels: int, blocks: int) -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.5,
        shift_factor=0.1,
    )


def build_pix2pix() -> StableDiffusionInstructPix2PixPipeline:
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return StableDiffusionInstructPix2PixPipeline(
        vae=build_vae(4, 2),
        text_encoder=build_clip(16),
        tokenizer=build_tokenizer(77),
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_kontext() -> FluxKontextPipeline:
    t5 = T5EncoderModel(T5Config(vocab_size=WORDS, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 6, 6),
        guidance_embeds=True,
    )
    return FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=build_vae(4, 4),
        text_encoder=build_clip(16),
        tokenizer=build_tokenizer(77),
        text_encoder_2=t5,
        tokenizer_2=build_tokenizer(128),
        transformer=transformer,
    )


def build_omnigen() -> OmniGenPipeline:
    transformer = OmniGenTransformer2DModel(
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_layers=1,
        in_channels=4,
        time_step_dim=4,
        rope_scaling={"long_factor": [1.0] * 4, "short_factor": [1.0] * 4},
        rope_base=10000,
        max_position_embeddings=4096,
        original_max_position_embeddings=4096,
        pad_token_id=0,
        vocab_size=WORDS,
    )
    return OmniGenPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
        vae=build_vae(4, 4),
        tokenizer=build_tokenizer(4096),
    )


def build_qwen() -> QwenImageEditPipeline:
    from transformers import Qwen2VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
            "vocab_size": WORDS,
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
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 6, 6),
    )
    vae = AutoencoderKLQwenImage(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    )
    tokenizer = build_tokenizer(4096)
    return QwenImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        processor=Qwen2VLProcessor(Qwen2VLImageProcessorPil(), tokenizer),
        transformer=transformer,
    )


BUILDERS: dict[str, Callable[[], Any]] = {
    "InstructPix2Pix": build_pix2pix,
    "Kontext": build_kontext,
    "OmniGen": build_omnigen,
    "QwenImageEdit": build_qwen,
}


def save_pipeline(kind: str, folder: Path) -> Path:
    """A folder as those of the hub, with random weights that are the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = BUILDERS[kind]()
        if kind == "OmniGen":  # its small first weights would hide what it was asked
            for parameter in pipeline.transformer.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
    pipeline.save_pretrained(folder / kind)
    return folder / kind


@contextmanager
def without_torchvision() -> Iterator[None]:
    """What two of the pipelines take from torchvision, where it is not installed: four transforms, and none of its video half."""
    import transformers
    from diffusers.pipelines.omnigen import pipeline_omnigen, processor_omnigen
    from diffusers.utils import is_torchvision_available

    from step1x_edit.model.mllm import Processor

    if is_torchvision_available():
        yield
        return
    qwen = type("Qwen2VLProcessor", (Processor,), {"__module__": "transformers"})
    with (
        patch.object(processor_omnigen, "transforms", TRANSFORMS, create=True),
        patch.object(pipeline_omnigen, "OmniGenMultiModalProcessor", processor_omnigen.OmniGenMultiModalProcessor, create=True),
        patch.object(transformers, "Qwen2VLProcessor", qwen),
    ):
        yield


def _compose(steps: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run


def _to_tensor() -> Callable[[Any], torch.Tensor]:
    return lambda picture: torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


def _normalize(mean: list[float], std: list[float], inplace: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda values: (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


TRANSFORMS = SimpleNamespace(Compose=_compose, Lambda=lambda run: run, ToTensor=_to_tensor, Normalize=_normalize)
