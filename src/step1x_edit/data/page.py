"""One HTML file that shows triplets: before, after, mask, both instructions, what the filters measured. It loads nothing from elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.shards import encode_mask
from step1x_edit.data.storage import replace_file
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.triplet import Mask, Pixels

SIDE = 256
"""Longest side of the pictures in the page, in pixels."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right }
th:first-child, td:first-child { text-align: left }
caption { text-align: left; font-weight: 600 }
form { position: sticky; top: 0; background: Canvas; padding: .6rem 0; display: flex; gap: 1.2rem; flex-wrap: wrap; z-index: 1 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); gap: 1.4rem }
article { border: 1px solid #8884; border-radius: .5rem; padding: .7rem; min-width: 0 }
article[hidden] { display: none }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem }
figure { margin: 0; min-width: 0 }
img { width: 100%; display: block; border-radius: .25rem; background: #8882 }
figcaption, details, small { font-size: .8rem; color: color-mix(in srgb, CanvasText 65%, Canvas) }
p { margin: .4rem 0 }
.no { color: #c22 }
pre { overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere }
@media (max-width: 30rem) { main { grid-template-columns: 1fr } }
"""

_SCRIPT = """
const form = document.querySelector("form"), cards = [...document.querySelectorAll("article")], count = document.querySelector("output");
function show() {
  const category = form.category.value, state = form.state.value;
  let shown = 0;
  for (const card of cards) {
    card.hidden = (category && card.dataset.category !== category) || (state && card.dataset.state !== state);
    shown += !card.hidden;
  }
  count.value = shown + " of " + cards.length;
}
form.addEventListener("input", show);
show();
"""

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Caption, heading, rows."""


@dataclass(frozen=True)
class Card:
    """One triplet of a page; `reason` is empty for those that were kept; `words` are English and Chinese.

    Its pictures are small already, so that thousands of cards fit into memory: see `inline_picture` and `inline_mask`.
    """

    id: str
    category: str
    reason: str
    words: tuple[str, str]
    source: str
    target: str
    mask: str | None
    numbers: Mapping[str, Any]
    provenance: Mapping[str, Any]


def write_page(path: Path, title: str, tables: Iterable[Table], cards: Sequence[Card]) -> None:
    """Write the page, whole or not at all."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = [f"<h1>{escape(title)}</h1>", *(_table(*table) for table in tables if table[2])]
    if cards:
        body += [_form(cards), "<main>"]
    with replace_file(path) as file:
        file.write(f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{"".join(body)}'.encode())
        for card in cards:
            file.write(_article(card).encode())
        file.write((f"</main><script>{_SCRIPT}</script>" if cards else "").encode())
        file.write(b"</body></html>\n")


def inline_picture(pixels: Pixels) -> str:
    """A picture, uint8 [H, W, 3] sRGB, as a page shows it: the URL of a small JPEG that holds the JPEG itself."""
    data = cv2.imencode(".jpg", cv2.cvtColor(shrink(pixels, SIDE), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return _inline(data, "jpeg")


def inline_mask(mask: Mask) -> str:
    """The same of a mask, bool [H, W], as a PNG."""
    return _inline(encode_mask(shrink(mask.view(np.uint8), SIDE, cv2.INTER_NEAREST) > 0), "png")


def _form(cards: Sequence[Card]) -> str:
    categories = "".join(f"<option>{escape(name)}</option>" for name in sorted({card.category for card in cards}))
    return (
        f'<form><label>category <select name="category"><option value="">all</option>{categories}</select></label>'
        '<label>state <select name="state"><option value="">all</option><option>kept</option><option>rejected</option></select></label>'
        "<output></output></form>"
    )


def _article(card: Card) -> str:
    state = "rejected" if card.reason else "kept"
    pictures = [("before", card.source), ("after", card.target)]
    if card.mask is not None:
        pictures.append(("mask", card.mask))
    figures = "".join(
        f'<figure><img src="{data}" alt="{name}" loading="lazy"><figcaption>{name}</figcaption></figure>' for name, data in pictures
    )
    why = f'<p class="no">{escape(card.reason)}</p>' if card.reason else ""
    facts = escape(
        json.dumps({"numbers": card.numbers, **({"provenance": card.provenance} if card.provenance else {})}, ensure_ascii=False)
    )
    return (
        f'<article data-category="{escape(card.category)}" data-state="{state}"><div class="pictures">{figures}</div>{why}'
        f'<p>{escape(card.words[0])}</p><p lang="zh">{escape(card.words[1])}</p>'
        f"<details><summary>{escape(card.id)}</summary><pre>{facts}</pre></details></article>"
    )


def _inline(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
