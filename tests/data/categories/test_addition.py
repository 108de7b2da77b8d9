"""What is added is asked for as people say it."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.categories.addition import make
from step1x_edit.data.materials import Materials, Photograph, Subject


def test_no_size_is_asked_of_what_is_not_counted() -> None:
    pixels = np.full((20, 20, 4), 255, np.uint8)
    salt, cup = (Subject(en, pixels, en, zh, kind, None) for en, zh, kind in (("salt", "盐", "food"), ("cup", "杯子", "object")))
    photograph = Photograph("grey", np.full((96, 96, 3), 128, np.uint8))

    def ask(subject: Subject) -> set[str]:
        materials = Materials((photograph,), (subject,), (subject,))
        drafts = [make(random.Random(seed), materials, 64) for seed in range(60)]
        return {draft.request.en["subject"] for draft in drafts if draft and draft.request.en["subject"].endswith(subject.en)}

    assert ask(salt) == {"salt", "more salt"}
    assert ask(cup) == {"a cup", "a small cup", "a large cup", "another cup"}
