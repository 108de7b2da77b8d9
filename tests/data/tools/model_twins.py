"""Tiny twins of the models that tools run: their own architectures with a few thousand random weights, saved as they are published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GLPNConfig,
    GLPNForDepthEstimation,
    GLPNImageProcessorPil,
    PreTrainedTokenizerFast,
    Sam2Config,
    Sam2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
    T5Config,
    T5EncoderModel,
    VitDetConfig,
    VitMatteConfig,
    VitMatteForImageMatting,
    VitMatteImageProcessorPil,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessorPil,
)

SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
"""Their ids are 0 to 3; 256 single bytes follow."""

WORDS = len(SPECIAL) + 256


TINY: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION: dict[str, Any] = {**TINY, "image_size": 32, "patch_size": 8}
TEXT: dict[str, Any] = {
    **TINY,
    "vocab_size": WORDS,
    "max_position_embeddings": 64,
    "eos_token_id": 2,
    "bos_token_id": 1,
    "pad_token_id": 0,
}


def build_tokenizer(longest: int, extra: tuple[str, ...] = (), **named: Any) -> PreTrainedTokenizerFast:
    """Single bytes as tokens, an end after each text; `extra` are further tokens, `named` is passed on."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in extra])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=longest, **named
    )


def randomise(model: torch.nn.Module, spread: float = 0.2, seed: int = 0) -> torch.nn.Module:
    """Weights that make an answer depend on all that it is asked."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model.eval()


def save_sam2(folder: Path) -> None:
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [64, 64],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 2, 2, 2],
            "global_attention_blocks": [3],
            "window_positional_embedding_background_size": [4, 4],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
            "dynamic_multimask_via_stability": False,
        },
    )
    randomise(Sam2Model(config)).save_pretrained(folder)


def save_florence2(folder: Path, answer: str = "") -> None:
    """A random one, or one that answers everything with the same words and places."""
    places = tuple(f"<loc_{i}>" for i in range(1000))
    tokenizer = build_tokenizer(1024, places, extra_special_tokens={"image_token": "<image>"})
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 8, 16, 16],
        "num_heads": [1, 1, 2, 2],
        "num_groups": [1, 1, 2, 2],
        "patch_size": [7, 3, 3, 3],
        "window_size": 4,
        "projection_dim": 16,
        "max_temporal_embeddings": 4,
        "max_position_embeddings": 8,
    }
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
        "max_position_embeddings": 1024,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    config = Florence2Config(vision_config=vision, text_config=text, image_token_id=3, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = randomise(Florence2ForConditionalGeneration(config))
    model.generation_config.update(pad_token_id=0, eos_token_id=2, decoder_start_token_id=2)
    if answer:
        teach(model, [*tokenizer(answer, add_special_tokens=False).input_ids, 2])
    model.save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"height": 64, "width": 64}, crop_size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5
    tasks = {"pure_text": {}, "description_with_bboxes": {}, "phrase_grounding": {"banned_grounding_tokens": ["the image"]}}
    Florence2Processor(pictures, tokenizer, post_processor_config=tasks).save_pretrained(folder)


def teach(model: Any, tokens: list[int]) -> None:
    """Let a decoder say these tokens: each position has a direction of its own, and the token that is due there the same."""
    decoder, words = model.model.language_model.decoder, model.get_output_embeddings().weight
    width = words.shape[1]
    assert len(set(tokens)) == len(tokens) < width
    basis = torch.linalg.qr(torch.cat([torch.ones(width, 1), torch.randn(width, width - 1, generator=torch.Generator().manual_seed(0))], 1))
    directions = basis.Q.T[1:]  # without the mean, which normalisation takes away
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(0.05)
        for module in decoder.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1)
                module.bias.zero_()
        for position, token in enumerate(tokens):
            decoder.embed_positions.weight[decoder.embed_positions.offset + position] = 50 * directions[position]
            words[token] = 5 * directions[position]


def save_clip(folder: Path) -> None:
    randomise(CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12))).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, build_tokenizer(64)).save_pretrained(folder)


def save_siglip(folder: Path) -> None:
    randomise(SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION))).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessorPil(size={"height": 32, "width": 32}), build_tokenizer(64)).save_pretrained(folder)


def save_depth_anything(folder: Path) -> None:
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 8, 8, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    randomise(DepthAnythingForDepthEstimation(config)).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)


def save_zoedepth(folder: Path) -> None:
    backbone = {
        "model_type": "beit",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 64,
        "patch_size": 16,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
        "reshape_hidden_states": False,
        "use_relative_position_bias": True,
        "layer_scale_init_value": 0.1,
    }
    config = ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[4, 8, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=4,
        bin_embedding_dim=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
        num_attractors=[4, 3, 2, 1],
        batch_norm_eps=1e-5,
    )
    randomise(ZoeDepthForDepthEstimation(config), 0.1).save_pretrained(folder)
    ZoeDepthImageProcessorPil(size={"height": 64, "width": 64}, ensure_multiple_of=16).save_pretrained(folder)


def save_glpn(folder: Path) -> None:
    sizes: dict[str, Any] = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2]}
    randomise(GLPNForDepthEstimation(GLPNConfig(**sizes, decoder_hidden_size=8)), 0.1).save_pretrained(folder)
    GLPNImageProcessorPil().save_pretrained(folder)


def save_vitmatte(folder: Path) -> None:
    backbone = VitDetConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=64,
        pretrain_image_size=64,
        patch_size=16,
        num_channels=4,
        out_features=["stage1"],
        use_relative_position_embeddings=False,
    )
    config = VitMatteConfig(backbone_config=backbone, hidden_size=16, convstream_hidden_sizes=[4, 8, 16], fusion_hidden_sizes=[16, 8, 8, 4])
    randomise(VitMatteForImageMatting(config)).save_pretrained(folder)
    VitMatteImageProcessorPil().save_pretrained(folder)


def save_detector(folder: Path, labels: tuple[str, ...] = ("face", "license-plate", "lamp")) -> None:
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=12,
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
    )
    randomise(YolosForObjectDetection(config), 0.6, seed=1).save_pretrained(folder)
    YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)


def save_raft(file: Path, bias: tuple[float, float] = (1.5, -3.0)) -> None:
    """Two frames of 24 x 32 in, a coarse and a fine field out: a convolution of their difference, so that equal frames give `bias`."""
    kernel = numpy_helper.from_array(draw_kernel(2, 3), "kernel")
    shift = numpy_helper.from_array(np.array(bias, np.float32), "shift")
    nodes = [
        helper.make_node("Sub", ["1", "0"], ["difference"]),
        helper.make_node("Conv", ["difference", "kernel", "shift"], ["fine"], pads=[1, 1, 1, 1]),
        helper.make_node("AveragePool", ["fine"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    _save_onnx(file, nodes, {"0": (1, 3, 24, 32), "1": (1, 3, 24, 32)}, {"coarse": (1, 2, 3, 4), "fine": (1, 2, 24, 32)}, [kernel, shift])


def save_birefnet(file: Path) -> None:
    """A picture of 48 x 48 in, logits out, by one convolution."""
    kernel = numpy_helper.from_array(draw_kernel(1, 3) * 3, "kernel")
    nodes = [helper.make_node("Conv", ["input_image", "kernel"], ["output_image"], pads=[1, 1, 1, 1])]
    _save_onnx(file, nodes, {"input_image": (1, 3, 48, 48)}, {"output_image": (1, 1, 48, 48)}, [kernel])


def save_isnet(file: Path) -> None:
    """A picture of 48 x 48 in; opacity by one convolution out, and beside it what only training needs."""
    kernel = numpy_helper.from_array(draw_kernel(1, 3) * 3, "kernel")
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logits"], ["output"]),
        helper.make_node("AveragePool", ["output"], ["coarse"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    outputs = {"output": (1, 1, 48, 48), "coarse": (1, 1, 24, 24)}
    _save_onnx(file, nodes, {"input": (1, 3, 48, 48)}, outputs, [kernel])


def save_lama(file: Path) -> None:
    """A picture of 32 x 32 in 0..1 and a mask in, the picture in 0..255 out, with 90 where the mask is 1."""
    numbers = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("one", 1), ("grey", 90), ("white", 255))]
    nodes = [
        helper.make_node("Sub", ["one", "mask"], ["known"]),
        helper.make_node("Mul", ["image", "known"], ["kept"]),
        helper.make_node("Mul", ["kept", "white"], ["bright"]),
        helper.make_node("Mul", ["mask", "grey"], ["filled"]),
        helper.make_node("Add", ["bright", "filled"], ["output"]),
    ]
    _save_onnx(file, nodes, {"mask": (1, 1, 32, 32), "image": (1, 3, 32, 32)}, {"output": (1, 3, 32, 32)}, numbers)


def draw_kernel(out: int, into: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Weights of a convolution of 3 x 3."""
    return (np.random.default_rng(0).standard_normal((out, into, 3, 3)) * 0.1).astype(np.float32)


