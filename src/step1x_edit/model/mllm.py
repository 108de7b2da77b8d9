"""Picture + instruction -> tokens and mask: Qwen2.5-VL, frozen, whose last hidden states are the editor's condition.

The message is one user turn: prefix text, picture, instruction. The tokens of the prefix are dropped from the result, since they are the
same for every request; those of the picture stay. The small MLLM of the embedded model is the same class with its own tokenizer.

Shape suffixes: B batch, L tokens, C the MLLM's hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding

if TYPE_CHECKING:
    from PIL.Image import Image

PREFIX_FILE = "mllm_prefix.txt"


class Processor(Qwen2_5_VLProcessor):
    """The Qwen2.5-VL processor without its video half, which alone would need torchvision."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any) -> None:
        super().__init__(image_processor, tokenizer, video_processor=None, chat_template=chat_template)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that are saved and loaded."""
        return ["image_processor", "tokenizer"]

    @classmethod
    def open(cls, folder: Path) -> Processor:
        """Read a processor from a folder in the `save_pretrained` layout."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True), tokenizer, tokenizer.chat_template)


class MLLM:
    """The frozen Qwen2.5-VL with its processor and the preset's message layout."""

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration, processor: Processor, preset: Preset, prefix: str = "") -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.preset = preset
        self.prefix = prefix

    @classmethod
    def open(cls, folder: Path, preset: Preset, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> MLLM:
        """Load from a folder in the `save_pretrained` layout; the prefix text lies beside the weights in `mllm_prefix.txt`.

        Raises:
            WeightsError: the folder is missing, incomplete or damaged.
        """
        try:
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
            )
            processor = Processor.open(folder)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"The MLLM in {folder} cannot be loaded ({str(error).splitlines()[0]}).") from error
        path = folder / PREFIX_FILE
        prefix = path.read_text(encoding="utf-8") if path.exists() else ""
        model.to(torch.device(device))  # type: ignore[arg-type]  # the wrapper of `to` is typed as if it took the model twice
        return cls(model, processor, preset, prefix)

    def prepare(self, images: Sequence[Image | None], instructions: Sequence[str]) -> dict[str, Tensor]:
        """Messages -> padded token ids and picture patches, on the CPU. None stands for a request without a picture."""
        texts = [self.message(instruction, image is not None) for image, instruction in zip(images, instructions, strict=True)]
        pictures = [image.convert("RGB") for image in images if image is not None]
        return dict(
            self.processor(text=texts, images=pictures or None, padding=True, padding_side="right", return_tensors="pt"),
        )

    def message(self, instruction: str, with_image: bool = True) -> str:
        """The whole text of one request, up to where the answer would begin."""
        content: list[dict[str, Any]] = [{"type": "text", "text": self.prefix}] if self.prefix else []
        if with_image:
            content.append({"type": "image"})
        content.append({"type": "text", "text": instruction})
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)

    @torch.no_grad()
    def embed(self, prepared: dict[str, Tensor]) -> Embedding:
        """Run the model on what `prepare` made; returns tokens [B, L, C] and mask [B, L], the dropped tokens already gone.

        L is the longest of the batch, or the preset's fixed number of tokens.
        """
        inputs = {key: value.to(self.model.device) for key, value in prepared.items()}
        hidden = self.model.model(**inputs, use_cache=False).last_hidden_state
        drop, limit, pad = self.preset.prompt_drop, self.preset.text_limit, self.preset.text_padding
        tokens_BLC = hidden[:, drop : drop + limit]
        mask_BL = inputs["attention_mask"][:, drop : drop + limit].bool()
        if missing := max(0, pad - tokens_BLC.shape[1]):
            tokens_BLC = torch.nn.functional.pad(tokens_BLC, (0, 0, 0, missing))
            mask_BL = torch.nn.functional.pad(mask_BL, (0, missing))
        return Embedding(tokens_BLC * mask_BL.unsqueeze(-1), mask_BL)

    def encode(self, images: Sequence[Image | None], instructions: Sequence[str]) -> Embedding:
        """`prepare` and `embed` in one."""
        return self.embed(self.prepare(images, instructions))
