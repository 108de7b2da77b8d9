"""Files that hostile and unlucky clients send as pictures, drawn from a seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The file of a picture."""
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes) -> bytes:
    """A PNG that declares any size over any body."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bomb(rng: random.Random) -> bytes:
    """Hundreds of megabytes of zeros, packed small."""
    return png(rng.randint(8_000, 60_000), rng.randint(8_000, 60_000), zlib.compress(bytes(10_000_000), 9))


def lying_header(rng: random.Random) -> bytes:
    """A size that the pixels do not fill."""
    return png(rng.randint(1, 7000), rng.randint(1, 7000), zlib.compress(bytes(rng.randint(0, 5000))))


def truncated(rng: random.Random) -> bytes:
    """A sound picture, cut off."""
    data = encode(noise(64, 48, rng.randrange(99)), rng.choice(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]))
    return data[: rng.randint(1, len(data) - 1)]


def flipped(rng: random.Random) -> bytes:
    """A sound picture with some bytes changed."""
    data = bytearray(encode(noise(64, 48, rng.randrange(99)), rng.choice(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "JPEG2000", "AVIF"])))
    for _ in range(rng.randint(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def polyglot(rng: random.Random) -> bytes:
    """A picture that is also a page, a script or an archive."""
    tail = rng.choice([b"<script>alert(1)</script>", b"PK\x03\x04" + bytes(26), b"%PDF-1.7\n1 0 obj\n", b"#!/bin/sh\nexit 1\n"])
    data = encode(noise(16, 16), rng.choice(["PNG", "GIF", "JPEG"]))
    return data + tail if rng.random() < 0.5 else tail + data


def svg(rng: random.Random) -> bytes:
    """Drawings, one of them with an entity that grows."""
    plain = b'<svg xmlns="http://www.w3.org/2000/svg" width="9999999" height="9999999"><image href="file:///etc/passwd"/></svg>'
    grows = (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
    )
    return rng.choice([plain, grows])


def heic(rng: random.Random) -> bytes:
    """The beginning of a phone's picture in a format that is not read."""
    return struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + rng.randbytes(rng.randint(0, 2000))


def one_pixel(rng: random.Random) -> bytes:
    """The smallest picture."""
    return encode(Image.new(rng.choice(["RGB", "RGBA", "L", "1", "P", "CMYK"]), (1, 1)), "TIFF")


def strip(rng: random.Random) -> bytes:
    """As long and thin as pictures get."""
    size = (1, rng.randint(1000, 30_000))
    return encode(Image.new("RGB", size if rng.random() < 0.5 else size[::-1], (9, 9, 9)))


def hundred_megapixels(rng: random.Random) -> bytes:
    """A sound picture beyond the limit."""
    return encode(Image.new("1", (10_000, 10_000 + rng.randint(0, 99))))


def wrong_type(rng: random.Random) -> bytes:
    """No picture at all."""
    return rng.choice(
        [b"", b"\0", b"MZ" + bytes(200), b'{"image": 1}', rng.randbytes(500), b"GIF89a", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8 "]
    )


def text_bomb(rng: random.Random) -> bytes:
    """A PNG whose text unpacks to a hundred megabytes."""
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    sound = encode(Image.new("RGB", (8, 8)))
    return sound[:33] + chunk(b"zTXt", text) + sound[33:]


def animation(rng: random.Random) -> bytes:
    """A thousand frames."""
    frames = [Image.new("L", (4, 4), i % 256) for i in range(300)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


HOSTILE: dict[str, Callable[[random.Random], bytes]] = {
    function.__name__: function
    for function in (
        bomb,
        lying_header,
        truncated,
        flipped,
        polyglot,
        svg,
        heic,
        one_pixel,
        strip,
        hundred_megapixels,
        wrong_type,
        text_bomb,
        animation,
    )
}
