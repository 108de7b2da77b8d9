"""The configuration files of a diffusers folder: what they say of our sizes, and what we write into them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import Preset, read_sizes

_VAE_FIELDS = {
    "in_channels": "in_channels",
    "out_channels": "out_ch",
    "latent_channels": "z_channels",
    "layers_per_block": "num_res_blocks",
    "norm_num_groups": "groups",
    "scaling_factor": "scale_factor",
    "shift_factor": "shift_factor",
    "sample_size": "resolution",
}


def read_vae_config(values: Any, preset: Preset, source: str) -> Preset:
    """The preset with the autoencoder's sizes that `vae/config.json` gives; fields that it lacks stay.

    Raises:
        WeightsError: it is no such configuration, or describes an autoencoder with parts that these never have.
    """
    channels = values.get("block_out_channels") if isinstance(values, dict) else None
    if not isinstance(channels, list) or not channels or not all(isinstance(c, int) and c > 0 and c % channels[0] == 0 for c in channels):
        raise WeightsError(
            f"{source} is not the configuration of a diffusers autoencoder: block_out_channels must be multiples of the first."
        )
    if values.get("use_quant_conv") or values.get("use_post_quant_conv"):
        raise WeightsError(f"{source} describes another autoencoder: use_quant_conv and use_post_quant_conv must be false.")
    sizes = {ours: values[theirs] for theirs, ours in _VAE_FIELDS.items() if values.get(theirs) is not None}
    shape = {"ch": channels[0], "ch_mult": tuple(c // channels[0] for c in channels)}
    return read_sizes(preset, source, autoencoder={**asdict(preset.autoencoder), **sizes, **shape})


def vae_config(preset: Preset) -> dict[str, Any]:
    """What `vae/config.json` says of the preset's autoencoder."""
    sizes = preset.autoencoder
    levels = len(sizes.ch_mult)
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": [sizes.ch * m for m in sizes.ch_mult],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "force_upcast": True,
        "mid_block_add_attention": True,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        **{theirs: getattr(sizes, ours) for theirs, ours in _VAE_FIELDS.items()},
    }


def transformer_config(preset: Preset) -> dict[str, Any]:
    """What `transformer/config.json` says of the preset's connector and DiT."""
    dit, connector = preset.dit, preset.connector
    return {
        "_class_name": "Step1XEditTransformer2DModel",
        "patch_size": 1,
        "in_channels": dit.in_channels,
        "out_channels": None if dit.out_channels == dit.in_channels else dit.out_channels,
        "num_layers": dit.depth,
        "num_single_layers": dit.depth_single_blocks,
        "attention_head_dim": dit.hidden_size // dit.num_heads,
        "num_attention_heads": dit.num_heads,
        "joint_attention_dim": dit.context_in_dim,
        "vector_in_dim": dit.vec_in_dim,
        "connector_in_channels": connector.in_channels,
        "connector_hidden_size": connector.hidden_size,
        "connector_heads_num": connector.heads_num,
        "connector_depth": connector.depth,
        "guidance_embeds": False,
        "axes_dims_rope": list(dit.axes_dim),
        "enable_text_token_mapping": connector.text_token_mapping,
    }


def scheduler_config(preset: Preset) -> dict[str, Any]:
    """What `scheduler/scheduler_config.json` says of the preset's schedule."""
    (low, low_shift), (high, high_shift) = preset.schedule_low, preset.schedule_high
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "use_dynamic_shifting": True,
        "base_image_seq_len": low,
        "base_shift": low_shift,
        "max_image_seq_len": high,
        "max_shift": high_shift,
    }


def model_index(preset: Preset) -> dict[str, Any]:
    """What `model_index.json` lists: the parts of the folder and the classes that read them."""
    return {
        "_class_name": "Step1XEditPipelineV1P2" if preset.message.positions else "Step1XEditPipeline",
        "processor": ["transformers", "Qwen2_5_VLProcessor"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "transformer": ["diffusers", "Step1XEditTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
