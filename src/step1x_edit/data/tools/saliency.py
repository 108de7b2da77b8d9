"""What stands out in a picture: a map that needs no training. The offline detector and GrabCut start from it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from step1x_edit.data.colours import to_lab
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.triplet import Floats, Pixels

_SIDE = 160
_REGIONS = 180
_COLOUR_SCALE = 10.0
"""Distance in Lab within which two regions count as of one colour."""


def measure_saliency(picture: Pixels) -> Floats:
    """Map how much each pixel belongs to something that stands out from what touches the border.

    The picture is cut into small regions; those that hang together with much border are background, those that differ from the background
    around them are foreground, and a smooth map fits both.

    Args:
        picture: uint8 [H, W, 3].

    Returns:
        float32 [H, W], 0 to 1; all 0 for a plain picture.

    Source: Zhu, Liang, Wei, Sun, Saliency Optimization from Robust Background Detection, 2014.
    """
    height, width = picture.shape[:2]
    small = shrink(picture, _SIDE)
    lab = to_lab(small)
    if min(small.shape[:2]) < 8 or lab.reshape(-1, 3).std(0).max() < 0.5:
        return np.zeros((height, width), np.float32)
    rated = _rate(small.tobytes(), small.shape)
    return np.clip(cv2.resize(rated, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)


@lru_cache(maxsize=4)
def _rate(picture: bytes, shape: tuple[int, int, int]) -> Floats:
    """Saliency of a small picture, kept for the next tool that asks of it: float32 [h, w]."""
    from skimage.segmentation import slic

    small = np.frombuffer(picture, np.uint8).reshape(shape)
    lab = to_lab(small)
    labels = slic(lab, n_segments=_REGIONS, compactness=0.15, convert2lab=False, start_label=0, channel_axis=2)
    return _rate_regions(lab, labels.astype(np.int64))[labels]


def _rate_regions(lab: Floats, labels: np.ndarray) -> Floats:
    """Saliency of each region: float32 [N]."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    count = int(labels.max()) + 1
    height, width = labels.shape
    area = np.bincount(labels.ravel(), minlength=count).astype(np.float64)
    colour = np.stack([np.bincount(labels.ravel(), lab[..., c].ravel(), count) / area for c in range(3)], 1)
    y, x = np.mgrid[0:height, 0:width]
    place = np.stack([np.bincount(labels.ravel(), axis.ravel(), count) / area / max(height, width) for axis in (x, y)], 1)
    border = np.zeros(count, np.bool_)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[line] = True
    one = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    two = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    touching = np.unique(np.stack([np.minimum(one, two), np.maximum(one, two)], 1)[one != two], axis=0)
    distance = np.linalg.norm(colour[:, None] - colour[None], axis=2)

    edges = [touching]
    rim = np.flatnonzero(border)
    first, second = np.triu_indices(len(rim), 1)
    edges.append(np.stack([rim[first], rim[second]], 1))
    pairs = np.concatenate(edges)
    step = np.maximum(distance[pairs[:, 0], pairs[:, 1]] - 3.0, 0) + 1e-6
    away = dijkstra(coo_matrix((step, (pairs[:, 0], pairs[:, 1])), (count, count)).tocsr(), directed=False)
    reach = np.exp(-(away**2) / (2 * _COLOUR_SCALE**2))
    connectivity = reach[:, border].sum(1) / np.sqrt(reach.sum(1))
    background = 1 - np.exp(-(connectivity**2) / 2)
    near = np.exp(-((place[:, None] - place[None]) ** 2).sum(2) / (2 * 0.25**2))
    contrast = (distance * near * background[None]).sum(1)
    spread = contrast.max() - contrast.min()
    if spread < 1e-6:
        return np.zeros(count, np.float32)
    foreground = (contrast - contrast.min()) / spread

    weight = np.zeros((count, count))
    i, j = touching.T
    weight[i, j] = weight[j, i] = np.exp(-(distance[i, j] ** 2) / (2 * _COLOUR_SCALE**2)) + 0.1
    system = np.diag(background + foreground + weight.sum(1)) - weight + 1e-6 * np.eye(count)
    solved = np.linalg.solve(system, foreground)
    solved = (solved - solved.min()) / max(float(solved.max() - solved.min()), 1e-6)
    return solved.astype(np.float32)
