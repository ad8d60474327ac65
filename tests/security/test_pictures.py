"""A picture of a stranger costs what its pixels cost: time and memory are bounded before any library opens it."""

import io
import json
import re
import resource
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from encoded import encode_tiff
from example_runs import examples
from PIL import Image
from synthetic import write_run

from pipeline.audit.inputs.originals import sampled_images
from pipeline.audit.inputs.table import open_table
from pipeline.audit.render import overlay_look, overlay_uri, render, select_rows
from pipeline.runs.record import run_at
from transforms.explain import ImageLoader, loading
from transforms.images.containers import checked_container
from transforms.images.decode import decode_image
from transforms.images.decoded import Limits
from transforms.records import ImageFailure, Status
from transforms.storage.storage import Storage

MIB = 1 << 20
DECODE = """
import json, resource, sys, time
import cv2, numpy
from transforms.images.decode import decode_image
from transforms.images.decoded import Limits
from transforms.records import ImageFailure
encoded = sys.stdin.buffer.read()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.process_time()
try:
    decoded = decode_image(encoded, Limits(max_pixels=int(sys.argv[1])))
    outcome = [decoded.width, decoded.height]
except ImageFailure as failure:
    outcome = f"{failure.status}: {failure.message}"
print(json.dumps([outcome, time.process_time() - start, peak() - before]))
"""


def cost_of(encoded: bytes, max_pixels: int = 2**27) -> tuple[list[int] | str, float, int]:
    """What comes of a picture in a process of its own, seconds of CPU and bytes at the peak beside the file."""
    limit = (12 << 30, 12 << 30)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(max_pixels)],
        input=encoded,
        capture_output=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    outcome, seconds, peak = json.loads(done.stdout)
    return outcome, seconds, peak


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def png(*chunks: bytes, behind: bytes = b"") -> bytes:
    """A PNG of 8 x 8 pixels with further chunks before and behind its samples."""
    plain = saved(Image.new("RGB", (8, 8), (10, 20, 30)), "PNG")
    header, rest = plain[:33], plain[33:]
    return header + b"".join(chunks) + rest[:-12] + behind + rest[-12:]


def overlapping_directory(entries: int, size: int, order: str = "<", kind: int = 7) -> bytes:
    """A directory whose values all lie at the same place, to come first in a file of that order."""
    begin = b"II*\0" if order == "<" else b"MM\0*"
    tags = [(50000 + number % 10000, kind, size, 8) for number in range(entries)]
    table = struct.pack(order + "H", entries) + b"".join(struct.pack(order + "HHLL", *tag) for tag in tags)
    return begin + struct.pack(order + "L", 8) + table + b"\0\0\0\0"


def tiff(*, order: str = "<", extra: list[tuple[int, int, int, int]] = (), padding: int = 0, size=(4, 4)) -> bytes:
    """A gray TIFF of one strip; ``extra`` tags are (tag, type, count, offset), their values in the padding."""
    width, height = size
    begin = b"II*\0" if order == "<" else b"MM\0*"
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1), (273, 4, 1, 8),
        (277, 4, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height), *extra,
    ]  # fmt: skip
    samples = bytes(width * height) + bytes(padding)
    table = struct.pack(order + "H", len(tags)) + b"".join(struct.pack(order + "HHLL", *tag) for tag in sorted(tags))
    return begin + struct.pack(order + "L", 8 + len(samples)) + samples + table + b"\0\0\0\0"


def gif(*extensions: bytes) -> bytes:
    """A GIF of 8 x 8 pixels with extensions before its picture."""
    plain = saved(Image.new("P", (8, 8), 3), "GIF")
    start = 13 + (3 << ((plain[10] & 7) + 1) if plain[10] & 0x80 else 0)
    return plain[:start] + b"".join(extensions) + plain[start:]


def webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<L", len(content)) + content + b"\0" * (len(content) % 2)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def jpeg(*segments: bytes) -> bytes:
    plain = saved(Image.new("RGB", (16, 16), (10, 20, 30)), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def of_many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG that is all zero: each scan after the first is some bytes, and goes over the whole picture."""

    def bits(text: str) -> bytes:
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")

    blocks = (-(-side // 8)) ** 2
    runs, rest = divmod(blocks, 1 << 14)
    alternating = bits("0" * 15 * runs + ("0" + format(0, "014b") if rest else ""))
    file = [
        b"\xff\xd8",
        segment(0xDB, b"\0" + b"\1" * 64),
        segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"),
        segment(0xC4, b"\0" + bytes([1, *[0] * 15]) + b"\0"),
        segment(0xC4, b"\x10" + bytes([1, *[0] * 15]) + b"\xe0"),
        segment(0xDA, b"\1\1\0\0\0\0") + bits("0" * blocks),
    ]
    places = [(low, at) for low in range(13, -1, -1) for at in range(1, 64)]
    for low, at in places[:scans]:
        file.append(segment(0xDA, bytes([1, 1, 0, at, at, (low + 1 if low < 13 else 0) << 4 | low])) + alternating)
    return b"".join([*file, b"\xff\xd9"])


OPAQUE = (11585, 11585)  # pixels: just within 2^27


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGBA", "PNG", {}),
        ("1", "PNG", {}),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [
                ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
                ("LA", "PNG", {}),
                ("P", "PNG", {"transparency": 0}),
                ("P", "GIF", {}),
                ("CMYK", "TIFF", {"compression": "tiff_lzw"}),
                ("F", "TIFF", {"compression": "tiff_lzw"}),
                ("CMYK", "JPEG", {}),
            ]
        ),
    ],
)
def test_the_largest_picture_of_every_mode_takes_nine_bytes_a_pixel_at_most(mode, kind, options):
    outcome, _, peak = cost_of(saved(Image.new(mode, OPAQUE), kind, **options))
    assert outcome == list(OPAQUE)
    assert peak < 9 * 2**27 + 150 * MIB


@pytest.mark.parametrize(("kind", "side"), [("WEBP", 8600), pytest.param("AVIF", 9900, marks=pytest.mark.slow)])
def test_formats_whose_libraries_keep_several_copies_may_have_fewer_pixels(kind, side):
    options = {"lossless": True, "method": 0} if kind == "WEBP" else {"speed": 10}
    large = saved(Image.new("RGBA", OPAQUE, (1, 2, 3, 77)), kind, **options)
    outcome, _, peak = cost_of(large)
    assert re.match(
        rf"TOO_LARGE: {kind} of 11585 x 11585 pixels: decoding takes [\d,]+ bytes; 1,207,959,552 are", outcome
    )
    assert peak < 1100 * MIB  # AVIF and WebP headers are read by allocating no picture, or one canvas
    outcome, _, peak = cost_of(saved(Image.new("RGBA", (side, side), (1, 2, 3, 77)), kind, **options))
    assert outcome == [side, side]
    assert peak < 9 * 2**27 + 150 * MIB


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_strips_are_the_picture_in_one_piece(mode):
    """Against Pillow's own conversion of the whole, on a picture of several strips."""
    noise = np.random.default_rng(0).integers(0, 256, (1100, 2100, 4), np.uint8)
    whole = Image.fromarray(noise).convert("RGB")
    if mode == "I;16":
        whole = Image.fromarray(noise[..., 0].astype(np.uint16) * 256 + noise[..., 1])
        wanted = ((np.asarray(whole).astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None].repeat(3, axis=2)
    elif mode == "F":
        whole = Image.fromarray(noise[..., 0].astype(np.float32) / 255)
        wanted = noise[..., :1].repeat(3, axis=2)
    else:
        whole = (Image.fromarray(noise) if mode == "RGBA" else whole).convert(mode)
        if mode == "LA":
            whole.putalpha(Image.fromarray(noise[..., 3]))
        wanted = np.asarray(whole.convert("RGB"))
        if mode in ("LA", "RGBA"):
            canvas = Image.new("RGB", whole.size, "white")
            canvas.paste(whole.convert("RGBA"), mask=whole.convert("RGBA"))
            wanted = np.asarray(canvas)
    kind = "TIFF" if mode in ("CMYK", "F") else "PNG"
    assert np.array_equal(decode_image(saved(whole, kind)).pixels, wanted)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("entries", "size", "padding", "says"),
    [
        (3000, MIB, MIB, "its tags overlap: together they ask for 3,145,728,000 bytes"),
        (2, MIB, MIB, "its tags overlap"),
        (5000, 4, 0, "its directory has 5,009 tags"),
    ],
)
def test_a_tiff_whose_tags_overlap_is_refused_before_it_is_opened(order, entries, size, padding, says):
    extra = [(40000 + number, 7, size, 8) for number in range(entries)]
    outcome, seconds, peak = cost_of(tiff(order=order, extra=extra, padding=padding))
    assert outcome.startswith(f"TOO_LARGE: TIFF: {says}")
    assert (seconds < 1, peak < 64 * MIB) == (True, True)


def test_a_tiff_whose_tags_hold_millions_of_numbers_is_refused():
    outcome, _, peak = cost_of(tiff(extra=[(40000, 3, 2 * MIB, 8)], padding=4 * MIB))
    assert outcome.startswith("TOO_LARGE: TIFF: its tags hold 2,097,16")
    assert peak < 64 * MIB


def test_a_big_tiff_is_added_up_as_well():
    tags = [(40000 + number, 7, MIB, 8) for number in range(100)]
    table = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", *tag) for tag in tags)
    file = b"II+\0" + struct.pack("<HHQ", 8, 0, 16 + MIB) + bytes(MIB) + table + bytes(8)
    with pytest.raises(ImageFailure, match="TIFF: its tags overlap: together they ask for 104,857,600"):
        decode_image(file)


def test_a_tiff_with_tags_that_lie_apart_is_read():
    extra = [(40000 + number, 7, 10_000, 24 + 10_000 * number) for number in range(20)]
    assert decode_image(tiff(extra=extra, padding=200_000)).pixels.shape == (4, 4, 3)


def test_a_tile_of_a_tiff_counts_like_a_picture():
    small = tiff(extra=[(322, 4, 1, 100_000), (323, 4, 1, 100_000)])
    with pytest.raises(ImageFailure, match="100000 x 100000 = 10,000,000,000 pixels") as caught:
        decode_image(small)
    assert caught.value.status is Status.TOO_LARGE


def test_a_strip_of_a_tiff_counts_with_the_picture():
    samples = np.zeros((100, 100, 4), np.uint16)
    one, many = (
        encode_tiff(samples, compression="zlib", rowsperstrip=rows, photometric="rgb", extrasamples=["unassalpha"])
        for rows in (100, 1)
    )
    limits = Limits(max_pixels=10_000)
    with pytest.raises(ImageFailure, match="decoding takes 120,000 bytes; 90,000 are allowed"):
        decode_image(one, limits)
    assert decode_image(many, limits).pixels.shape == (100, 100, 3)
    assert decode_image(one, Limits(max_pixels=20_000)).pixels.shape == (100, 100, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "raw profile"])
