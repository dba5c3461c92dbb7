"""What a hostile or careless client sends: pictures of any mode and damage, and any JSON at all."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from lafi.kinds import BlockSet, Choice, Integer, Kind, Number, Place, Switch, Text
from lafi.lists import Entries, Images
from lafi.lists import Image as Picture
from lafi.references import ENTRY
from lafi.settings import FIELDS

MODES = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV",
    "I", "I;16", "I;16L", "I;16B", "I;16N", "F",
)  # fmt: skip
FORMS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000")


def chunk(name: bytes, body: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *more: bytes, depth: int = 8, colour: int = 6) -> str:
    """A PNG file that claims any size, with a megabyte of nothing in it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(10**6)))
    data = b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + body + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


BOMBS = (
    png(30000, 30000), png(2**31 - 1, 2**31 - 1), png(8192, 8193), png(1, 2**26 + 1), png(0, 0),
    png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
    png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))),
    base64.b64encode(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";").decode(),
    base64.b64encode(b"P6 99999 99999 255\n").decode(),
    base64.b64encode(
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 10**9, 10**9, 1, 24, 0)
    ).decode(),
)  # fmt: skip
ADDRESSES = (
    "http://127.0.0.1:7860/hero.png", "https://example.org/hero.png", "HTTP://[::1]/", "ftp://a/b",
    "file:///etc/hostname", "file:hero.png", "/etc/hostname", "../../hero.png", "hero.png", "~",
    ".", "C:\\hero.png", "\\\\server\\hero.png", "/dev/stdin", "data:,http://a/", "data:", "%s",
    "data:image/png;base64,/etc/hostname", "data:image/png;base64,http://127.0.0.1/", "\0",
    "data:;base64,",
)  # fmt: skip


@st.composite
def pictures(draw: st.DrawFn) -> Image.Image:
    """A picture as the page hands it over."""
    mode = draw(st.sampled_from(MODES))
    size = draw(
        st.tuples(st.integers(0, 24), st.integers(0, 24)) | st.sampled_from([(1, 1), (900, 1)])
    )
    picture = Image.new(mode, size)
    length = len(picture.tobytes()) if all(size) else 0
    if length:
        pattern = draw(st.binary(min_size=1, max_size=32))
        picture.frombytes((pattern * (length // len(pattern) + 1))[:length])
    return picture


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A picture as a file; in a form that cannot hold it, another picture."""
    picture, form = draw(pictures()), draw(st.sampled_from(FORMS))
    options: dict[str, Any] = {}
    if form in ("GIF", "PNG", "WEBP", "TIFF") and draw(st.booleans()):
        options = {"save_all": True, "append_images": [picture, picture]}
    orientation = draw(st.none() | st.integers(0, 65535))
    if orientation is not None and form in ("PNG", "JPEG", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    try:
        picture.save(buffer, form, **options)
    except (OSError, ValueError, SystemError, KeyError, ZeroDivisionError, RuntimeError):
        buffer = io.BytesIO()
        Image.new("RGB", (9, 7), "#336699").save(buffer, form)
    return buffer.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file cut short, with other bytes in it, or with more behind it."""
    data = bytearray(draw(files()))
    how = draw(st.sampled_from(["whole", "whole", "cut", "changed", "longer"]))
    if how == "cut":
        data = data[: draw(st.integers(0, len(data)))]
    elif how == "changed" and data:
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    elif how == "longer":
        data += draw(st.binary(max_size=64))
    return bytes(data)


def _wrap(head: str, data: bytes) -> str:
    return head + base64.b64encode(data).decode()


HEADS = st.sampled_from(
    ["", "data:image/png;base64,", "data:image/jpeg;base64,", "data:;base64,", " "]
)
TEXT = st.text(st.characters(), max_size=40)  # halves of characters as well
SENT = (
    st.builds(_wrap, HEADS, damaged()) | st.sampled_from(BOMBS) | st.sampled_from(ADDRESSES)
    | pictures() | TEXT
)  # fmt: skip
NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([10**400, -(10**4000), 2**32, -0.0])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """What stands in a field: mostly what it takes, at times anything."""
    if isinstance(kind, Images):
        return SENT | SENT | st.lists(SENT, max_size=2) | JSON
    if isinstance(kind, Picture):
        return SENT | SENT | SENT | JSON
    if isinstance(kind, Entries):
        entry = st.fixed_dictionaries({"image": SENT}, optional={
            name: values(each) for name, (each, _) in ENTRY.items() if name != "image"
        })  # fmt: skip
        return st.lists(entry, max_size=2) | st.just([]) | JSON
    if isinstance(kind, Number):
        whole = st.integers(int(kind.minimum), int(kind.maximum))
        fits = whole if isinstance(kind, Integer) else whole | st.floats(kind.minimum, kind.maximum)
        return fits | fits | fits | NUMBERS | JSON
    return {
        Switch: st.booleans() | st.just(True) | JSON,
        Choice: st.sampled_from(kind.choices or ("",))
        | st.sampled_from(kind.choices or ("",))
        | JSON,
        Text: TEXT | JSON,
        BlockSet: st.sampled_from(["", "19-56", "flux-vital", "5-3"]) | TEXT | JSON,
        Place: st.sampled_from(["", "left", "0-50%", "0.2-1,0-0.5", "lefft", "1-0"]) | TEXT | JSON,
    }[type(kind)]


def _some_fields(names: set[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {each.name: values(each.kind) for each in FIELDS if each.name in names}
    )


@st.composite
def requests(draw: st.DrawFn) -> list[Any]:
    """The arguments of a request: a dict of fields, values in order, or neither."""
    shape = draw(st.sampled_from(["dict", "dict", "dict", "dict", "positions", "anything"]))
    if shape == "anything":
        return draw(st.lists(JSON, min_size=1, max_size=20))
    if shape == "positions":
        return [draw(values(field.kind)) for field in FIELDS[: draw(st.integers(1, len(FIELDS)))]]
    names = draw(st.sets(st.sampled_from([field.name for field in FIELDS]), max_size=3))
    fields = draw(_some_fields(names | {"image"}))
    if draw(st.integers(0, 9)) == 0:
        fields[draw(TEXT)] = draw(JSON)
    return [fields]
