"""Read people's requests: a JSON Lines or CSV table that names pictures, or a folder of pictures with a text file beside each.

A row that cannot be used is passed over with its reason; nothing in a table is trusted. Columns other than those named here are never
carried on: what they say of a person is only used to find it in the instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from step1x_edit.data.storage import walk
from step1x_edit.errors import UsageError
from step1x_edit.tables import read_csv, read_json_lines

LONGEST = 500
"""Characters of an instruction."""

GAP = "[…]"
"""What stands in an instruction for personal data that nothing could be written instead of; the reviewer fills it."""

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif")
_OWN = ("picture", "instruction", "instruction_en", "instruction_cn", "task")
_PERSONAL = re.compile(
    r"(?i)name|user|author|mail|phone|contact|owner|person|mobile|(?<![a-z])tel(?![a-z])|sender|account|handle|address|wechat|weixin|(?<![a-z])qq"
    r"|姓名|名字|昵称|暱稱|网名|網名|作者|用[户戶]|[账帐帳]|[电電][话話]|手[机機]|[邮郵]|信箱|联系|聯[繫絡]|联络|微信|地址|身[份分][证證]|[车車]牌"
)
_QUOTED = re.compile('"[^"]*"|“[^”]*”|‘[^’]*’|「[^」]*」')


@dataclass(frozen=True)
class Request:
    """What somebody asked for.

    Attributes:
        digest: checksum of the picture and the instruction, by which the request is known again wherever it stands.
        picture: the file.
        english: the instruction in English; empty where there is none.
        chinese: the same in Chinese.
        task: which task the table says it is; empty where it says nothing.
        personal: what columns for names, users, addresses and the like say.
    """

    digest: str
    picture: Path
    english: str
    chinese: str
    task: str
    personal: tuple[str, ...]


@dataclass(frozen=True)
class Skipped:
    """A request that cannot be used, and why; the checksum is that of its row."""

    digest: str
    reason: str


def read_requests(place: Path) -> Iterator[Request | Skipped]:
    """Read them one by one.

    Raises:
        UsageError: there is nothing of that name, or it is neither a table nor a folder.
    """
    if place.is_dir():
        tables = [place / name for name in ("requests.jsonl", "requests.csv") if (place / name).is_file()]
        rows = _read_table(tables[0]) if tables else _read_folder(place)
        root = place
    elif place.suffix in (".jsonl", ".csv") and place.is_file():
        rows, root = _read_table(place), place.parent
    else:
        raise UsageError(f"There are no requests at {place}; give a .jsonl or .csv table, or a folder of pictures with .txt files.")
    for row in rows:
        yield _read_row(row, root.resolve())


def is_chinese(text: str) -> bool:
    """Whether it has more Chinese characters than words of other scripts, outside of quotation marks if there is anything."""
    outside = _QUOTED.sub(" ", text)
    asked = outside if any(c.isalpha() for c in outside) else text
    return len(re.findall("[\u4e00-\u9fff]", asked)) > len(re.findall("(?:(?![\u4e00-\u9fff])[^\\W\\d_]|['’\\-])+", asked))


def _read_table(path: Path) -> Iterator[Mapping[str, Any]]:
    return read_json_lines(path) if path.suffix == ".jsonl" else read_csv(path)


def _read_folder(folder: Path) -> Iterator[Mapping[str, Any]]:
    for picture in sorted(path for path in walk(folder) if path.suffix.lower() in ENDINGS):
        beside = picture.with_suffix(".txt")
        text = beside.read_bytes()[: 4 * LONGEST + 8].decode("utf-8-sig", errors="replace") if beside.is_file() else ""
        yield {"picture": str(picture.relative_to(folder)), "instruction": text}


def _read_row(row: Mapping[str, Any], root: Path) -> Request | Skipped:
    own = sha256(repr(list(row.items())).encode("utf-8", "replace")).hexdigest()
    texts = {name: " ".join(str(row.get(name) or "").split()) for name in _OWN}
    english, chinese = texts["instruction_en"], texts["instruction_cn"]
    if plain := texts["instruction"]:
        english, chinese = (english, chinese or plain) if is_chinese(plain) else (english or plain, chinese)
    if not (english or chinese):
        return Skipped(own, "it has no instruction")
    if max(len(english), len(chinese)) > LONGEST:
        return Skipped(own, f"its instruction is longer than {LONGEST} characters")
    if any(c == "\ufffd" or "\ud800" <= c <= "\udfff" for c in english + chinese):
        return Skipped(own, "its instruction is not in UTF-8")
    if not (english + chinese).isprintable():
        return Skipped(own, "its instruction holds control characters")
    if not texts["picture"]:
        return Skipped(own, "it names no picture")
    picture = root / texts["picture"]
    try:
        inside = root in picture.resolve().parents
    except ValueError:  # a zero byte, or half of a pair of characters, which no file's name holds
        inside = False
    if not inside:
        return Skipped(own, "its picture lies outside the folder of the requests")
    if not picture.is_file():
        return Skipped(own, "its picture is missing")
    try:
        digest = sha256(picture.read_bytes() + repr((english, chinese)).encode()).hexdigest()
    except OSError:
        return Skipped(own, "its picture cannot be read")
    return Request(digest, picture, english, chinese, texts["task"], _list_personal(row))


def _list_personal(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What columns for names, users, addresses and the like hold, at any depth."""
    found = []
    waiting: list[tuple[Any, bool]] = [(row, False)]
    while waiting:
        value, told = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(each, told or bool(_PERSONAL.search(str(name)))) for name, each in value.items()]
        elif isinstance(value, list):
            waiting += [(each, told) for each in value]
        elif told and isinstance(value, str | int | float) and len(str(value).strip()) > 1 and not isinstance(value, bool):
            found.append(str(value))
    return tuple(found)
