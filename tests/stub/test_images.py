"""Reference pictures: every mode and form comes out right, or is refused with the field's name."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lafi.errors import LafiError
from lafi.webui.decode import MOST_PIXELS, decode
from lafi.webui.fitting import fit_picture
from lafi.webui.images import open_picture

from .host import reference

# A ramp of greys, four by four.
RAMP = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
COLOURS = Image.merge("RGB", [Image.fromarray(each) for each in (RAMP, RAMP.T.copy(), 255 - RAMP)])


def data(picture: Image.Image, form: str = "PNG", **options: Any) -> str:
    """A picture in base64, as a client sends it."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def grey(mode: str, white: int) -> Image.Image:
    """The ramp in a mode for greys, with so large a number for white."""
    kind = {"I": "<i4", "F": "<f4", "I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}
    values = RAMP.astype(np.float64) * white / 255
    whole = values if mode == "F" else values.astype(np.int64)
    return Image.frombytes(mode, (4, 4), whole.astype(kind[mode]).tobytes())


def premultiplied(mode: str) -> Image.Image:
    """The ramp with alpha 128, brightness multiplied by it."""
    alpha = Image.new("L", (4, 4), 128)
    if mode == "La":
        return Image.merge("LA", [Image.fromarray(RAMP), alpha]).convert("La")
    return Image.merge("RGBA", [*COLOURS.split(), alpha]).convert("RGBa")


GREYS = {
    "I;16": grey("I;16", 65535), "I;16L": grey("I;16L", 65535), "I;16B": grey("I;16B", 65535),
    "I;16N": grey("I;16N", 65535), "I to 65535": grey("I", 65535), "I to 255": grey("I", 255),
    "F to 1": grey("F", 1), "F to 255": grey("F", 255), "F to 65535": grey("F", 65535),
    "L": Image.fromarray(RAMP), "LA": Image.fromarray(RAMP).convert("LA"),
}  # fmt: skip
CMYK = Image.merge(
    "CMYK", [*(ImageOps.invert(each) for each in COLOURS.split()), Image.new("L", (4, 4))]
)
COLOURED = {
    "RGB": COLOURS, "RGBA": COLOURS.convert("RGBA"), "RGBX": COLOURS.convert("RGBX"),
    "P": COLOURS.quantize(16), "PA": COLOURS.quantize(16).convert("PA"), "CMYK": CMYK,
    "YCbCr": COLOURS.convert("YCbCr"), "HSV": COLOURS.convert("HSV"),
}  # fmt: skip


@pytest.mark.parametrize("name", GREYS)
def test_greys_are_those_of_8_bits(name: str) -> None:
    eight_bits = open_picture(Image.fromarray(RAMP), Image.fromarray(RAMP))
    image = open_picture(GREYS[name], GREYS[name])
    assert np.array_equal(np.asarray(image.pixels)[..., 0], RAMP)
    assert image.mask is not None
    assert np.array_equal(np.asarray(image.mask) > 0, RAMP >= 128)
    assert image.hash == eight_bits.hash


@pytest.mark.parametrize("name", COLOURED)
def test_colours_come_out_right(name: str) -> None:
    wanted = np.asarray(COLOURED[name].convert("RGB") if name in ("P", "PA") else COLOURS, np.int16)
    for given in (COLOURED[name], COLOURED[name].copy()):
        pixels = np.asarray(open_picture(given, None).pixels, np.int16)
        # YCbCr and HSV have steps of their own.
        assert np.abs(pixels - wanted).max() <= (5 if name in ("YCbCr", "HSV") else 0)


@pytest.mark.parametrize("name", COLOURED)
def test_a_mask_is_its_brightness(name: str) -> None:
    mask = open_picture(Image.new("RGB", (4, 4)), COLOURED[name]).mask
    light = np.asarray(COLOURED[name].convert("RGB").convert("L"), np.int16)
    clear = np.abs(light - 128) > 5
    assert np.array_equal((np.asarray(mask) > 0)[clear], (light >= 128)[clear])


def test_black_and_white() -> None:
    image = Image.fromarray(RAMP).point(lambda value: 255 * (value >= 128)).convert("1")
    picture = open_picture(image, image)
    assert np.array_equal(np.asarray(picture.pixels)[..., 0], np.where(RAMP >= 128, 255, 0))
    assert np.array_equal(np.asarray(picture.mask), np.where(RAMP >= 128, 255, 0))


def test_lab() -> None:
    image = Image.new("LAB", (4, 4), (138, 166, 174))  # a brown, darker than grey 128
    assert np.abs(np.asarray(open_picture(image, None).pixels, int) - [199, 100, 50]).max() <= 2
    image.paste((250, 0, 0), (0, 0, 4, 2))
    mask = np.asarray(open_picture(COLOURS, image).mask)
    assert mask[:2].all()
    assert not mask[2:].any()


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_colours_are_divided_again(mode: str) -> None:
    pixels = np.asarray(decode("image", premultiplied(mode)), np.int16)
    wanted = RAMP if mode == "La" else np.asarray(COLOURS, np.int16)[..., 0]
    assert np.abs(pixels[..., 0] - wanted).max() <= 2
    assert (pixels[..., 3] == 128).all()


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa", "P", "RGB", "L", "I;16"])
def test_transparent_parts_are_left_out(mode: str) -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, :4] = 255
    shown = Image.new("L", (8, 8), 200)
    if mode in ("RGB", "L", "I;16"):  # one colour stands for clear
        values = np.where(alpha > 0, 200, 10)
        if mode == "I;16":
            picture = Image.fromarray((values * 257).astype(np.uint16))
            picture.info["transparency"] = 10 * 257
        else:
            picture = Image.fromarray(values.astype(np.uint8)).convert(mode)
            picture.info["transparency"] = (10,) * 3 if mode == "RGB" else 10
    elif mode == "P":
        picture = Image.fromarray((alpha == 0).astype(np.uint8)).convert("P")
        picture.info["transparency"] = 1
    elif mode == "PA":
        picture = Image.frombytes("PA", (8, 8), np.stack([alpha * 0, alpha], -1).tobytes())
    else:
        picture = Image.merge("LA", [shown, Image.fromarray(alpha)])
        if mode in ("RGBA", "RGBa"):
            picture = picture.convert("RGBA")
        picture = picture if mode == "RGBA" else picture.convert(mode)
    mask = open_picture(picture, None).mask
    assert mask is not None
    assert np.array_equal(np.asarray(mask), alpha)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_file_of_16_bits_is_the_picture_of_8_bits(form: str) -> None:
    sixteen = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert open_picture(data(sixteen, form), None).hash == open_picture(GREYS["L"], None).hash
    dark = Image.fromarray(RAMP.astype(np.uint16))  # nearly black, not a picture of 8 bits
    assert not np.asarray(open_picture(data(dark, form), None).pixels).any()