def test_exif_whose_tags_overlap_costs_neither_the_picture_nor_memory(kind):
    exif = overlapping_directory(3000, 200_000) + bytes(250_000)
    image = Image.new("RGB", (8, 8), (10, 20, 30))
    if kind == "PNG":
        file = png(png_chunk(b"eXIf", exif))
    elif kind == "raw profile":
        text = f"\nexif\n{len(exif):8}\n" + exif.hex()
        file = png(png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode())))
    else:
        file = saved(image, kind, exif=exif)
    outcome, seconds, peak = cost_of(file)
    assert outcome == [8, 8]
    assert (seconds < 1, peak < 64 * MIB) == (True, True)


def test_exif_of_a_jpeg_whose_tags_overlap_costs_neither_the_picture_nor_memory():
    exif = b"Exif\0\0" + overlapping_directory(4000, 15_000)
    outcome, _, peak = cost_of(jpeg(segment(0xE1, (exif + bytes(15_000))[:65000])))
    assert outcome == [16, 16]
    assert peak < 32 * MIB


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sound_exif_still_turns_the_picture(kind, orientation):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8))
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind in ("JPEG", "AVIF") else {}
    turned = decode_image(saved(noise, kind, exif=exif, **options)).pixels
    plain = decode_image(saved(noise, kind, **options)).pixels
    steps = {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p),
    }  # fmt: skip
    wanted = steps[orientation](plain)
    assert turned.shape == wanted.shape
    assert np.abs(turned.astype(int) - wanted).max() <= (0 if kind not in ("JPEG", "AVIF") else 60)


def timed(encoded: bytes) -> tuple[object, float]:
    start = time.process_time()
    try:
        outcome: object = decode_image(encoded).pixels[0, 0].tolist()
    except ImageFailure as failure:
        outcome = failure
    return outcome, time.process_time() - start


