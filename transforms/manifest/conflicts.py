"""Images that a manifest gives several labels, refused before any work starts where the config says so."""

import zlib
from array import array

import numpy as np

from transforms.duplicates import describe_conflict, label_text, labels_of
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.storage import Storage


def refuse_conflicts(manifest: Manifest, storage: Storage) -> None:
    """Read the manifest once, 16 bytes of memory a line.

    Raises:
        ManifestError: there are images whose lines have different labels; says how many, and shows one.
    """
    images, labels = array("Q"), array("Q")
    for ref in read_manifest(manifest, storage):
        if (label := label_text(ref)) is not None:
            images.append(int(ref.image_id[:16], 16))
            labels.append(zlib.crc32(label.encode()) << 32 | zlib.adler32(label.encode()))
    ids, classes = np.frombuffer(images, np.uint64), np.frombuffer(labels, np.uint64)
    order = np.lexsort((classes, ids))
    ids, classes = ids[order], classes[order]
    ambiguous = np.unique(ids[1:][(ids[1:] == ids[:-1]) & (classes[1:] != classes[:-1])])
    if not len(ambiguous):
        return
    example = int(ambiguous[0])
    lines = [ref for ref in read_manifest(manifest, storage) if int(ref.image_id[:16], 16) == example]
    raise ManifestError(
        f"{manifest.shown}: {len(ambiguous):,} images have several labels: "
        f"{describe_conflict(lines[0].uri, labels_of(lines))}; correct them, or set input.conflicts: first to take the "
        "first line's, or multi where all of them are true"
    )
