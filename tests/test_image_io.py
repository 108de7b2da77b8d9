"""Pictures of every kind come in upright, in sRGB and 8 bits, or are refused in a sentence; and go out whole or not at all."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, features

from measuring import peak_memory
from step1x_edit.errors import ImageError, TakenError, UsageError
from step1x_edit.image_io import (
    MAX_PIXELS,
    check_target,
    format_of,
    free_names,
    read_image,
    read_size,
    resize,
    write_image,
)
from step1x_edit.image_modes import flatten, to_standard

LOSSLESS = ["PNG", "TIFF", "BMP"]
FORMATS = [*LOSSLESS, "JPEG", "GIF", "PPM", *(name.upper() for name in ("webp", "avif") if features.check(name))]


def encode(image: Image.Image, name: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def mean_difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a.convert("RGB"), np.int16) - np.asarray(b.convert("RGB"), np.int16)).mean())


# --- reading


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(name: str, scene: Image.Image) -> None:
    picture = read_image(encode(scene, name))
    assert picture.image.size == scene.size
    assert picture.image.mode == "RGB"
    assert mean_difference(picture.image, scene) < (12 if name == "GIF" else 3)


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
    name=st.sampled_from(["PNG", "TIFF"]),
    seed=st.integers(0, 99),
)
def test_lossless_formats_give_every_pixel_back(width: int, height: int, mode: str, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image = Image.fromarray(pixels if mode.endswith("A") else pixels[..., :3]).convert(mode)
    assert read_image(encode(image, name)).image.tobytes() == to_standard(image).image.tobytes()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        *((mode, "RGB") for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "RGBX")),
        *((mode, "RGBA") for mode in ("LA", "PA", "RGBA", "RGBa", "La")),
    ],
)
def test_every_mode_becomes_rgb_or_rgba(mode: str, expected: str, scene: Image.Image) -> None:
    steps = {"La": ["LA", "La"], "RGBa": ["RGBA", "RGBa"], "PA": ["P", "PA"]}.get(mode, [mode])
    image = scene
    for step in steps:
        image = image.convert(step)
    picture = to_standard(image)
    assert (picture.image.mode, picture.image.size) == (expected, scene.size)
    if mode not in ("1", "P", "PA"):
        grey = mode.startswith("L")
        assert mean_difference(picture.image, scene.convert("L") if grey else scene) < 2


def test_rgb_comes_back_as_it_is(scene: Image.Image) -> None:
    assert to_standard(scene).image.tobytes() == scene.tobytes()


def test_sixteen_bits_keep_their_upper_half(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "deep.png").image)[..., 0].ravel(), np.arange(256))


def test_sixteen_bits_take_no_more_memory_than_the_picture() -> None:
    picture = Image.fromarray(np.arange(1000 * 2000, dtype=np.uint32).astype(np.uint16).reshape(1000, 2000))
    assert peak_memory(lambda: to_standard(picture)) < 3 * 2 * 1000 * 2000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.float32([[0.0, 100.0, 255.0]]), [0, 100, 255]),
        (np.float32([[-10.0, 0.0, 10.0]]), [0, 128, 255]),
        (np.float32([[np.nan, np.inf, 1.0]]), [0, 0, 255]),
        (np.int32([[0, 257 * 7, 65535]]), [0, 7, 255]),
        (np.int32([[-1, 0, 1]]), [0, 128, 255]),
        (np.int32([[9, 9, 70000 * 0 + 9]]), [0, 0, 0]),
    ],
)
def test_wide_values_are_brought_to_eight_bits(values: np.ndarray, expected: list[int]) -> None:
    assert np.asarray(to_standard(Image.fromarray(values)).image)[0, :, 0].tolist() == expected


def test_wide_tiff_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.float32([[0.0, 1.0]])).save(tmp_path / "float.tiff")
    assert np.asarray(read_image(tmp_path / "float.tiff").image)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_orientation_is_applied(orientation: int, name: str) -> None:
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:12, :8] = 255  # the upper left quarter is white
    # what a camera held that way stores: the inverse of what its tag asks for
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if name == "JPEG" else {}
    read = read_image(encode(Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, **options)).image
    assert read.size == (16, 24)
    assert np.abs(np.asarray(read).astype(int) - upright).max() < 40


def test_damaged_orientation_is_none(scene: Image.Image) -> None:
    data = encode(scene, "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")
    assert read_image(data).image.size == scene.size


def test_alpha_is_kept(scene: Image.Image) -> None:
    rgba = scene.convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(scene.size))
    read = read_image(encode(rgba, "PNG")).image
    assert read.mode == "RGBA"
    assert read.tobytes() == rgba.tobytes()


def test_a_transparent_colour_becomes_alpha() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 2), 1)
    read = read_image(encode(palette, "PNG", transparency=0)).image
    assert read.getpixel((0, 0)) == (255, 0, 0, 0)
    assert read.getpixel((1, 2)) == (0, 255, 0, 255)


def test_a_profile_is_applied(scene: Image.Image) -> None:
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # exchange the red and the blue primaries of sRGB: the profile's colours are then those of the picture with red and blue exchanged
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    start = swapped.find("sRGB".encode("utf-16-be"))
    swapped[start : start + 8] = "RoBG".encode("utf-16-be")
    picture = read_image(encode(scene, "PNG", icc_profile=bytes(swapped)))
    assert any("converted from RoBG" in note for note in picture.notes)
    assert mean_difference(picture.image, Image.merge("RGB", scene.split()[::-1])) < 3
    assert "icc_profile" not in picture.image.info


def test_an_srgb_profile_changes_nothing(scene: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_image(encode(scene, "PNG", icc_profile=profile))
    assert picture.image.tobytes() == scene.tobytes()
    assert picture.notes == ()


def test_a_linear_profile_is_applied_though_its_name_speaks_of_srgb() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in (b"rTRC", b"gTRC", b"bTRC"):  # a curve of one number, gamma 1, in place of sRGB's
        entry = profile.index(tag)
        place = int.from_bytes(profile[entry + 4 : entry + 8])
        profile[place : place + 14] = b"curv" + bytes(4) + (1).to_bytes(4) + (256).to_bytes(2)
    picture = read_image(encode(Image.new("RGB", (2, 2), (55, 55, 55)), "PNG", icc_profile=bytes(profile)))
    assert picture.image.getpixel((0, 0)) == pytest.approx((128, 128, 128), abs=2)
    assert any("converted from" in note for note in picture.notes)


@pytest.mark.parametrize("profile", [b"not a profile", b"\x00" * 300])
def test_a_damaged_profile_is_left_aside_with_a_note(profile: bytes, scene: Image.Image) -> None:
    picture = read_image(encode(scene, "PNG", icc_profile=profile))
    assert picture.image.tobytes() == scene.tobytes()
    assert len(picture.notes) == 1


@pytest.mark.parametrize("name", [name for name in ("GIF", "PNG", "WEBP", "TIFF") if name in FORMATS])
def test_the_first_frame_is_taken_with_a_note(name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    picture = read_image(encode(frames[0], name, save_all=True, append_images=frames[1:]))
    assert picture.image.getpixel((4, 4))[0] > 200
    assert picture.notes == ("Only the first of its frames or pages is edited.",)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", [*(name for name in ("JPEG", "PNG", "TIFF", "WEBP") if name in FORMATS), "XMP", "ImageMagick"])
def test_the_header_tells_the_size_of_the_upright_picture(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, text = Image.new("RGB", (6, 4)), PngImagePlugin.PngInfo()
    if kind == "XMP":
        text.add_itxt("XML:com.adobe.xmp", f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{orientation}"/>')
    elif kind == "ImageMagick":
        text.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n", zip=True)
    data = encode(image, "PNG", pnginfo=text) if kind in ("XMP", "ImageMagick") else encode(image, kind, exif=exif)
    assert read_size(data) == read_image(data).image.size == ((4, 6) if orientation >= 5 else (6, 4))


def test_a_transparent_value_of_sixteen_bits_stays_transparent() -> None:
    values = np.array([[0, 300], [40000, 300]], np.uint16)
    picture = read_image(encode(Image.fromarray(values), "PNG", transparency=300))
    assert np.asarray(picture.image.getchannel("A")).tolist() == [[255, 0], [255, 0]]


def test_size_is_checked_before_decoding(png_with_header: Callable[[int, int], bytes]) -> None:
    with pytest.raises(ImageError, match="120 million pixels"):
        read_image(png_with_header(60_000, 60_000))
    with pytest.raises(ImageError, match="120 million pixels"):
        read_image(png_with_header(MAX_PIXELS + 1, 1))


def test_pillows_bound_is_ours_and_no_warning_leaks(png_with_header: Callable[[int, int], bytes]) -> None:
    with warnings.catch_warnings(), pytest.raises(ImageError, match="damaged or cut off"):
        warnings.simplefilter("error")
        read_image(png_with_header(10_000, 10_000))  # above Pillow's warning, below our bound: opened, and found to be empty


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "GIF"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.95])
def test_a_cut_off_file_is_refused(name: str, share: float, scene: Image.Image) -> None:
    data = encode(scene, name)
    with pytest.raises(ImageError):
        read_image(data[: int(len(data) * share)])


@given(seed=st.integers(0, 10_000), name=st.sampled_from(FORMATS), count=st.integers(1, 12))
@example(seed=0, name="TIFF", count=1)
def test_damaged_bytes_give_a_picture_or_an_image_error(seed: int, name: str, count: int) -> None:
    rng = np.random.default_rng(seed)
    data = np.frombuffer(_WHOLE[name], np.uint8).copy()
    places = rng.integers(0, min(len(data), int(rng.choice([60, 400, len(data)]))), count)
    data[places] = rng.integers(0, 256, count)
    with contextlib.suppress(ImageError):
        assert read_image(data.tobytes()).image.mode in ("RGB", "RGBA")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        read_image(data)


def _some_picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8))


_WHOLE = {name: encode(_some_picture(), name) for name in FORMATS}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    os.mkfifo(tmp_path / "pipe.png")
    refusals = {
        "missing.png": "There is no file",
        "": "is a folder",
        "empty.png": "is empty",
        "text.png": "is not a whole picture",
        "pipe.png": "is not a regular file",
    }
    for name, sentence in refusals.items():
        with pytest.raises(ImageError, match=sentence):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match="is not a regular file"):
        read_image(Path("/dev/zero"))
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(tmp_path / "a\0b.png")


def test_resize_keeps_the_mean(scene: Image.Image) -> None:
    small = resize(scene, (48, 32))
    assert small.size == (48, 32)
    assert np.abs(np.asarray(small).mean((0, 1)) - np.asarray(scene).mean((0, 1))).max() < 1
    assert resize(scene, scene.size) is scene


def test_flatten_puts_transparency_on_white() -> None:
    assert flatten(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert flatten(Image.new("RGBA", (1, 1), (10, 20, 30, 255))).getpixel((0, 0)) == (10, 20, 30)


# --- writing


@pytest.mark.parametrize("ending", [".png", ".PNG", ".tiff", ".tif", ".bmp"])
def test_lossless_writing(ending: str, tmp_path: Path, scene: Image.Image) -> None:
    assert write_image(scene, tmp_path / f"a{ending}") == ()
    assert read_image(tmp_path / f"a{ending}").image.tobytes() == scene.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp", ".avif"])
def test_lossy_writing(ending: str, tmp_path: Path, scene: Image.Image) -> None:
    if ending in (".webp", ".avif") and not features.check(ending[1:]):
        pytest.skip(f"this Pillow was built without {ending[1:]}")
    write_image(scene, tmp_path / f"a{ending}")
    assert mean_difference(read_image(tmp_path / f"a{ending}").image, scene) < 2


@pytest.mark.parametrize("ending", [".jpg", ".bmp"])
def test_alpha_that_the_format_cannot_hold_is_put_on_white(ending: str, tmp_path: Path) -> None:
    (note,) = write_image(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), tmp_path / f"a{ending}")
    assert "transparent" in note
    assert read_image(tmp_path / f"a{ending}").image.getpixel((8, 8)) == (255, 255, 255)


def test_the_record_is_in_the_file(tmp_path: Path, scene: Image.Image) -> None:
    write_image(scene, tmp_path / "a.png", record={"step1x:instruction": "把背景换成海滩", "step1x:seed": "7"})
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {"step1x:instruction": "把背景换成海滩", "step1x:seed": "7"}


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.gif", ".png"])
def test_unknown_endings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="end it in one of"):
        format_of(tmp_path / name)


def test_files_are_replaced_only_when_allowed(tmp_path: Path, scene: Image.Image) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        write_image(scene, target)
    assert target.read_bytes() == b"precious"
    write_image(scene, target, overwrite=True)
    assert read_image(target).image.size == scene.size


def test_a_name_taken_in_the_meantime_is_not_replaced(tmp_path: Path, scene: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.png"
    link = os.link

    def link_too_late(source: Path, destination: Path) -> None:
        target.write_bytes(b"precious")
        link(source, destination)

    monkeypatch.setattr(os, "link", link_too_late)
    with pytest.raises(TakenError, match="exists already"):
        write_image(scene, target)
    assert target.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["a.png"]


def test_file_systems_without_links(tmp_path: Path, scene: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, destination: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    write_image(scene, tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["a.png"]


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name, sentence in {"no/such/a.png": "does not exist", "folder.png": "not a regular file", "pipe.png": "not a regular file"}.items():
        with pytest.raises(UsageError, match=sentence):
            check_target(tmp_path / name, overwrite=True)


def test_a_picture_too_wide_for_its_format(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot be written as JPEG"):
        write_image(Image.new("RGB", (70_000, 1)), tmp_path / "a.jpg")
    assert os.listdir(tmp_path) == []


def test_permissions_are_the_users_own(tmp_path: Path, scene: Image.Image) -> None:
    (tmp_path / "plain").touch()
    write_image(scene, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_replaced_keeps_its_rights_and_its_links(tmp_path: Path, scene: Image.Image) -> None:
    private, link = tmp_path / "private.png", tmp_path / "link.png"
    write_image(scene, private)
    private.chmod(0o600)
    link.symlink_to(private)
    write_image(scene.transpose(Image.Transpose.ROTATE_90), link, overwrite=True)
    assert link.is_symlink() and private.stat().st_mode & 0o777 == 0o600
    assert np.array_equal(np.asarray(read_image(private).image), np.asarray(scene.transpose(Image.Transpose.ROTATE_90)))
    assert sorted(tmp_path.iterdir()) == [link, private]


def test_free_names_count_up(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    assert [p.name for p in free_names(source, 2)] == ["photo-edited.png", "photo-edited-2.png"]
    (tmp_path / "photo-edited.png").touch()
    (tmp_path / "photo-edited-3.png").symlink_to("nowhere")
    assert [p.name for p in free_names(source, 2)] == ["photo-edited-2.png", "photo-edited-4.png"]


def test_reading_from_a_file_and_from_bytes_agree(tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> None:
    path = tmp_path / "a.png"
    draw_scene(40, 30, seed=3).save(path)
    assert read_image(path).image.tobytes() == read_image(path.read_bytes()).image.tobytes()


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".avif", ".png"])
def test_noise_can_be_written(tmp_path: Path, ending: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (636, 57, 3), dtype=np.uint8))
    write_image(noise, tmp_path / f"noise{ending}")
    assert read_image(tmp_path / f"noise{ending}").image.size == noise.size


def test_names_may_be_as_long_as_files_have_them(tmp_path: Path) -> None:
    longest = tmp_path / f"{'图' * 83}ab.png"
    assert len(longest.name.encode()) == 255
    write_image(Image.new("RGB", (2, 2)), longest)
    assert longest.is_file()
    with pytest.raises(UsageError, match="shorter"):
        check_target(tmp_path / f"{'图' * 84}.png")
    [free] = free_names(longest)
    write_image(Image.new("RGB", (2, 2)), free)
