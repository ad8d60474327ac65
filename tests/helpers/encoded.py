"""Pictures and files of every kind, made on the spot."""

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 96, 150


def picture(height: int = HEIGHT, width: int = WIDTH, noise: float = 8.0) -> np.ndarray:
    """Slopes, an edge, a disc and some noise: RGB uint8 with no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    red = 40 + 180 * x / width
    green = 200 - 150 * y / height
    blue = np.where(x * height > y * width, 60, 170)
    pixels = np.stack([red, green, blue], axis=-1).astype(np.float64)
    disc = (x - 0.3 * width) ** 2 + (y - 0.6 * height) ** 2 < (0.2 * min(height, width)) ** 2
    pixels[disc] = (230, 40, 60)
    pixels += np.random.default_rng(0).normal(0, noise, (height, width, 1))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def encode_tiff(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def encode_interlaced_png(pixels: np.ndarray) -> bytes:
    """Adam7, which Pillow reads but does not write."""
    height, width = pixels.shape[:2]
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for y, x, dy, dx in passes for row in pixels[y::dy, x::dx] if pixels[y::dy, x::dx].size
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def lossless_files() -> dict[str, tuple[bytes, np.ndarray]]:
    """Files that keep every pixel, with the RGB uint8 pixels that they must decode to."""
    rgb = picture()
    gray = rgb[..., 1]
    gray_rgb = np.repeat(gray[..., None], 3, axis=2)
    palette = Image.fromarray(rgb).quantize(64)
    palette_rgb = np.asarray(palette.convert("RGB"))
    bilevel = gray > 120
    bilevel_rgb = np.repeat(np.where(bilevel, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    deep = gray.astype(np.uint16) * 257
    deep_rgb = rgb.astype(np.uint16) * 257
    unit = gray.astype(np.float32) / 255
    one_bit = Image.fromarray(bilevel)
    return {
        "png": (encode(rgb, "PNG"), rgb),
        "png gray": (encode(gray, "PNG"), gray_rgb),
        "png 1 bit": (encode(one_bit, "PNG"), bilevel_rgb),
        "png palette": (encode(palette, "PNG"), palette_rgb),
        "png 16 bit gray": (encode(deep, "PNG"), gray_rgb),
        "png 16 bit rgb": (cv2.imencode(".png", deep_rgb[..., ::-1])[1].tobytes(), rgb),
        "png interlaced": (encode_interlaced_png(rgb), rgb),
        "webp lossless": (encode(rgb, "WEBP", lossless=True), rgb),
        "bmp": (encode(rgb, "BMP"), rgb),
        "bmp gray": (encode(gray, "BMP"), gray_rgb),
        "bmp 1 bit": (encode(one_bit, "BMP"), bilevel_rgb),
        "bmp palette": (encode(palette, "BMP"), palette_rgb),
        "gif": (encode(palette, "GIF", interlace=0), palette_rgb),
        "gif interlaced": (encode(palette, "GIF", interlace=1), palette_rgb),
        "gif gray": (encode(gray, "GIF"), gray_rgb),
        "ppm": (encode(rgb, "PPM"), rgb),
        "pgm": (encode(gray, "PPM"), gray_rgb),
        "pgm 16 bit": (b"P5\n# big endian\n%d %d\n65535\n" % (WIDTH, HEIGHT) + deep.astype(">u2").tobytes(), gray_rgb),
        "pbm": (encode(one_bit, "PPM"), bilevel_rgb),
        "tiff": (encode(rgb, "TIFF"), rgb),
        "tiff palette": (encode(palette, "TIFF"), palette_rgb),
        "tiff lzw": (encode(rgb, "TIFF", compression="tiff_lzw"), rgb),
        "tiff deflate": (encode(rgb, "TIFF", compression="tiff_adobe_deflate"), rgb),
        "tiff packbits": (encode(rgb, "TIFF", compression="packbits"), rgb),
        "tiff group 4": (encode(one_bit, "TIFF", compression="group4"), bilevel_rgb),
        "tiff 16 bit gray": (encode_tiff(deep), gray_rgb),
        "tiff 16 bit gray, big endian": (encode_tiff(deep.astype(">u2"), byteorder=">"), gray_rgb),
        "tiff 16 bit gray, 0 is white": (encode_tiff(65535 - deep, photometric="miniswhite"), gray_rgb),
        "tiff 16 bit rgb": (encode_tiff(deep_rgb, photometric="rgb"), rgb),
        "tiff float": (encode_tiff(unit), gray_rgb),
        "tiff planes": (encode_tiff(np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate"), rgb),
        "bigtiff": (encode_tiff(rgb, photometric="rgb", bigtiff=True), rgb),
    }


def lossy_files() -> dict[str, bytes]:
    """Files of :func:`picture` that lose some detail."""
    rgb = picture()
    return {
        "jpeg": encode(rgb, "JPEG", quality=95),
        "jpeg 4:4:4": encode(rgb, "JPEG", quality=95, subsampling=0),
        "jpeg progressive": encode(rgb, "JPEG", quality=95, progressive=True),
        "jpeg with restarts": encode(rgb, "JPEG", quality=95, restart_marker_rows=1),
        "jpeg cmyk": encode(Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=95),
        "webp": encode(rgb, "WEBP", quality=95),
        "avif": encode(rgb, "AVIF", quality=95),
    }


def animated_files() -> dict[str, bytes]:
    """Several frames or pages; the first is :func:`picture`."""
    first = Image.fromarray(picture())
    later = [Image.fromarray(255 - picture()), Image.fromarray(picture()[::-1].copy())]
    options = {"save_all": True, "append_images": later}
    return {
        "gif animated": encode(first, "GIF", **options),
        "webp animated": encode(first, "WEBP", lossless=True, **options),
        "apng": encode(first, "PNG", **options),
        "tiff pages": encode(first, "TIFF", **options),
        "mpo": encode(first, "MPO", quality=95, **options),
    }
