"""Picture + instruction -> tokens and mask: Qwen2.5-VL, frozen, whose last hidden states are the editor's condition.

The message is one user turn of prefix text, pictures and instruction, in the order of the version; message.py says how it is cut into
tokens. The tokens of the prefix are dropped from the result, since they are the same for every request; those of the picture stay. The
small MLLM of the embedded model is the same class with its own tokenizer.

Shape suffixes: B batch, L tokens, C the MLLM's hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from step1x_edit.errors import UsageError, WeightsError, first_line
from step1x_edit.model.message import Special, Tokenise, place, tokenise
from step1x_edit.model.presets import PREFIX_FILE, Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.tensors import read_json

if TYPE_CHECKING:
    from PIL.Image import Image

    Shown = Image | Sequence[Image]
    """What one request shows: a picture, or any number of them."""


_OLDER_TEMPLATE = "chat_template.json"
"""Where processors of older transformers keep the template, which their tokenizers may lack."""


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
        """Read a processor from a folder in the `save_pretrained` layout, today's or an older one.

        Raises:
            WeightsError: it has no chat template.
            OSError, ValueError: whatever else it lacks.
        """
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if tokenizer.chat_template is None and (older := folder / _OLDER_TEMPLATE).is_file() and isinstance(said := read_json(older), dict):
            tokenizer.chat_template = said.get("chat_template")
        if not isinstance(tokenizer.chat_template, str):
            raise WeightsError(f"{folder} has no chat template, as chat_template.jinja holds it; download it again.")
        return cls(Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True), tokenizer, tokenizer.chat_template)


def find_prefix(folder: Path) -> Path | None:
    """The prefix text beside the MLLM's weights, or else in the folder above."""
    return next((place / PREFIX_FILE for place in (folder, folder.parent) if (place / PREFIX_FILE).is_file()), None)


def read_prefix(folder: Path, preset: Preset) -> str:
    """What `find_prefix` finds; empty where there is none and none is needed.

    Raises:
        WeightsError: it is missing or another one.
    """
    expected = preset.message.prefix
    path = find_prefix(folder)
    if path is None:
        if expected is None:
            return ""
        raise WeightsError(f"The prefix text {PREFIX_FILE} is missing beside {folder}; step1x models pull {preset.name} fetches it.")
    text = path.read_bytes()
    if expected is not None and not expected.matches(text):
        raise WeightsError(f"{path} is not the prefix text of {preset.name}; step1x models pull {preset.name} fetches the right one.")
    return text.decode("utf-8", errors="replace")