COMMENT = b"!\xfe" + (b"\xff" + b"c" * 255) * (16 * MIB // 256) + b"\0"


def test_a_gif_with_megabytes_of_comments_is_decoded_without_them():
    outcome, seconds = timed(gif(COMMENT))
    assert outcome == decode_image(gif()).pixels[0, 0].tolist()
    assert seconds < 1


@pytest.mark.parametrize(
    "extensions",
    [
        (b"!\xfe" + b"\1c" * MIB + b"\0",),  # sub-blocks of one byte
        (b"!\xfe\0",) * (2 * MIB),  # comments of none
        (b"!\xff\x0bXMP DataXMP" + b"\1x" * MIB + b"\0",),  # of an application
    ],
)
def test_a_gif_with_a_million_blocks_is_refused(extensions):
    outcome, seconds = timed(gif(*extensions))
    assert isinstance(outcome, ImageFailure)
    assert outcome.status is Status.TOO_LARGE
    assert "GIF with more than 1,048,576 blocks before its first picture" in outcome.message
    assert seconds < 2


def test_a_gif_keeps_what_says_how_it_looks():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    plain = saved(image, "GIF", transparency=1)
    start = plain.index(b"!\xf9")
    commented = plain[:start] + COMMENT[: 2 + 256] + b"\0" + plain[start:]
    assert decode_image(commented).pixels.tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(
    ("file", "pixel"),
    [
        (b"P6\n" + b"# a comment\n" * (20 * MIB // 12) + b"1 1\n255\n\x0a\x0b\x0c", [10, 11, 12]),
        (b"P6\n" + b"#\n" * (10 * MIB) + b"1 #\n 1\n255\n\x0a\x0b\x0c", [10, 11, 12]),
        (b"P5\n1 1\n255#" + b"c" * (20 * MIB) + b"\n\x0a", [10, 10, 10]),
        (b"P2\n1 1\n255\n" + b"#\n" * (4 * MIB) + b"10\n", [10, 10, 10]),
        (b"P3\n1 1\n255\n1" + b"# c\n" * (4 * MIB) + b"0 11 12\n", [10, 11, 12]),
        (b"P1\n1 1\n" + b"#\r" * (4 * MIB) + b"1", [0, 0, 0]),
        (b"P6" + b" " * (20 * MIB) + b"1 1\n255\n\x0a\x0b\x0c", [10, 11, 12]),
    ],
    ids=["lines", "empty lines", "one line", "in the samples", "within a number", "carriage returns", "white space"],
)
def test_a_pnm_full_of_comments_is_decoded_without_them(file, pixel):
    outcome, seconds = timed(file)
    assert outcome == pixel
    assert seconds < 3


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        (b"P5\n2 2\n100\n", b"\0\x32\x64\x19"), (b"P5\n2 2\n4095\n", b"\0\0\x0f\xff\x07\xff\1\0"),
        (b"P5\n2 2\n65535\n", b"\0\0\xff\xff\x07\xff\1\0"), (b"P6\n1 2\n31\n", bytes([0, 31, 7, 9, 3, 2])),
        (b"P4\n9 2\n", b"\xa5\x80\x5a\0"), (b"P1\n3 2\n", b"1 0 1\n0 1 0\n"), (b"P2\n2 1\n15\n", b"7 15\n"),
        (b"P3\n1 1\n1000\n", b"1000 0 500\n"),
    ],
)  # fmt: skip
def test_comments_change_no_pixel_of_a_pnm(header, samples):
    magic, rest = header[:2], header[3:]
    plain = decode_image(header + samples).pixels
    assert np.array_equal(decode_image(magic + b"\n# one\n#two\r" + rest + samples).pixels, plain)
    assert np.array_equal(decode_image(magic + b" #\n" + rest.replace(b" ", b" # three\n", 1) + samples).pixels, plain)


@pytest.mark.parametrize("header", [b"P3\n6000 6000\n255\n", b"P5\n6000 6000\n100\n", b"P1\n6000 6000\n"])
def test_a_pnm_that_only_python_can_decode_is_refused_when_it_is_large(header):
    with pytest.raises(ImageFailure, match=r"PNM with .* samples as text or with a maximum of") as caught:
        decode_image(header + b"1 " * 100)
    assert caught.value.status is Status.TOO_LARGE


@pytest.mark.parametrize(("width", "height"), [(1 << 24, 1), (6000, 6000), (6000, -6000)])
def test_a_run_length_encoded_bmp_is_refused_when_it_is_large(width, height):
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    file = b"BM" + struct.pack("<LHHL", 0, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + b"\0\2\xff\xff" * 100
    outcome, seconds, peak = cost_of(file)
    assert outcome.startswith("TOO_LARGE: run-length encoded BMP of ")
    assert (seconds < 1, peak < 64 * MIB) == (True, True)


@pytest.mark.parametrize(
    "file",
    [
        png(png_chunk(b"teSt", b"") * (1 << 18)),
        png(png_chunk(b"tEXt", b"a\0b") * (1 << 18)),
        png(behind=png_chunk(b"IDAT", b"") * (1 << 18)),
        png(behind=png_chunk(b"tIME", b"1234567") * (1 << 18)),
    ],
    ids=["private", "text", "empty samples", "behind the picture"],
)
def test_a_png_of_very_many_chunks_is_refused(file):
    outcome, seconds = timed(file)
    assert isinstance(outcome, ImageFailure)
    assert "PNG with more than 131,072 chunks" in outcome.message
    assert seconds < 1


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(256 * MIB))),
        png_chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(256 * MIB))),
        png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(256 * MIB))),
        b"".join(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) for _ in range(300)),
    ],
    ids=["zTXt", "iTXt", "iCCP", "many zTXt"],
)
def test_what_a_png_unpacks_beside_its_samples_is_bounded(chunk):
    _, seconds, peak = cost_of(png(chunk))
    assert (seconds < 2, peak < 128 * MIB) == (True, True)


