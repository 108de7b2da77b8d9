"""CLIP or SigLIP through transformers: likeness of pictures and words, tags from a list of words, and how good a picture looks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from step1x_edit.data.labels import LABELS
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Tag, ToolCard
from step1x_edit.data.tools.weights import TransformersTool
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.data.vocabulary import with_article

MODEL = "openai/clip-vit-large-patch14"

_TEMPLATES = ("a photo of {}", "a close-up of {}", "{} in a scene")
"""A word's vector is the mean over them, which a single phrasing moves less."""

_SUREST = 12
"""Tags of one picture."""

_LEAST = 0.02
"""Share, or probability, below which a word is not said."""

_SCALE = 100.0
"""What CLIP's products are multiplied by before they are compared, as its training ended with."""

GOOD = ("a beautiful, well composed photograph", "a sharp photograph with good light", "an aesthetic picture of high quality")
BAD = ("an ugly, badly composed photograph", "a blurred photograph with bad light", "an unattractive picture of low quality")
"""Opposites between which a picture is placed."""


class Clip(TransformersTool):
    """Vectors of pictures and of words in one space; plays "similarity", "tagger" and "aesthetics".

    Choice: tags by comparing with a list of words stand for Recognize-Anything, which has no port to a kept library; the words are those
    that instructions can be written with in both languages. Aesthetics by opposite phrases need no further weights.

    Source: Radford and others, CLIP, 2021; Zhai and others, SigLIP, 2023; opposites: Wang, Chan, Loy, CLIP-IQA, 2022.
    """

    def __init__(self, model: Any, processor: Any, card: ToolCard, words: Sequence[str] = tuple(LABELS)) -> None:
        super().__init__(model, processor, card)
        self.words = tuple(words)

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import AutoModel, AutoProcessor

        return cls.load(choice, MODEL, AutoModel, AutoProcessor)

    def embed(self, picture: Pixels) -> Floats:
        """float32 [D], of length 1."""
        import torch
        from PIL import Image

        prepared = self.processor(images=Image.fromarray(picture), return_tensors="pt").to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            found = self.model.get_image_features(**prepared).pooler_output
        return _normalise(found[0].float().cpu().numpy())

    def tag(self, picture: Pixels) -> tuple[Tag, ...]:
        """List the likeliest of the known words, the surest first: shares of all words with CLIP, probabilities with SigLIP."""
        products = self._vocabulary @ self.embed(picture)
        if (bias := getattr(self.model, "logit_bias", None)) is not None:
            scores = 1 / (1 + np.exp(-(products * float(self.model.logit_scale.exp()) + float(bias))))
        else:
            scores = _share(products * _SCALE)
        order = np.argsort(-scores, kind="stable")[:_SUREST]
        return tuple(Tag(self.words[i], round(float(scores[i]), 4)) for i in order if scores[i] >= _LEAST)

    def score(self, picture: Pixels) -> float:
        """Mean share of the good of each pair of opposites, 0..1."""
        products = self._opposites @ self.embed(picture)
        pairs = products.reshape(2, -1) * _SCALE
        return float(np.mean([_share(pairs[:, i])[0] for i in range(pairs.shape[1])]))

    @cached_property
    def _vocabulary(self) -> Floats:
        """float32 [words, D]."""
        texts = [template.format(with_article(word)) for word in self.words for template in _TEMPLATES]
        vectors = self.embed_texts(texts).reshape(len(self.words), len(_TEMPLATES), -1).mean(1)
        return np.stack([_normalise(vector) for vector in vectors])

    @cached_property
    def _opposites(self) -> Floats:
        return self.embed_texts([*GOOD, *BAD])

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """float32 [N, D], each of length 1; what is longer than the model reads is cut off.

        Texts are padded to full length, as SigLIP was trained and as CLIP, which looks no further, may be.
        """
        import torch

        # the tokenizers of SigLIP 2 name no full length
        longest = min(self.processor.tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings)
        prepared = self.processor(text=list(texts), padding="max_length", max_length=longest, truncation=True, return_tensors="pt")
        prepared = prepared.to(self.model.device)
        with torch.inference_mode():
            found = self.model.get_text_features(**prepared).pooler_output
        return np.stack([_normalise(vector) for vector in found.float().cpu().numpy()])


def _normalise(vector: Floats) -> Floats:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)


def _share(values: Floats) -> Floats:
    """Softmax."""
    raised = np.exp(values - values.max())
    return raised / raised.sum()