class MLLM:
    """The frozen Qwen2.5-VL with its processor and the preset's message layout."""

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration, processor: Processor, preset: Preset, prefix: str = "") -> None:
        self.model = model.eval().requires_grad_(False)
        self.device: torch.device = model.device
        self.processor = processor
        self.preset = preset
        self.prefix = prefix
        if preset.message.pixels is not None:
            least, most = preset.message.pixels
            processor.image_processor.size = {"shortest_edge": least, "longest_edge": most}

    @classmethod
    def open(
        cls,
        folder: Path,
        preset: Preset,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        processor_folder: Path | None = None,
    ) -> MLLM:
        """Load from a folder in the `save_pretrained` layout.

        Args:
            folder: the weights; the prefix text lies beside them in `mllm_prefix.txt`, or in the folder above.
            preset: the version, whose prefix text it must be.
            device: where to put it.
            dtype: type to compute in.
            processor_folder: tokenizer and image processor, where they are not with the weights.

        Raises:
            WeightsError: the folder is missing, incomplete, damaged or quantised, or the prefix text is missing or another one.
        """
        config = read_json(folder / "config.json")
        if not isinstance(config, dict) or config.get("model_type") != "qwen2_5_vl":
            raise WeightsError(f"{folder / 'config.json'} does not describe a Qwen2.5-VL; download it again, or choose another folder.")
        if config.get("quantization_config"):
            raise WeightsError(
                f"The MLLM in {folder} is a quantised one, which is not read here; take the one in bfloat16 that it was made of."
            )
        try:
            opened: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, local_files_only=True, use_safetensors=True, attn_implementation="sdpa", output_loading_info=True
            )
            model, loaded = opened  # typed as if it gave the model alone
            processor = Processor.open(processor_folder or folder)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise WeightsError(f"The MLLM in {folder} cannot be loaded ({first_line(error)}).") from error
        if absent := sorted(loaded["missing_keys"]):
            raise WeightsError(f"The MLLM in {folder} is incomplete: {len(absent)} missing ({', '.join(absent[:3])}).")
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not all(torch.isfinite(bound) for bound in tensor.aminmax()):
                raise WeightsError(f"The MLLM in {folder} is damaged: {name} holds values that are not finite numbers.")
        prefix = read_prefix(folder, preset)
        model.to(torch.device(device))
        return cls(model, processor, preset, prefix)

    def save(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write what `open` reads, the prefix text among it; with other `weights`, by their names in the model, in place of its own."""
        self.model.save_pretrained(folder, state_dict=weights)
        self.processor.image_processor.save_pretrained(folder)
        self.processor.tokenizer.save_pretrained(folder)
        if self.prefix:
            (folder / PREFIX_FILE).write_bytes(self.prefix.encode())

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to a device and a dtype; what transformers keeps in float32, the frequencies of positions, stays so."""
        self.model.to(device)
        self.device = device
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(dtype)

    def check(self, instructions: Sequence[str]) -> None:
        """Raise UsageError where an instruction holds one of the special tokens."""
        for instruction in instructions:
            if found := next((token for token in self._special.texts if token in instruction), None):
                raise UsageError(f"The instruction holds {found}, which has a meaning of its own to the model; leave it out.")

    def prepare(self, images: Sequence[Shown], instructions: Sequence[str]) -> dict[str, Tensor]:
        """Messages -> padded token ids and picture patches, on the CPU, and for v1.2 what is quoted and how large the pictures are.

        Raises:
            UsageError: an instruction holds one of the special tokens.
        """
        self.check(instructions)
        shown = [_listed(image) for image in images]
        texts = [self.message(instruction, len(pictures)) for pictures, instruction in zip(shown, instructions, strict=True)]
        pictures = [picture.convert("RGB") for each in shown for picture in each]
        if side := self.preset.message.square:
            pictures = [picture.resize((side, side)) for picture in pictures]
        if self.preset.message.quotes == "none":
            return dict(self.processor(text=texts, images=pictures or None, padding=True, padding_side="right", return_tensors="pt"))
        return self._prepare_quoted(texts, shown, pictures)

    def _prepare_quoted(self, texts: list[str], shown: list[list[Image]], pictures: list[Image]) -> dict[str, Tensor]:
        patches = dict(self.processor.image_processor(images=pictures, return_tensors="pt")) if pictures else {}
        grids = iter(self._grids(patches.get("image_grid_thw")))
        tokenizer, layout = self.processor.tokenizer, self.preset.message
        messages = [
            tokenise(text, layout, self.prefix, _plain(tokenizer), self._special, [next(grids) for _ in each])
            for text, each in zip(texts, shown, strict=True)
        ]
        longest = max(len(message.ids) for message in messages)

        def padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
            return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])

        ids = padded([m.ids for m in messages], tokenizer.pad_token_id)
        attended = padded([[1] * len(m.ids) for m in messages], 0)
        return {
            "input_ids": ids,
            "attention_mask": attended,
            "mm_token_type_ids": ((ids == self._special.picture) & (attended == 1)).int(),
            "quoted": padded([m.quoted for m in messages], 0).bool(),
            **patches,
            **({"sizes": torch.tensor([p.size for p in pictures])} if pictures else {}),
        }

    def message(self, instruction: str, pictures: int = 1) -> str:
        """The whole text of one request that shows so many pictures, up to where the answer would begin."""
        images: list[dict[str, Any]] = [{"type": "image"}] * pictures
        if self.preset.message.instruction_first:
            content: list[dict[str, Any]] = [{"type": "text", "text": f"{self.prefix} {instruction}"}, *images]
        else:
            before: list[dict[str, Any]] = [{"type": "text", "text": self.prefix}] if self.prefix else []
            content = [*before, *images, {"type": "text", "text": instruction}]
        return self._as_turn(content)

    def _as_turn(self, content: list[dict[str, Any]]) -> str:
        """What the user says as one turn, up to where the answer would begin."""
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        template = self.processor.chat_template  # given to the tokenizer: the processor warns of options that only the template knows
        return self.processor.tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, add_vision_id=True, tokenize=False
        )

    @torch.no_grad()
    def embed(self, prepared: dict[str, Tensor]) -> Embedding:
        """Run the model on what `prepare` made; returns tokens [B, L, C] and mask [B, L], the dropped tokens already gone.

        L is the longest of the batch, or the preset's fixed number of tokens.
        """
        inputs = {key: value.to(self.device) for key, value in prepared.items()}
        quoted, sizes = inputs.pop("quoted", None), inputs.pop("sizes", None)
        hidden = self.model.model(**inputs, use_cache=False).last_hidden_state
        kept = slice(self.preset.prompt_drop, self.preset.prompt_drop + self.preset.text_limit)
        mask_BL = inputs["attention_mask"][:, kept].bool()
        embedding = Embedding(hidden[:, kept] * mask_BL.unsqueeze(-1), mask_BL)
        if self.preset.message.positions:
            embedding = replace(embedding, ids_BLA=self._place(inputs, sizes, kept).to(hidden.device))
        if self.preset.connector.text_token_mapping and quoted is not None:
            raw = self.model.get_input_embeddings()(inputs["input_ids"][:, kept])
            embedding = replace(embedding, quoted_BLC=raw * quoted[:, kept].unsqueeze(-1), quoted_mask_BL=quoted[:, kept])
        return embedding.padded(self.preset.text_padding)

    def is_cut(self, prepared: dict[str, Tensor]) -> list[bool]:
        """Of each row that `prepare` made, whether `embed` leaves out its end, since it has more tokens than the model is to read."""
        most = self.preset.prompt_drop + self.preset.text_limit
        return [tokens > most for tokens in prepared["attention_mask"].sum(1).tolist()]

    def encode(self, images: Sequence[Shown], instructions: Sequence[str]) -> Embedding:
        """`prepare` and `embed` in one."""
        return self.embed(self.prepare(images, instructions))

    @torch.no_grad()
    def answer(self, text: str, images: Sequence[Image], most_tokens: int) -> str:
        """What the MLLM says of pictures when it is asked, without the prefix, by its most likely words."""
        asked = self._as_turn([*({"type": "image"} for _ in images), {"type": "text", "text": text}])
        pictures = [image.convert("RGB") for image in images]
        inputs = self.processor(text=[asked], images=pictures or None, return_tensors="pt").to(self.device)
        made: Any = self.model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False, temperature=None, top_p=None, top_k=None)
        return self.processor.tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()

    def _place(self, inputs: dict[str, Tensor], sizes: Tensor | None, kept: slice) -> Tensor:
        """Rope ids of the kept tokens, [B, L, 3], zero for padding."""
        grids = self._grids(inputs.get("image_grid_thw"))
        shapes = [(int(width), int(height)) for width, height in sizes.tolist()] if sizes is not None else []
        rows, used = [], 0
        for ids, attended in zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True):
            real = ids[: sum(attended)]
            placed = place(real, self._special.picture, grids[used:], shapes[used:], kept)
            left = real.count(self._special.picture)
            while left:
                left, used = left - grids[used].tokens, used + 1
            rows.append(placed)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def _grids(self, thw: Tensor | None) -> list[Grid]:
        """Rows and columns of vision tokens of each picture."""
        side = self.processor.image_processor.merge_size
        return [] if thw is None else [Grid(rows // side, columns // side) for _, rows, columns in thw.tolist()]

    @cached_property
    def _special(self) -> Special:
        tokenizer = self.processor.tokenizer
        texts = {token.content for token in tokenizer.added_tokens_decoder.values()}
        picture, end = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|vision_end|>"])
        return Special(picture, end, tuple(sorted(texts)))


def _plain(tokenizer: Any) -> Tokenise:
    return lambda text: tokenizer(text, add_special_tokens=False).input_ids


def _listed(shown: Shown) -> list[Image]:
    return list(shown) if isinstance(shown, Sequence) else [shown]