@pytest.mark.parametrize("kind", [b"abcd", b"ANMF"])
def test_a_webp_of_very_many_chunks_is_refused(kind):
    plain = saved(Image.new("RGB", (8, 8)), "WEBP")
    body = plain[12:] + webp_chunk(kind, b"") * (1 << 18)
    outcome, seconds = timed(b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WEBP" + body)
    assert isinstance(outcome, ImageFailure)
    assert "WebP with more than 131,072 chunks" in outcome.message
    assert seconds < 1


def test_of_a_long_animation_one_frame_is_decoded():
    frames = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(200)]
    for kind in ("WEBP", "PNG", "GIF", "AVIF"):
        file = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        outcome, seconds = timed(file)
        assert np.abs(np.array(outcome)).max() <= 3
        assert seconds < 1


def avif_with(change) -> bytes:
    """An AVIF of 8 x 8 pixels whose box ``iinf`` is changed; boxes around it grow with it."""
    plain = saved(Image.new("RGB", (8, 8)), "AVIF")
    meta, inside = plain.index(b"meta") - 4, plain.index(b"iinf") - 4
    size = int.from_bytes(plain[inside : inside + 4], "big")
    changed = change(plain[inside + 8 : inside + size])
    box = struct.pack(">L4s", len(changed) + 8, b"iinf") + changed
    whole = int.from_bytes(plain[meta : meta + 4], "big") + len(box) - size
    return plain[:meta] + struct.pack(">L", whole) + plain[meta + 4 : inside] + box + plain[inside + size :]


def test_an_avif_of_very_many_items_is_refused():
    many = avif_with(lambda iinf: iinf[:4] + struct.pack(">H", 60_000) + iinf[6:])
    with pytest.raises(ImageFailure, match="AVIF with 60,000 items"):
        decode_image(many)
    long = avif_with(lambda iinf: iinf + bytes(2 * MIB))
    with pytest.raises(ImageFailure, match="AVIF with tables of 2,097,"):
        decode_image(long)
    assert decode_image(avif_with(lambda iinf: iinf)).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    "stray",
    [b"\xff" * (32 * MIB), b"\xff\0" * (16 * MIB), b"\xff\xd0" * (16 * MIB), b"a" * (32 * MIB)],
    ids=["filling", "stuffed bytes", "markers without a segment", "no marker"],
)
def test_megabytes_of_nothing_before_the_first_scan_of_a_jpeg_cost_little_time(stray):
    _, seconds = timed(jpeg(stray))
    assert seconds < 3


@pytest.mark.parametrize("marker", [0xE5, 0xFE, 0xE1, 0xED])
def test_a_jpeg_of_very_many_segments_is_refused(marker):
    outcome, seconds = timed(jpeg(segment(marker, b"") * (4 * MIB)))
    assert isinstance(outcome, ImageFailure)
    assert "more than 20,000 segments before its first scan" in outcome.message
    assert seconds < 1


def test_a_jpeg_of_many_large_segments_is_decoded():
    outcome, seconds = timed(jpeg(segment(0xE5, bytes(65_000)) * 400))
    assert outcome == decode_image(jpeg()).pixels[0, 0].tolist()
    assert seconds < 1


