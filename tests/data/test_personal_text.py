"""Addresses and numbers of people are found however they are written; words, dates, prices and sizes are not taken for them."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from step1x_edit.data.lettering import WORDS
from step1x_edit.data.personal_text import find_personal_text, passes_chinese_identity, passes_iban, passes_luhn


def kinds(text: str) -> set[str]:
    return {item.kind for item in find_personal_text(text)}


names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
surroundings = st.sampled_from(["", "write to ", "Contact:", "邮箱 ", "* "])


@given(names, names, names, st.sampled_from(["com", "org", "de", "co.uk", "cn"]), surroundings, st.sampled_from(["@", " @ ", "@ ", "＠"]))
@example("a", "b", "c", "com", "", "@")
def test_every_address_is_found(first: str, last: str, host: str, ending: str, before: str, sign: str) -> None:
    assert "e-mail address" in kinds(f"{before}{first}.{last}{sign}{host}.{ending}")


@given(st.integers(1, 99), st.lists(st.integers(100, 9999), min_size=2, max_size=3), st.sampled_from([" ", "-", "."]))
@example(1, [111, 111], " ")
def test_every_international_number_is_found(country: int, groups: list[int], separator: str) -> None:
    assert "telephone number" in kinds(f"+{country}{separator}{separator.join(str(g) for g in groups)}")


@pytest.mark.parametrize(
    "text",
    ["(555) 867-5309", "555-867-5309", "020 7946 0958", "0171/2345678", "13812345678", "010-62781234", "Tel. 5550199", "call 555 0199 now",
     "电话：62781234", "+86 138 1234 5678", "01 23 45 67 89",
     "李经理13812345678", "招租138-1234-5678", "13812345678王先生", "TEL13812345678",
     "去掉墙上的021-12345678这串数字", "把0755 8888 6666的字去掉", "090-1234-5678に電話", "手機0912345678號"],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str) -> None:
    assert kinds(text) == {"telephone number"}


@pytest.mark.parametrize(
    "text",
    ["2024-05-12", "12.05.2024", "12/05/24", "1999-2024", "20240512", "10:30", "10:30 - 18:00", "€ 1.299,00", "$1,250,000", "1 250 000",
     "No. 42", "1080p", "100%", "24/7", "A4 210 x 297", "3.14159", "speed limit 50", "ISO 9001", "Route 66", "9-11", "PO 12", "B747-400",
     "EST 1898", "Open 9 - 5", "iPhone 15", "50km", "1/2", "The Bank of England", "COFFEE SHOP", "第25号",
     "2024年05月12日", "19991231", "12000000元", "1000-2000元", "2023-2024年", "分辨率3840×2160", "1920x1080像素"],
)  # fmt: skip
def test_what_looks_a_little_like_it_is_not_found(text: str) -> None:
    assert kinds(text) == set()


@given(st.lists(st.sampled_from([word for word in WORDS if not word.isdigit()]), min_size=1, max_size=4))
def test_words_on_signs_are_not_found(words: list[str]) -> None:
    assert kinds(" ".join(words)) == set()


@given(st.lists(st.integers(0, 9), min_size=14, max_size=14), st.sampled_from(["", " ", "-"]))
def test_every_card_number_is_found(digits: list[int], separator: str) -> None:
    body = "4" + "".join(map(str, digits))
    check = next(c for c in "0123456789" if passes_luhn(body + c))
    number = body + check
    grouped = separator.join(number[i : i + 4] for i in range(0, 16, 4))
    assert kinds(grouped) & {"card number", "identity number", "account number"}
    other = str((int(check) + 1) % 10)
    assert not passes_luhn(body + other)


@given(st.integers(10**15, 10**16 - 1), st.booleans())
def test_every_chinese_identity_number_is_found(middle: int, blanks: bool) -> None:
    body = f"3{middle}"
    number = next(body + c for c in "0123456789X" if passes_chinese_identity(body + c))
    text = f"{number[:6]} {number[6:14]} {number[14:]}" if blanks else number
    assert "identity number" in kinds(text)


def test_checked_numbers() -> None:
    assert passes_iban("GB82 WEST 1234 5698 7654 32")
    assert passes_iban("DE89370400440532013000")
    assert not passes_iban("DE89370400440532013001")
    assert kinds("IBAN DE89 3704 0044 0532 0130 00") == {"account number"}
    assert passes_luhn("4111 1111 1111 1111")
    assert not passes_luhn("0000 0000 0000 0000")
    assert kinds("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<") == {"identity number"}
    assert kinds("078-05-1120") == {"identity number"}
    assert kinds("Passport No: L898902C3") == {"identity number"}
    assert kinds("AB 12 34 56 C") == {"identity number"}


@pytest.mark.parametrize(
    "text", ["Hello my name is\nAda", "Name: Ada Lovelace", "Dr. Ada Lovelace", "Mrs Robinson", "姓名：张三", "我叫李雷", "Prof Hawking"]
)
def test_names_on_badges(text: str) -> None:
    assert kinds(text) == {"name"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("号码是010-88887777", "010-88887777"),
        ("打0912345678找我", "0912345678"),
        ("加我+86 10 8888 7777联系", "+86 10 8888 7777"),
        ("手機0912345678", "0912345678"),
        ("账号DE89370400440532013000", "DE89370400440532013000"),
        ("关注@annika吧", "@annika"),
        ("去掉Mr Smith", "Mr Smith"),
        ("護照號碼E12345678", "護照號碼E12345678"),
        ("身分證字號A123456789", "身分證字號A123456789"),
    ],
)
def test_chinese_letters_beside_them_hide_nothing(text: str, hidden: str) -> None:
    assert [text[found.start : found.stop] for found in find_personal_text(text)] == [hidden]


@pytest.mark.parametrize("text", ["售价1234567元", "编号20240512", "尺寸210x297", "把亮度调到100%"])
def test_prices_dates_and_sizes_in_chinese_are_not_found(text: str) -> None:
    assert kinds(text) == set()


def test_user_names() -> None:
    assert kinds("follow @ada_lovelace!") == {"user name"}
    assert kinds("@ home") == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("给@ada_l加帽子", "@ada_l"),
        ("@张伟 你好", "@张伟"),
        ("加我微信zhangsan88再发", "微信zhangsan88"),
        ("微信号zhangsan，把帽子去掉", "微信号zhangsan"),
        ("My WeChat is zhang_san_88 now", "WeChat is zhang_san_88"),
        ("vx: abc12345", "vx: abc12345"),
        ("QQ号 123456", "QQ号 123456"),
        ("把zhangsan@163.com这行字去掉", "zhangsan@163.com"),
        ("write to ada@mail.org, then add a hat", "ada@mail.org"),
        ("zhangsan＠qq．com", "zhangsan＠qq．com"),
        ("张三@qq.com", "张三@qq.com"),
        ("打021-12345678给我", "021-12345678"),
        ("号码110101199003074515。", "110101199003074515"),
        ("把DE89370400440532013000擦掉", "DE89370400440532013000"),
    ],
)
def test_what_names_a_person_is_found_in_the_midst_of_other_words_and_no_more_than_it(text: str, found: str) -> None:
    (item,) = find_personal_text(text)
    assert text[item.start : item.stop] == found


@pytest.mark.parametrize("text", ["把微信logo去掉", "remove the WeChat sticker", "the wechat is removed", "把QQ 2024版换掉", "wx and qq"])
def test_messengers_alone_are_nobody(text: str) -> None:
    assert kinds(text) == set()


def test_no_text_takes_long() -> None:
    began = time.process_time()
    for piece in ("a.", "1.", "a-", "@a", "微信", "a@a,"):
        find_personal_text(piece * (500 // len(piece)))
    assert time.process_time() - began < 1


@given(st.text(max_size=200))
def test_any_text_is_taken_and_findings_are_in_order(text: str) -> None:
    found = find_personal_text(text)
    places = [place for item in found for place in (item.start, item.stop)]
    assert places == sorted(places)
    assert all(0 <= item.start < item.stop <= len(text) for item in found)
