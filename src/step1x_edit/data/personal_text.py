"""Text that looks like personal data: e-mail addresses, telephone numbers, account and identity numbers, names on badges.

Made for text that was read from pictures, so blanks that OCR puts into an address or a number do not hide it. It errs towards finding too
much: what is found makes a photograph be refused, which costs a photograph; what is missed publishes somebody's data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["e-mail address", "telephone number", "account number", "card number", "identity number", "user name", "name"]


@dataclass(frozen=True)
class PersonalText:
    """A piece of a text: what it looks like, and from which to which character it goes."""

    kind: Kind
    start: int
    stop: int


class _Pattern(NamedTuple):
    """What a kind of personal data looks like, and what tells it from other text of that look."""

    kind: Kind
    look: str
    check: Callable[[str], bool] = bool  # which any match passes


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def passes_luhn(text: str) -> bool:
    """Whether 13 to 19 digits end with the check digit of payment cards."""
    digits = [int(c) for c in _digits(text)]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def passes_iban(text: str) -> bool:
    """Whether the text is an international bank account number with right check digits (ISO 13616)."""
    squeezed = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", squeezed):
        return False
    turned = squeezed[4:] + squeezed[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def passes_chinese_identity(text: str) -> bool:
    """Whether 18 characters are a Chinese resident identity number with the right last one (GB 11643)."""
    squeezed = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[1-9]\d{16}[\dX]", squeezed):
        return False
    total = sum(int(c) * (2 ** (17 - i) % 11) for i, c in enumerate(squeezed[:17]))
    return "10X98765432"[total % 11] == squeezed[17]


def _is_chinese_identity(text: str) -> bool:
    """Whether they are one, or would be but for their last one: a digit that was misread or mistyped hides nobody."""
    dated = r"[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    return passes_chinese_identity(text) or re.fullmatch(dated, re.sub(r"\s", "", text)) is not None


def _is_telephone(text: str) -> bool:
    """Seven to fifteen digits: with a country's before them, or not one digit alone, a date, a time, a price or a span of years."""
    digits, squeezed = _digits(text), text.strip()
    if not 7 <= len(digits) <= 15:
        return False
    if squeezed.startswith(("+", "＋")):
        return True
    if len(set(digits)) == 1:
        return False
    dates = r"(\d{1,4}[./\- ]\d{1,2}[./\- ]\d{1,4}|(19|20)\d\d\s?[-–/]\s?(19|20)\d\d|(19|20)\d\d(0\d|1[0-2])([0-2]\d|3[01]))"
    if re.fullmatch(dates, squeezed):
        return False
    grouped = re.fullmatch(r"\d{1,3}([.,' ]\d{3})+", squeezed)
    return not (grouped and not squeezed.startswith("0"))


