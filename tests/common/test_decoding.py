"""Images as strangers keep them: every one is decoded, or is an error that names it."""

import contextlib
import io
import logging
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from mrvae_zoo.common import decoding
from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.common.images import to_tensor


def png(depth, kind, rows, transparent, palette=b""):
    """A PNG of two pixels a row, with a transparent colour."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 2, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    colours = chunk(b"PLTE", palette) if palette else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + colours + chunk(b"tRNS", transparent)
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def shorts(*values):
    return struct.pack(f">{len(values)}H", *values)


TRANSPARENT = {
    "RGB, 8 bits": (png(8, 2, [bytes([9, 8, 7, 10, 20, 30])], shorts(9, 8, 7)), 3, (10 / 255, 20 / 255, 30 / 255)),
    "RGB, 16 bits": (png(16, 2, [shorts(5000, 600, 70, 0, 0, 0)], shorts(5000, 600, 70)), 3, (0, 0, 0)),
    "grey, 8 bits": (png(8, 0, [bytes([0, 100])], shorts(0)), 1, (100 / 255,)),
    "grey, 1 bit": (png(1, 0, [bytes([0b10000000])], shorts(1)), 1, (0,)),
    "grey, 2 bits": (png(2, 0, [bytes([0b01100000])], shorts(1)), 1, (170 / 255,)),
    "grey, 4 bits": (png(4, 0, [bytes([0x3A])], shorts(3)), 1, (170 / 255,)),
    "grey, 16 bits": (png(16, 0, [shorts(7, 30000)], shorts(7)), 1, (30000 / 65535,)),
    "palette": (png(8, 3, [bytes([0, 1])], bytes([0, 255]), bytes([0, 0, 0, 200, 200, 200])), 3, (200 / 255,) * 3),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_a_transparent_colour_is_white_in_every_mode(kind, tmp_path, caplog):
    content, channels, other = TRANSPARENT[kind]
    path = tmp_path / "image.png"
    path.write_bytes(content)
    caplog.set_level(logging.INFO, "mrvae_zoo")
    for given in (path, Image.open(path), Image.open(io.BytesIO(content))):
        x = to_tensor(given, (channels, 1, 2))[0]
        assert torch.equal(x[:, 0, 0], torch.ones(channels))
        assert x[:, 0, 1].tolist() == pytest.approx(list(other), abs=1e-6)


def test_a_path_and_the_image_in_it_give_the_same(tmp_path):
    """Turned as the EXIF orientation says, whoever opened the file."""
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(array).save(path, exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
        for given in (path, Image.open(path)):
            x = to_tensor(given, (1, None, None))[0, 0] * 255
            assert np.array_equal(x.round().byte().numpy(), expected), orientation


def test_integers_in_a_container_of_32_bits_are_of_8_or_of_16(tmp_path):
    eight, sixteen = (np.array([[0, top]], np.int32) for top in (255, 65535))
    for array in (eight, sixteen):
        path = tmp_path / "image.tiff"
        Image.fromarray(array).save(path)
        for given in (path, Image.open(path), Image.fromarray(array)):
            assert to_tensor(given, (1, 1, 2)).flatten().tolist() == [0.0, 1.0]
    for wrong in ([[0, 65536]], [[-1, 5]]):
        Image.fromarray(np.array(wrong, np.int32)).save(path)
        with pytest.raises(ValueError, match=r"image.tiff holds integers in \[.*\]; expected 8 or 16 bits"):
            to_tensor(path, (1, 1, 2))


def test_floats_are_within_0_and_1_or_an_error_with_a_name(tmp_path):
    path = tmp_path / "image.tiff"
    Image.fromarray(np.array([[0.0, 0.25]], np.float32)).save(path)
    assert to_tensor(path, (1, 1, 2)).flatten().tolist() == [0.0, 0.25]
    for wrong in (255.0, -0.5, np.nan):
        Image.fromarray(np.array([[0.0, wrong]], np.float32)).save(path)
        for given in (path, Image.open(path)):
            with pytest.raises(ValueError, match=r"image.tiff holds floats in .*; expected values in \[0, 1\]"):
                to_tensor(given, (1, 1, 2))


def jpeg_with_an_odd_tag(orientation):
    """A JPEG, white above and black below, with an orientation, and with a width that is text."""
    buffer = io.BytesIO()
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (0, 0, 16, 8))
    image.save(buffer, "JPEG", quality=95)
    tags = struct.pack("<HHII", 0x0112, 3, 1, orientation) + struct.pack("<HHII", 0x0100, 2, 1, 70000)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return buffer.getvalue()[:2] + segment + buffer.getvalue()[2:]


def test_an_odd_tag_keeps_no_image_from_being_used_and_turned(tmp_path, monkeypatch):
    path = tmp_path / "odd.jpg"
    path.write_bytes(jpeg_with_an_odd_tag(3))
    with Image.open(path) as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)  # what this is about
    x = to_tensor(path, (1, 16, 16))[0, 0]
    assert x[:6].max() < 0.1  # turned upside down
    monkeypatch.setattr(Image.Image, "getexif", lambda self: struct.unpack("<I", b"1"))
    x = to_tensor(path, (1, 16, 16))[0, 0]
    assert x[:6].min() > 0.9  # as it lies


ERRORS = (
    *(struct.error("odd"), RuntimeError("odd"), KeyError("odd"), IndexError(), ZeroDivisionError(), MemoryError()),
    NotImplementedError("odd"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["open", "load"])
def test_whatever_a_decoder_raises_is_an_error_that_names_the_file(error, where, tmp_path, monkeypatch):
    path = tmp_path / "odd.png"
    Image.new("L", (4, 4)).save(path)

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", broken) if where == "open" else monkeypatch.setattr(Image.Image, "load", broken)
    with pytest.raises(ValueError, match="odd.png (is damaged|cannot be decoded|needs more memory)"):
        open_image(path)


def written(image):
    """The image in every format that Pillow writes and reads, by suffix."""
    Image.init()
    kinds = {kind: suffix for suffix, kind in Image.registered_extensions().items()}
    for kind, suffix in kinds.items():
        buffer = io.BytesIO()
        if kind in Image.SAVE and kind in Image.OPEN:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # not of this mode
                image.save(buffer, kind)
                yield suffix, buffer.getvalue()


def damaged(content, rng):
    """It cut at several places, and with eight bytes changed there."""
    for start in range(0, len(content), max(1, len(content) // 12)):
        noise = rng.integers(0, 256, 8, dtype=np.uint8).tobytes()[: len(content) - start]
        yield content[:start]
        yield content[:start] + noise + content[start + len(noise) :]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # decoders warn of much
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_damaged_files_of_every_format_are_used_or_named(mode, tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).convert(mode)
    used = named = 0
    for suffix, content in written(image):
        for each in (content, *damaged(content, rng)):
            path = tmp_path / f"image{suffix}"
            path.write_bytes(each)
            try:
                assert open_image(path).mode in ("L", "RGB", "I;16", "F")
                used += 1
            except ValueError as error:
                named += str(path) in str(error)
                assert str(path) in str(error)  # noqa: PT017 (used or named: either will do)
    assert used > 50
    assert named > 50


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "deep", outside, inside / ".hidden"):
        folder.mkdir(parents=True)
        Image.new("L", (2, 2)).save(folder / "a.png")
    (inside / "linked").symlink_to(outside)
    (inside / "deep" / "loop").symlink_to(inside)
    (outside / "back").symlink_to(inside)
    (inside / "b.png").symlink_to(outside / "a.png")
    found = [path.relative_to(inside).as_posix() for path in find_images(inside)]
    assert found == ["b.png", "deep/a.png", "linked/a.png"]


def test_the_module_tells_no_more_than_it_needs(caplog, tmp_path):
    caplog.set_level(logging.INFO, decoding.__name__)
    Image.new("L", (4, 4)).save(tmp_path / "plain.png")
    open_image(tmp_path / "plain.png")
    assert caplog.records == []
