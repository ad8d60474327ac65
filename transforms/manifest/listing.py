"""Folders and globs as manifests: which of their files are images, and which are passed over."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from transforms.manifest.manifest import Manifest
from transforms.storage import Storage, uris

# The first row is what can be decoded. The rest are pictures too: each becomes a row that says how to convert it.
_IMAGES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff"}
    | {".gif", ".avif", ".pbm", ".pgm", ".ppm", ".pnm"}
    | {".heic", ".heif", ".hif", ".avifs", ".jp2", ".j2k", ".jpf", ".jpx", ".jxl", ".svg", ".psd", ".ico", ".exr"}
    | {".dcm", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"}
)
# What a job leaves: listed, an output inside the folder of the images would be explained the next night.
_OUTPUT = re.compile(r"/(overlays/run=[^/]+|statistics/run=[^/]+|runs/[^/]+/(report|compare))/")

OUTPUTS = "outputs of earlier runs"
NO_SUFFIX = "without a suffix"


def list_folder(manifest: Manifest, storage: Storage, passed_over: Counter[str]) -> Iterator[str]:
    """The URIs of the images below a folder, those behind links included; told by their suffixes.

    Args:
        passed_over: counts the other files by suffix, and those that a job has left.
    """
    for uri in without_outputs(storage.walk(manifest.uri, follow_links=True), manifest, passed_over):
        if is_image(uri):
            yield uri
        else:
            passed_over[_suffix(uri) or NO_SUFFIX] += 1


def list_glob(manifest: Manifest, storage: Storage, passed_over: Counter[str]) -> Iterator[str]:
    """The URIs of the files that match, whatever their suffixes."""
    yield from without_outputs(storage.glob(manifest.uri), manifest, passed_over)


def is_image(uri: str) -> bool:
    """Whether a file is called as a picture is."""
    return _suffix(uri) in _IMAGES


def _suffix(uri: str) -> str:
    return posixpath.splitext(uris.split(uri)[1])[1].lower()


def describe_passed_over(passed_over: Counter[str]) -> str:
    """``13 files are passed over: 12 .txt, 1 without a suffix``; empty where there are none."""
    if not passed_over:
        return ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in passed_over.most_common(10))
    count = sum(passed_over.values())
    return f"{count:,} {'file is' if count == 1 else 'files are'} passed over: {kinds}"


def without_outputs(files: Iterable[str], manifest: Manifest, passed_over: Counter[str]) -> Iterator[str]:
    for uri in files:
        if _OUTPUT.search(uri) or any(uri.startswith(f"{folder}/") for folder in manifest.left_out):
            passed_over[OUTPUTS] += 1
        else:
            yield uri
