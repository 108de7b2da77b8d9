"""What the MLLM is asked, down to its tokens: how quoted text is cut, and where each token lies in the picture.

Text that an instruction quotes is to be drawn letter by letter, so its characters become tokens one by one. The versions do this in two
ways, and both are kept to the letter, their oddities included, since the released weights were trained with them:

    "toggled" (v1.0, v1.1): every quotation mark, curly or straight, single or double, opens or closes a quotation, an apostrophe too, and a
        quotation that is never closed runs to the end of the message. Only marks from a given character of the message on count.
    "paired" (v1.2): straight double marks and curly double marks, each with its own kind; single ones are letters. A quotation that is
        never closed is ordinary text.

Pure functions on text and token ids; the MLLM itself is in mllm.py. Shape suffixes: B batch, L tokens, A rope axes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from step1x_edit.model.presets import MessageConfig
from step1x_edit.model.records import Grid

OPENING, CLOSING = "“", "”"
_STRAIGHT = str.maketrans({OPENING: '"', CLOSING: '"', "'": '"'})

VISION_PIXELS, LATENT_PIXELS = 28, 16
"""Sides in pixels of a vision token of the MLLM and of a token of the DiT."""
VISION_CENTRE, LATENT_CENTRE = 13.5, 11.0
"""Where, in such a square, its position lies. Source: the published pipeline of v1.2; the middle of 16 pixels would be 7.5."""

Tokenise = Callable[[str], list[int]]
"""Text -> token ids, nothing added."""


@dataclass(frozen=True)
class Piece:
    """A part of the message that becomes tokens on its own; `quoted` is True for a character of a quotation."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Tokens:
    """Token ids of a message, and for each whether it belongs to a quoted character."""

    ids: list[int]
    quoted: list[bool]


@dataclass(frozen=True)
class Special:
    """The ids that mark a picture, and the texts of all special tokens."""

    picture: int
    vision_end: int
    texts: tuple[str, ...]


def split_toggled(text: str, first: int) -> list[Piece]:
    """Cut a message at its quotation marks from character `first` on; quoted characters come one by one, in curly marks.

    Source: reference facts, "quotation marks normalised (curly -> straight, and ' -> \\"), and inside quotes (index > 155) every character
    is tokenised on its own, wrapped in curly quotes".
    """
    pieces: list[Piece] = []
    inside, plain = False, ""
    for i, character in enumerate(text.translate(_STRAIGHT)):
        if character == '"' and i >= first:
            plain += character
            if not inside:
                pieces.append(Piece(plain))
                plain = ""
            inside = not inside
        elif inside:
            pieces.append(Piece(OPENING + character + CLOSING, quoted=True))
        else:
            plain += character
    return [*pieces, Piece(plain)] if plain else pieces


def split_paired(text: str, first: int, special: Sequence[str]) -> list[Piece]:
    """Cut a message at its special tokens, and between them at quotations that begin at character `first` or later.

    Source: reference facts, "v1.2: ... quoted characters found by a small state machine".
    """
    pieces: list[Piece] = []
    pattern = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True))
    start = 0
    for part in re.split(f"({pattern})", text) if pattern else [text]:
        if part in special:
            pieces.append(Piece(part))
        elif part:
            pieces += _split_quotations(part, max(0, first - start))
        start += len(part)
    return pieces


def _split_quotations(text: str, first: int) -> Iterator[Piece]:
    """Text up to and with an opening mark, then its characters, then text from the closing mark on, and so forth."""
    begin, i = 0, first
    while i < len(text):
        mark = {'"': '"', OPENING: CLOSING}.get(text[i])
        end = text.find(mark, i + 1) if mark else -1
        if mark and end < 0:
            break  # never closed: ordinary text
        if mark:
            if text[i] != OPENING or i > begin:  # a curly mark with nothing before it is left out
                yield Piece(text[begin : i + 1])
            yield from (Piece(character, quoted=True) for character in text[i + 1 : end])
            begin = i = end
        i += 1
    if begin < len(text):
        yield Piece(text[begin:])


