"""How strong each system is in the eyes of those who ranked it: Bradley-Terry with ties.

The model is Davidson's (1970): with strengths theta and a tie parameter delta, of two systems i and j

    i better : tie : j better  =  exp(theta_i) : exp((theta_i + theta_j) / 2 + delta) : exp(theta_j)

Its log-likelihood is concave; a weak Gaussian prior keeps it finite where one system always wins. Without ties it is Bradley-Terry.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from step1x_edit.errors import Step1XError
from step1x_edit.study.ballots import Ballot
from step1x_edit.study.statistics import Array

PRIOR = 0.01
"""Precision of the prior on strengths and delta: a hundredth of one comparison or so."""


def count_pairs(ballots: Sequence[Ballot], people: Sequence[int], systems: Sequence[int]) -> Array:
    """How often each person preferred the first of two systems, called them equal, or preferred the second.

    Returns:
        [people, pairs, 3], pairs in the order of `itertools.combinations`.
    """
    person_at = {person: index for index, person in enumerate(people)}
    pair_at = {pair: index for index, pair in enumerate(combinations(systems, 2))}
    counts = np.zeros((len(people), len(pair_at), 3))
    for ballot in ballots:
        placed = sorted(zip(ballot.systems, ballot.places, strict=True), key=lambda each: systems.index(each[0]))
        for (first, first_place), (second, second_place) in combinations(placed, 2):
            outcome = 1 + int(np.sign(first_place - second_place))
            counts[person_at[ballot.person], pair_at[first, second], outcome] += 1
    return counts


def fit_strengths(counts: Array, systems: int, prior: float = PRIOR) -> tuple[Array, Array]:
    """The most probable strengths and tie parameter, by Newton's method.

    Args:
        counts: [..., pairs, 3] as in `count_pairs`, summed over people; leading axes are fitted on their own.
        systems: how many there are.
        prior: precision of the Gaussian prior; more than 0.

    Returns:
        Strengths [..., systems], mean 0, and delta [...]; minus infinity where there are no ties at all.

    Raises:
        Step1XError: the fit does not settle.
    """
    batch = counts.reshape(-1, *counts.shape[-2:])
    ties = bool(batch[..., 1].any())
    features = _features(systems)[..., : systems + ties]
    if not ties:
        batch, features = batch[..., [0, 2]], features[:, [0, 2]]
    found = np.zeros((len(batch), features.shape[-1]))
    shown = batch.sum(axis=-1)
    for _ in range(200):
        chances = _softmax(np.einsum("pof,bf->bpo", features, found))
        slope = np.einsum("bpo,pof->bf", batch - shown[..., None] * chances, features) - prior * found
        mean = np.einsum("bpo,pof->bpf", chances, features)
        curve = np.einsum("bp,bpo,pof,pog->bfg", shown, chances, features, features) - np.einsum("bp,bpf,bpg->bfg", shown, mean, mean)
        step = np.linalg.solve(curve + prior * np.eye(features.shape[-1]), slope[..., None])[..., 0]
        longest = np.abs(step).max(axis=-1, keepdims=True)
        found = found + step * np.minimum(1.0, 1.0 / np.maximum(longest, 1e-12))  # Newton alone may overshoot
        if longest.max(initial=0.0) < 1e-9:
            break
    else:
        raise Step1XError("The strengths of the systems could not be fitted; the rankings hold too little to compare.")
    strengths = found[:, :systems] - found[:, :systems].mean(axis=-1, keepdims=True)
    delta = found[:, systems] if ties else np.full(len(batch), -np.inf)
    return strengths.reshape(*counts.shape[:-2], systems), delta.reshape(counts.shape[:-2])


def predict_wins(strengths: Array, delta: Array) -> Array:
    """The chance that the row's system beats the column's, a tie counting half.

    Args:
        strengths: [..., systems].
        delta: [...].

    Returns:
        [..., systems, systems], 0.5 on the diagonal.
    """
    weight = np.exp(strengths - strengths.max(axis=-1, keepdims=True))
    row, column = weight[..., :, None], weight[..., None, :]
    tie = np.sqrt(row * column) * np.exp(delta)[..., None, None]
    return (row + tie / 2) / (row + column + tie)


def _features(systems: int) -> Array:
    """[pairs, 3 outcomes, systems + 1]: what each parameter adds to the logarithm of an outcome's weight."""
    pairs = list(combinations(range(systems), 2))
    features = np.zeros((len(pairs), 3, systems + 1))
    for index, (first, second) in enumerate(pairs):
        features[index, 0, first] = features[index, 2, second] = 1
        features[index, 1, [first, second]] = 0.5
        features[index, 1, systems] = 1
    return features


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