def _save_onnx(file: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], numbers: list[Any]) -> None:
    def declare(shapes: dict[str, Any]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    graph = helper.make_graph(nodes, "twin", declare(inputs), declare(outputs), numbers)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


def _build_text_encoder(kind: Any) -> Any:
    return kind(CLIPTextConfig(**{**TEXT, "num_hidden_layers": 2}, projection_dim=16))


def _build_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.5,
        shift_factor=0.1,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def save_flux_fill(folder: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxFillPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        in_channels=48,  # packed 2 x 2: 4 latent channels of the noise and 4 of the picture, and 4 pixels of the mask
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 6, 6),
        guidance_embeds=True,
    )
    FluxFillPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_build_vae(),
        text_encoder=_build_text_encoder(CLIPTextModel),
        tokenizer=build_tokenizer(64),
        text_encoder_2=T5EncoderModel(T5Config(vocab_size=WORDS, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        tokenizer_2=build_tokenizer(128),
        transformer=transformer,
    ).save_pretrained(folder)


def save_controlnet(folder: Path) -> None:
    """Three folders: `base`, `depth`, and `edges`, which as the published one takes no words."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3ControlNetModel,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "caption_projection_dim": 16,
        "pooled_projection_dim": 32,
    }
    networks = {
        "depth": SD3ControlNetModel(**sizes, num_layers=1, joint_attention_dim=32, pos_embed_max_size=48),
        "edges": SD3ControlNetModel(**sizes, num_layers=1, joint_attention_dim=None, pos_embed_type=None),
    }
    for name, network in networks.items():
        randomise(network, 0.1).save_pretrained(folder / name)
    StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(**sizes, num_layers=2, joint_attention_dim=32, pos_embed_max_size=48),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_build_vae(),
        text_encoder=_build_text_encoder(CLIPTextModelWithProjection),
        tokenizer=build_tokenizer(64),
        text_encoder_2=_build_text_encoder(CLIPTextModelWithProjection),
        tokenizer_2=build_tokenizer(64),
        text_encoder_3=T5EncoderModel(T5Config(vocab_size=WORDS, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        tokenizer_3=build_tokenizer(128),
    ).save_pretrained(folder / "base")


TWINS: dict[str, Callable[[Path], None]] = {
    "sam2": save_sam2,
    "florence2": save_florence2,
    "florence2-cat": lambda folder: save_florence2(folder, "cat<loc_100><loc_200><loc_500><loc_700>"),
    "clip": save_clip,
    "siglip": save_siglip,
    "depth-anything": save_depth_anything,
    "zoedepth": save_zoedepth,
    "glpn": save_glpn,
    "vitmatte": save_vitmatte,
    "detector": save_detector,
    "raft.onnx": save_raft,
    "birefnet.onnx": save_birefnet,
    "isnet.onnx": save_isnet,
    "lama.onnx": save_lama,
    "flux-fill": save_flux_fill,
    "controlnet": save_controlnet,
}
