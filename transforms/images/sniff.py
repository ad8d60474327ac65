"""What encoded bytes are, by their first bytes. Names and extensions lie."""

import re

from transforms.records import ImageFailure, Stage, Status

_CONVERT = "convert it to JPEG or PNG"

_READABLE = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}

# A number follows the signature: "P5" alone begins many a text.
_PNM = re.compile(rb"P[1-6]\s++(?:#[^\r\n]*+[\r\n]\s*+)*+\d++[\s#]")

# Pictures and archives of pictures that no decoder here is asked to open.
_UNSUPPORTED = {
    b"%PDF": f"PDF: {_CONVERT}",
    b"%!PS": f"PostScript: {_CONVERT}",
    b"\xc5\xd0\xd3\xc6": f"PostScript: {_CONVERT}",
    b"8BPS": f"Photoshop file: {_CONVERT}",
    b"\0\0\0\x0cjP  \r\n": f"JPEG 2000: {_CONVERT}",
    b"\xff\x4f\xff\x51": f"JPEG 2000: {_CONVERT}",
    b"\0\0\0\x0cJXL \r\n": f"JPEG XL: {_CONVERT}",
    b"\xff\x0a": f"JPEG XL: {_CONVERT}",
    b"\0\0\x01\0": f"icon: {_CONVERT}",
    b"FUJIFILMCCD-RAW": f"camera RAW: {_CONVERT}",
    b"IIRO": f"camera RAW: {_CONVERT}",
    b"IIRS": f"camera RAW: {_CONVERT}",
    b"MMOR": f"camera RAW: {_CONVERT}",
    b"IIU\0": f"camera RAW: {_CONVERT}",
    b"\x1aE\xdf\xa3": "video: extract the frames",
    b"\x00\x00\x01\xba": "video: extract the frames",
    b"FLV\x01": "video: extract the frames",
    b"\x1f\x8b": "gzip: decompress it",
    b"\x28\xb5\x2f\xfd": "zstd: decompress it",
    b"PK\x03\x04": "zip archive: name its members, as in zip://photo.jpg::/data/archive.zip",
    b"\x89HDF": f"HDF5 file: {_CONVERT}",
    b"\x93NUMPY": f"NumPy file: {_CONVERT}",
    b"SIMPLE  =": f"FITS file: {_CONVERT}",
    b"v/1\x01": f"OpenEXR: {_CONVERT}",
}

# The brands of ISO base media files, which HEIC, AVIF, RAW and video share.
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"crx ": "camera RAW",
}

_XML_PREAMBLE = re.compile(rb"[\s>-]*(<\?|<!--|<!)")
_XML_ENDS = {b"<?": b"?>", b"<!--": b"-->", b"<!": b">"}
_SVG = re.compile(rb"[\s>-]*<(?:[A-Za-z_][\w.-]*:)?svg[\s>/]", re.IGNORECASE)

_HTML = "it looks like HTML: a web page, perhaps of a login or an error, was saved in place of the image"
_XML = "it looks like XML, perhaps the error message of an object store"
_TEXTS = {
    b"version https://git-lfs.github.com": "a git LFS pointer, not the image: run git lfs pull",
    b"<!doctype html": _HTML,
    b"<html": _HTML,
    b"{": "it looks like JSON",
    b"[": "it looks like JSON",
    b"<?xml": _XML,
    b"<error": _XML,
}


def image_format(encoded: bytes) -> str:
    """The format of an image: JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF or PNM (PBM, PGM, PPM).

    Raises:
        ImageFailure: UNSUPPORTED for other kinds of pictures, DECODE_ERROR for what is no picture at all. The message
            says what it looks like; it never quotes the content, which may be a file that was not meant to be read.
    """
    for signature, name in _READABLE.items():
        if encoded.startswith(signature):
            if name == "TIFF" and encoded[8:10] == b"CR":
                raise _unsupported(f"camera RAW: {_CONVERT}")
            return name
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    if _PNM.match(encoded):
        return "PNM"
    if encoded[4:8] == b"ftyp":
        kind = _BRANDS.get(encoded[8:12], "video")
        if kind == "AVIF":
            return kind
        raise _unsupported("video: extract the frames" if kind == "video" else f"{kind}: {_CONVERT}")
    for signature, remedy in _UNSUPPORTED.items():
        if encoded.startswith(signature):
            raise _unsupported(remedy)
    if encoded[:4] == b"RIFF":
        raise _unsupported("video or sound (RIFF): extract the frames")
    if encoded[128:132] == b"DICM":
        raise _unsupported(f"DICOM: {_CONVERT}")
    text = encoded[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text or _is_svg(encoded):
        raise _unsupported(f"SVG: {_CONVERT}")
    raise ImageFailure(Status.DECODE_ERROR, Stage.DECODE, f"not an image: {_look(encoded, text)}", "NotAnImage")


def _is_svg(encoded: bytes) -> bool:
    """Whether the first element is ``svg``, behind whatever declarations, entities and comments of any length."""
    place = 3 if encoded.startswith(b"\xef\xbb\xbf") else 0
    while preamble := _XML_PREAMBLE.match(encoded, place):
        end = encoded.find(_XML_ENDS[preamble[1]], preamble.end())
        if preamble[1] == b"<!" and (subset := encoded.find(b"[", preamble.end(), end)) >= 0:
            end = encoded.find(b"]", subset)
            end = encoded.find(b">", end) if end >= 0 else end
        if end < 0:
            return False
        place = end + 1
    return _SVG.match(encoded, place) is not None


def _look(encoded: bytes, text: bytes) -> str:
    if not encoded:
        return "empty file"
    if not encoded[:65536].strip(b"\0"):
        return "only zero bytes: the copy was probably never finished"
    for beginning, meaning in _TEXTS.items():
        if text.startswith(beginning):
            return meaning
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in encoded[:512]):
        return "it looks like text"
    return "binary content that begins like no image format"


def _unsupported(remedy: str) -> ImageFailure:
    return ImageFailure(Status.UNSUPPORTED, Stage.DECODE, f"cannot decode {remedy}", "UnsupportedFormat")