def tokenise(text: str, layout: MessageConfig, prefix: str, tokenise: Tokenise, special: Special, pictures: Sequence[Grid]) -> Tokens:
    """The whole message as token ids, each picture as many times its id as it has vision tokens.

    Args:
        text: the message, chat template and all.
        layout: how the version cuts quotations.
        prefix: the prefix text, whose length is where the quotations of "paired" may begin.
        tokenise: text -> ids.
        special: ids and texts of the special tokens.
        pictures: rows and columns of vision tokens of each picture, in the order of the message.
    """
    whole = tokenise(text)
    tokens = Tokens(whole, [False] * len(whole))
    if layout.quotes == "toggled":
        pieces = [
            _strip_marks(tokenise(p.text), tokenise) if p.quoted else tokenise(p.text) for p in split_toggled(text, layout.quotes_from)
        ]
        again = [one for ids in pieces for one in ids]
        if special.vision_end in whole and special.vision_end in again:  # what comes before is taken as it was
            again = whole[: whole.index(special.vision_end)] + again[again.index(special.vision_end) :]
        tokens = Tokens(again, [False] * len(again))
    elif layout.quotes == "paired":
        cut = [(tokenise(p.text), p.quoted) for p in split_paired(text, len(prefix), special.texts)]
        tokens = Tokens([one for ids, _ in cut for one in ids], [quoted for ids, quoted in cut for _ in ids])
    return _widen_pictures(tokens, special.picture, pictures)


def place(ids: Sequence[int], picture: int, pictures: Sequence[Grid], sizes: Sequence[tuple[int, int]], kept: slice) -> Tensor:
    """Rope ids (time, row, column) of the tokens that are kept, float32 [L, 3].

    Time is the MLLM's own count, on which a picture takes one instant, less its largest kept value plus one, so that all of the text lies
    before the latent. Rows and columns are zero but for vision tokens, which lie where the DiT's tokens of the same place lie.

    Args:
        ids: the message's tokens.
        picture: id of a vision token.
        pictures: rows and columns of vision tokens of each picture.
        sizes: width and height in pixels of each picture before the MLLM's processor changed it.
        kept: which of the tokens go on to the connector.

    Source: reference facts, "v1.2: text ids carry the MLLM's temporal position ... mapped affinely from the 28-px vision grid to the 16-px
    latent grid".
    """
    rows: list[Tensor] = []
    now, i, number = 0, 0, 0
    while i < len(ids):
        if ids[i] != picture:
            rows.append(torch.tensor([[float(now), 0.0, 0.0]]))
            now, i = now + 1, i + 1
            continue
        grid, (width, height) = pictures[number], sizes[number]
        y = _to_latent(torch.arange(grid.rows, dtype=torch.float32), grid.rows, height).repeat_interleave(grid.columns)
        x = _to_latent(torch.arange(grid.columns, dtype=torch.float32), grid.columns, width).repeat(grid.rows)
        rows.append(torch.stack([torch.full_like(x, now), y, x], dim=-1))
        now, i, number = now + max(grid.rows, grid.columns), i + grid.tokens, number + 1
    placed = torch.cat(rows)[kept]
    if len(placed):
        placed[:, 0] -= placed[:, 0].max() + 1
    return placed


def _to_latent(position: Tensor, count: int, side: int) -> Tensor:
    """Vision token -> pixel of the resized picture -> pixel of the picture (corners on corners) -> token of the latent."""
    pixel = VISION_PIXELS * position + VISION_CENTRE
    pixel = pixel * (side - 1) / (VISION_PIXELS * count - 1)
    return (pixel - LATENT_CENTRE) / LATENT_PIXELS


def _strip_marks(ids: list[int], tokenise: Tokenise) -> list[int]:
    """The tokens of a character without those of the curly marks around it; where they have merged with it, all are kept."""
    opening, closing = tokenise(OPENING), tokenise(CLOSING)
    if ids[: len(opening)] == opening and ids[-len(closing) :] == closing:
        return ids[len(opening) : -len(closing)]
    return ids


def _widen_pictures(tokens: Tokens, picture: int, pictures: Sequence[Grid]) -> Tokens:
    ids: list[int] = []
    quoted: list[bool] = []
    remaining = iter(pictures)
    for one, mark in zip(tokens.ids, tokens.quoted, strict=True):
        times = next(remaining).tokens if one == picture else 1
        ids += [one] * times
        quoted += [mark] * times
    return Tokens(ids, quoted)