def test_scans_of_a_progressive_jpeg_are_counted():
    outcome, seconds = timed(of_many_scans(2048, 480))
    assert outcome == [128, 128, 128]
    assert seconds < 5
    outcome, seconds = timed(of_many_scans(11584, 800))
    assert isinstance(outcome, ImageFailure)
    assert "more than 500 scans" in outcome.message
    assert seconds < 1


def test_pictures_within_pictures_are_not_opened():
    for file in (
        b"\0\0\1\0\1\0" + bytes(16) + saved(Image.new("RGB", (8, 8)), "PNG"),
        b"BM" + struct.pack("<LHHLLllHHLLllLL", 0, 0, 0, 54, 40, 8, 8, 1, 24, 5, 0, 0, 0, 0, 0) + png(),
        b"BM" + struct.pack("<LHHLLllHHLLllLL", 0, 0, 0, 54, 40, 8, 8, 1, 24, 4, 0, 0, 0, 0, 0) + jpeg(),
    ):
        with pytest.raises(ImageFailure):
            decode_image(file)


def test_what_is_left_as_it_is_is_not_copied():
    for file in (png(), gif(), tiff(), b"P6\n1 1\n255\n\1\2\3"):
        kind = {b"\x89P": "PNG", b"GI": "GIF", b"II": "TIFF", b"P6": "PNM"}[file[:2]]
        assert checked_container(file, kind) is file


def test_max_pixels_bounds_memory_too():
    limits = Limits(max_pixels=10_000)
    assert decode_image(saved(Image.new("RGB", (100, 100)), "PNG"), limits).width == 100
    with pytest.raises(ImageFailure, match="decoding takes 160,000 bytes; 90,000 are allowed"):
        decode_image(saved(Image.new("RGB", (100, 100)), "WEBP"), limits)


@pytest.fixture
def finished(tmp_path):
    """A run of two images and the path of the first one's photo."""
    run = run_at(str(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=1))), Storage())
    return run, sorted((tmp_path / "photos").iterdir())[0]


def bomb() -> bytes:
    return saved(Image.new("RGBA", OPAQUE, (1, 2, 3, 77)), "PNG")


def refuse_to_decode(*_args, **_options):
    raise AssertionError("a picture that is another by now was decoded")


@pytest.mark.parametrize("use", ["render", "sampled images"])
def test_a_picture_that_has_changed_is_not_decoded_after_the_run(finished, use, monkeypatch):
    run, photo = finished
    others = {path.read_bytes() for path in photo.parent.iterdir() if path != photo}
    photo.write_bytes(bomb())
    decode = loading.decode_image
    monkeypatch.setattr(
        loading, "decode_image", lambda file, *rest: decode(file, *rest) if file in others else refuse_to_decode()
    )
    with open_table({"statistics": run}, Storage()) as table:
        if use == "render":
            look = overlay_look(run.config)
            keys = select_rows(table, "true", "uri", 9)
            made = render(table, run, keys, look, overlay_uri(run, look), Storage())
            problems = [overlay.problem for overlay in made if overlay.problem]
            assert problems == [f"{photo}: the image has changed since the run; explain it again"]
            assert len(made) == 3
        else:
            assert len(sampled_images(table, run, 9, Storage())) == 2


@pytest.mark.parametrize("step", ["fetch", "decode"])
def test_an_image_that_hangs_after_the_run_costs_itself_only(finished, step, monkeypatch):
    run, photo = finished
    stuck = threading.Event()
    whole = getattr(ImageLoader, step)

    def hang(loader, image):
        if (image.uri if step == "fetch" else image.ref.uri).endswith(photo.name):
            stuck.wait(30)
        return whole(loader, image)

    monkeypatch.setattr(ImageLoader, step, hang)
    look, storage = overlay_look(run.config), Storage(timeout=0.5)
    try:
        with open_table({"statistics": run}, storage) as table:
            start = time.monotonic()
            made = render(table, run, select_rows(table, "true", "uri", 9), look, overlay_uri(run, look), storage)
        assert time.monotonic() - start < 15
    finally:
        stuck.set()
    problems = [overlay.problem for overlay in made if overlay.problem]
    assert problems == [f"{photo}: timed out: {step} took more than 0.6 seconds; input.timeout can allow more"]
    assert sum(overlay.uri is not None for overlay in made) == 2
