"""What can be said of a picture without a trained model: its colours, light, and how it is laid out. Offline captioner and tagger."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.colours import CHROMATIC, measure_hues
from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.tools.protocols import Tag, ToolCard
from step1x_edit.data.tools.saliency import measure_saliency
from step1x_edit.data.tools.scores import measure_exposure
from step1x_edit.data.triplet import Pixels
from step1x_edit.data.vocabulary import NINTHS, PLACES

_SIDE = 192


class Composition(BareTool):
    """Knows colours, brightness, sky, greenery and where the eye goes; it names no things."""

    @property
    def card(self) -> ToolCard:
        return ToolCard("composition", "1", {"side": _SIDE})

    def caption(self, picture: Pixels) -> str:
        """Describe the picture in one sentence: "a dark photo in blue and orange with sky, its subject in the centre"."""
        words = [tag.word for tag in self.tag(picture)]
        light = next((word for word in ("dark", "bright") if word in words), "")
        colours = [word for word in words if word in (*CHROMATIC, "black and white")][:2]
        parts = [word for word in ("sky", "greenery") if word in words]
        text = f"a {light} photo".replace("  ", " ") + (f" in {' and '.join(colours)}" if colours else "")
        text += f" with {' and '.join(parts)}" if parts else ""
        saliency = measure_saliency(picture)
        if saliency.max() < 0.5:
            return text
        rows, columns = np.nonzero(saliency > 0.5)
        row, column = int(3 * rows.mean() / saliency.shape[0]), int(3 * columns.mean() / saliency.shape[1])
        return f"{text}, its subject {PLACES[NINTHS[min(row, 2)][min(column, 2)]][0]}"

    def tag(self, picture: Pixels) -> tuple[Tag, ...]:
        """List colours, light, sky and greenery, the surest first."""
        small = shrink(picture, _SIDE)
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
        exposure = measure_exposure(small)
        shares = {name: min(1.0, share * 2.5) for name, share in measure_hues(small).items() if share > 0.06}
        if float(saturation.mean()) < 14:
            shares = {"black and white": 1.0}
        if exposure.mean < 0.27:
            shares["dark"] = round(1 - exposure.mean, 4)
        if exposure.mean > 0.65:
            shares["bright"] = round(exposure.mean, 4)
        height = small.shape[0]
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        calm = cv2.blur(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), (9, 9)) < 4
        pale = (value > 130) & (((hue > 90) & (hue < 130)) | (saturation < 40))
        sky = float((calm & pale)[: height // 3].mean())
        if sky > 0.5:
            shares["sky"] = sky
        green = float(((hue > 30) & (hue < 86) & (saturation > 50) & (value > 30) & ~calm).mean())
        if green > 0.2:
            shares["greenery"] = min(1.0, 2 * green)
        return tuple(Tag(word, round(score, 4)) for word, score in sorted(shares.items(), key=lambda item: (-item[1], item[0])))