@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("values", [(-1, 5), (0, 70000), (0, 2**31 - 1)], ids=str)
def test_greys_without_a_white_are_refused(mode: str, values: tuple[int, int]) -> None:
    picture = Image.new(mode, (2, 1))
    picture.putdata(values)
    for field, given in {"image": (picture, None), "mask": (COLOURS, picture)}.items():
        with pytest.raises(LafiError, match=f"{field}: .*grey values") as caught:
            open_picture(*given)
        assert caught.value.problems[0]["loc"] == [field]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_greys_that_are_no_numbers_are_refused(value: float) -> None:
    picture = Image.new("F", (2, 1))
    picture.putdata([0.5, value])
    with pytest.raises(LafiError, match="image"):
        open_picture(picture, None)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animated_picture_the_first_frame_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#c00000", "#00c000", "#0000c0")]
    options = {"lossless": True} if form == "WEBP" else {}
    text = data(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert np.asarray(open_picture(text, None).pixels)[0, 0].tolist() == [192, 0, 0]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_image_and_mask_are_turned_upright(form: str) -> None:
    wide = Image.new("RGB", (16, 8))
    wide.paste("#ffffff", (0, 0, 8, 8))  # the left half is white; upright it is the upper half
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, Any] = {"exif": exif}
    if form == "TIFF":
        options = {"tiffinfo": {0x0112: 6}}
    text = data(wide, form, **options)
    picture = open_picture(text, text)
    assert picture.pixels.size == (8, 16)
    assert np.asarray(picture.pixels.convert("L"))[2, 4] > 250
    assert picture.mask is not None
    assert np.asarray(picture.mask)[2, 4] == 255
    assert np.asarray(picture.mask)[13, 4] == 0


def test_one_pixel() -> None:
    dot = Image.new("RGB", (1, 1), "#336699")
    for fit in ("crop", "pad", "stretch"):
        fitted = fit_picture(open_picture(data(dot), data(dot.point(lambda _: 255))), 64, 32, fit)
        assert fitted.pixels.shape == (1, 3, 32, 64)
        assert fitted.mask is not None
        assert fitted.mask.any()


@pytest.mark.parametrize(
    "head", ["", "data:image/png;base64,", "DATA:image/webp;base64,", "data:;base64,"]
)
def test_base64_in_any_wrapping(head: str) -> None:
    body = data(COLOURS)
    lines = "\n".join(body[i : i + 76] for i in range(0, len(body), 76))
    assert open_picture(f" {head}{lines}\n", None).hash == open_picture(COLOURS, None).hash


def bomb() -> str:
    """A small PNG file of an enormous picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 6, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def eps() -> str:
    """A page in a language that a program would have to run."""
    page = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    return base64.b64encode(page.encode()).decode()


WHOLE = data(reference())
REFUSED = {
    "nothing but spaces in a data URL": "data:image/png;base64,  ",
    "no base64": "%%% no base64 %%%",
    "no picture": base64.b64encode(b"not a picture").decode(),
    "half a picture": WHOLE[: len(WHOLE) // 2],
    "a header alone": WHOLE[:44],
    "a path": "/etc/hostname",
    "a file address": "file:///etc/hostname",
    "a web address": "https://example.org/hero.png",
    "an address inside": "http://127.0.0.1:7860/file=/etc/hostname",
    "a data URL without base64": "data:image/svg+xml,<svg/>",
    "a bomb": bomb(),
    "a program": eps(),
    "letters of another script": "参考图像",
    "half a character": "\ud800",
    "a zero": "\0",
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("field", ["image", "mask"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_picture_is_refused(monkeypatch, case: str, field: str) -> None:
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr("socket.socket", None)
    monkeypatch.setattr("subprocess.Popen", None)
    given = (REFUSED[case], None) if field == "image" else (reference(), REFUSED[case])
    with pytest.raises(LafiError) as caught:
        open_picture(*given)
    assert [each["loc"] for each in caught.value.problems] == [[field]]
    str(caught.value).encode()
    assert " at 0x" not in str(caught.value)


def test_a_large_picture_is_refused_before_it_is_unpacked() -> None:
    class Large:
        size = (MOST_PIXELS, 2)

        def convert(self, mode: str) -> None:
            raise AssertionError

    with pytest.raises(LafiError, match=r"image: is too large .*; at most 67 megapixels"):
        open_picture(Large(), None)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(LafiError, match="mask: has no pixels"):
        open_picture(COLOURS, Image.new("L", (0, 4)))