_LATIN = r"A-Za-zÀ-ɏ0-9０-９_"
_BEGIN, _END = rf"(?<![{_LATIN}])", rf"(?![{_LATIN}])"
"""Where a word or number begins and ends: Chinese letters beside it, from which nothing parts it, do not hide it."""
_NO_UNIT = rf"(?![{_LATIN}%年元円圆圓块万萬亿億])"
"""What follows a telephone number: nothing that makes it an amount or a year."""
_TITLES = r"(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Señor|Señora|Sr|Sra)"
_WORD = r"[A-ZÀ-ÖØ-Þ][\w'’\-]+"
_LOCAL = rf"[{_LATIN}+\-]+(?:\s?[.．]{{1,3}}\s?[{_LATIN}+\-]+)*"
_MESSENGERS = r"(?:(?<![A-Za-z])(?:wechat|weixin|wx|vx|qq|whatsapp|telegram|skype)|微信)"
_NUMBERED = r"(?:\s?(?:(?:id|no)(?![A-Za-z])|号码?|號碼?|账号|帳號)\s?[:：]?|\s?[:：])"
_PATTERNS = (
    _Pattern("e-mail address", rf"{_LOCAL}\s?[@＠]\s?[{_LATIN}\-]+(?:[.．][a-zA-Z\-][{_LATIN}\-]*)+"),
    _Pattern("e-mail address", rf"{_LOCAL}\s?[@＠]\s?[{_LATIN}\-]+(?:\s?[.,。．]\s?[a-zA-Z\-][{_LATIN}\-]*)+"),  # parted by OCR
    _Pattern("e-mail address", rf"[\w.+\-]+\s?[@＠]\s?[\w\-]+(?:\s?[.,。．]\s?[a-zA-Z\-][{_LATIN}\-]*)+"),  # of other scripts
    _Pattern("account number", rf"{_BEGIN}[A-Za-z]{{2}}\d{{2}}(?:\s?[A-Za-z0-9]{{2,4}}){{3,8}}{_END}", passes_iban),
    _Pattern("identity number", r"(?<!\d)[1-9](?:\s?\d){16}\s?[\dXx](?![\dA-Za-z])", _is_chinese_identity),
    _Pattern("telephone number", rf"[+＋]\s?\d{{1,3}}(?:[ .\-/()·]{{0,2}}\d{{1,5}}){{2,6}}{_NO_UNIT}", _is_telephone),
    _Pattern("card number", r"(?<!\d)\d(?:[ \-]?\d){12,18}(?!\d)", passes_luhn),
    _Pattern("identity number", r"(?<!\d)\d{3}[\-–]\d{2}[\-–]\d{4}(?!\d)"),  # United States
    _Pattern(
        "identity number", rf"{_BEGIN}(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z]{{2}}\s?\d{{2}}\s?\d{{2}}\s?\d{{2}}\s?[A-D]{_END}"
    ),  # Britain
    _Pattern("identity number", r"[A-Z0-9<]{5,}<{2,}[A-Z0-9<]{3,}"),  # machine-readable line of passports
    _Pattern(
        "identity number",
        (
            rf"(?i){_BEGIN}(?:passport|id|ident(?:ity)?|personal|licen[cs]e|insurance|social security|ssn)\s?(?:no|nr|number|card)?{_END}"
            r"\s?[.:#：]{1,2}\s?(?=[A-Z0-9\-]*\d{4})[A-Z0-9\-]{6,}"
        ),
    ),
    _Pattern("identity number", r"(?:身[份分][证證]|护照|護照|[证證]件)(?:字?[号號]码?碼?|编号|編號)?[是为為]?\s?[:：]?\s?[A-Z0-9]{6,}"),
    _Pattern("telephone number", r"(?<!\d)(?:[+＋]?86[ \-]?)?1[3-9]\d(?:[ \-]?\d{4}){2}(?!\d)"),  # Chinese mobile phones
    _Pattern(
        "telephone number",
        rf"(?<![{_LATIN}.,/\-])(?:\(?\s?0\d{{0,5}}\)?|\(\d{{2,5}}\)|\d{{1,4}})(?:[ .\-/()·]{{0,2}}\d{{1,5}}){{2,6}}{_NO_UNIT}",
        _is_telephone,
    ),
    _Pattern("telephone number", rf"(?i){_BEGIN}(?:tel|phone|mobile|cell|fax|call){_END}\.?\s?[:：.]?\s?[+(]?\d[\d ().\-/]{{4,}}\d"),
    _Pattern("telephone number", r"(?:电话|電話|手机|手機|传真|傳真|联系|聯[繫絡]|联络)\S{0,3}\s?[:：]?\s?[+(]?\d[\d ()\-]{4,}\d"),
    _Pattern("user name", rf"(?i){_MESSENGERS}{_NUMBERED}\s?[a-z\d][a-z\d_\-]{{4,19}}"),
    _Pattern("user name", rf"(?i){_MESSENGERS}\s?(?:is\s|是)?\s?(?=[a-z_\-]*\d)[a-z\d_][a-z\d_\-]{{4,19}}"),
    _Pattern("user name", rf"(?<![{_LATIN}@＠])[@＠](?:[A-Za-z][{_LATIN}][{_LATIN}.]{{1,29}}|[\u4e00-\u9fff]\w{{1,29}})"),
    _Pattern("name", rf"{_BEGIN}{_TITLES}{_END}\.?\s{{0,2}}{_WORD}(?:\s{_WORD})?"),
    _Pattern("name", r"(?i)(?:\bmy name is|\bi am called|\bname\s?[:：]|\bje m'appelle|\bich heiße|\bme llamo)\s*[^\W\d_][\w'’\-]+"),
    _Pattern("name", r"(?:姓名|我叫|我的名字是|名字\s?[:：])\s?[:：]?\s?[\u4e00-\u9fffA-Za-z]{2,}"),
)


def find_personal_text(text: str) -> tuple[PersonalText, ...]:
    """Find what looks like personal data, from left to right; where two findings overlap, the one listed first by kind stays."""
    found: list[PersonalText] = []
    for kind, pattern, check in _PATTERNS:
        for match in re.finditer(pattern, text):
            free = all(match.end() <= other.start or other.stop <= match.start() for other in found)
            if free and check(match.group()):
                found.append(PersonalText(kind, match.start(), match.end()))
    return tuple(sorted(found, key=lambda item: item.start))
