"""Train the small MLLM: shown a picture and told an instruction, say the edit, the scene, and the scene after the edit.

The answer is never used afterwards. What counts is that the hidden states of the picture and of the instruction, which the editor reads,
come to hold what is asked and what is there. Instructions are half English and half Chinese, answers English.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from step1x_edit.data.triplet import Triplet
from step1x_edit.model.mllm import MLLM, Processor
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.weights import save_folder
from step1x_edit.training.batches import instruction_of, streams_of
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.trainer import Task

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]

# One user turn and the start of the answer, in as few tokens as can be: they are read at every edit.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
)

# Choice: as small as still learns to tell the edits apart; the vision tokens of a 112 x 112 picture are 16.
TEXT = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 10000.0},
}
VISION = {
    "depth": 3,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_heads": 2,
    "out_hidden_size": 192,
    "fullatt_block_indexes": [0, 1, 2],
}
PIXELS = (4 * 4 * 28 * 28, 4 * 4 * 28 * 28)
VOCABULARY, CORPUS = 4096, 6000
"""Tokens, and samples that they are learned from, rounded up to whole batches."""


def answer_of(triplet: Triplet) -> str:
    """What the MLLM learns to say."""
    return f"{triplet.edit}; {triplet.source_caption}; {triplet.target_caption}"


def build_tokenizer(texts: list[str], size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned from `texts`: any text can be written in it, English and Chinese instructions in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIAL[1:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )


def build_mllm(tokenizer: PreTrainedTokenizerFast, preset_name: str) -> MLLM:
    """A small Qwen2.5-VL with random weights around a tokenizer."""
    ids: dict[str, Any] = {
        name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad", "vision_start", "vision_end")
    }
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": None,
            "tie_word_embeddings": True,
        },
        vision_config=VISION,
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
    )
    pictures = Qwen2VLImageProcessorPil(size={"shortest_edge": PIXELS[0], "longest_edge": PIXELS[1]})
    processor = Processor(pictures, tokenizer, tokenizer.chat_template)
    return MLLM(Qwen2_5_VLForConditionalGeneration(config), processor, PRESETS[preset_name])


class MLLMTask(Task):
    """See `trainer.Task`."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.streams, self._limit = streams_of(recipe), recipe.data.limit
        saved = out / "mllm"  # a run that is gone on with keeps its tokens, whatever has become of the wordings
        tokenizer = PreTrainedTokenizerFast.from_pretrained(saved) if saved.exists() else build_tokenizer(self._corpus(recipe))
        self.mllm = build_mllm(tokenizer, recipe.model.preset)
        self.model: nn.Module = self.mllm.model.requires_grad_(True)

    def _corpus(self, recipe: Recipe) -> list[str]:
        """What the tokenizer is learned from: instructions and answers of the last stage's first samples."""
        stage, texts = recipe.stages[-1], []
        for first in range(0, CORPUS, stage.batch):
            for triplet in self.streams.triplets(stage, range(first, first + stage.batch)):
                texts += [triplet.instruction_en, triplet.instruction_zh, answer_of(triplet)]
        return texts

    def batch(self, portion: Portion) -> dict[str, Tensor]:
        """The processor's tensors, and labels [B, L] that are -100 up to the answer."""
        triplets = self.streams.triplets(portion.stage, portion.samples)
        images = [Image.fromarray(t.source) for t in triplets]
        prompts = [self.mllm.message(instruction_of(t, number, self._limit)) for number, t in zip(portion.samples, triplets, strict=True)]
        texts = [f"{prompt}{answer_of(t)}<|im_end|>" for prompt, t in zip(prompts, triplets, strict=True)]
        batch: dict[str, Any] = dict(
            self.mllm.processor(text=texts, images=images, padding=True, padding_side="right", return_tensors="pt")
        )
        start = self.mllm.processor.tokenizer.convert_tokens_to_ids("<|im_start|>")
        # the answer follows the second (the last) turn mark
        answer = (batch["input_ids"] == start).cumsum(1) >= 2
        answer &= (batch["input_ids"] != start) & batch["attention_mask"].bool()
        batch["labels"] = batch["input_ids"].masked_fill(~answer, -100)
        return batch

    def loss(self, batch: dict[str, Tensor], draws: Sequence[torch.Generator]) -> Tensor:
        """Cross-entropy, the mean of each answer's tokens and then of the answers, so that a batch in pieces is the same batch."""
        labels = batch["labels"][:, 1:]
        said = self.mllm.model(**{name: value for name, value in batch.items() if name != "labels"}, use_cache=False).logits[:, :-1]
        each = F.cross_entropy(said.float().transpose(1, 2), labels, reduction="none")  # 0 where there is no answer
        return (each.sum(1) / (labels != -100).sum(1)).mean()

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write `mllm/` in the `save_pretrained` layout."""
        state = {name: weights.get(name, value) for name, value in self.mllm.model.state_dict().items()}
        del state["lm_head.weight"]  # tied to the embedding
        narrow = {name: value.to(torch.bfloat16) for name, value in state.items()}
        save_folder(folder / "mllm", lambda partial: self.mllm.save(partial, narrow))
