"""Tars and zips as manifests: a line for each image in them, as WebDataset, img2dataset or plain ``tar`` wrote them.

Of a WebDataset, the files of one sample are called alike up to the first dot: ``0001.jpg``, ``0001.cls`` with the
class, ``0001.json`` with an object of further columns, ``0001.txt`` with a text.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any

from transforms.manifest.cells import parse_json
from transforms.manifest.listing import NO_SUFFIX, is_image
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.storage import read_index

_LABELS, _OBJECTS, _TEXTS = "cls", "json", "txt"
_MOST_BESIDE = 1 << 20  # bytes of a file beside an image
_TEXT = "txt"
"""The further column with the text beside an image."""


@dataclasses.dataclass
class _Sample:
    images: list[tuple[str, str, tuple[int, int]]] = dataclasses.field(default_factory=list)  # extension, name, span
    beside: dict[str, Any] = dataclasses.field(default_factory=dict)  # extension -> member


def lines_of_archive(
    kind: str, file: IO[bytes], manifest: Manifest, passed_over: Counter[str]
) -> Iterator[tuple[str, tuple[int, int], dict[str, Any]]]:
    """(name, span, cells) of each image, in the order in which they lie there.

    Raises:
        ManifestError: the file is no such archive, or is compressed, or what lies beside an image cannot be read.
    """
    index = read_index(kind, file)
    if index is None:
        raise ManifestError(
            f"{manifest.shown}: not a plain {kind} file; a compressed one has to be unpacked, since single images "
            "cannot be read from it"
        )
    samples: dict[str, _Sample] = {}
    for name, member in index.items():
        folder, _, base = name.rpartition("/")
        if "::" in name:  # in a URI, it would be the end of the name
            passed_over["with :: in the name"] += 1
            continue
        if any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            continue
        stem, _, extension = base.partition(".")
        sample = samples.setdefault(f"{folder}/{stem}", _Sample())
        if extension in (_LABELS, _OBJECTS, _TEXTS) and member is not None:
            sample.beside[extension] = member
        elif is_image(name) and member is not None:
            sample.images.append((extension, name, member.span))
        else:
            passed_over[f".{extension.lower()}" if extension else NO_SUFFIX] += 1

    def read_range(start: int, end: int) -> bytes:
        file.seek(start)
        return file.read(end - start)

    found = []
    for key, sample in samples.items():
        if not sample.images:
            passed_over.update(f".{extension}" for extension in sample.beside)
            continue
        cells = _cells_beside(key.strip("/"), sample, manifest, read_range)
        plain = [image for image in sample.images if "." not in image[0]]
        if sample.beside and plain:  # "0001.seg.png" beside "0001.jpg" is its mask, not one more photo
            passed_over.update(f".{extension}" for extension, *_ in sample.images if "." in extension)
        else:
            plain = sample.images
        found += [(span, name, cells) for _, name, span in plain]
    for span, name, cells in sorted(found, key=lambda image: image[0]):
        yield name, span, cells


def _cells_beside(
    key: str, sample: _Sample, manifest: Manifest, read_range: Callable[[int, int], bytes]
) -> dict[str, Any]:
    """What the files beside an image say of it."""
    cells: dict[str, Any] = {}
    for extension in (_OBJECTS, _TEXTS, _LABELS):
        member = sample.beside.get(extension)
        if member is None:
            continue
        if member.size > _MOST_BESIDE:
            raise ManifestError(f"{manifest.shown}: {key}.{extension} has {member.size:,} bytes: what is beside an "
                                f"image may have {_MOST_BESIDE:,}")  # fmt: skip
        try:
            text = member.read(read_range, _MOST_BESIDE).decode("utf-8-sig")
            if extension != _OBJECTS:
                name = _TEXT if extension == _TEXTS else manifest.label_column
                if name is not None:
                    cells[name] = text.strip() or None
                continue
            content = parse_json(text)
        except (OSError, ValueError) as error:
            raise ManifestError(f"{manifest.shown}: {key}.{extension} cannot be read: {error}") from None
        if isinstance(content, dict):
            cells |= {name.strip(): value for name, value in content.items() if name.strip() != manifest.uri_column}
        elif manifest.label_column is not None:
            cells[manifest.label_column] = content
    return cells
