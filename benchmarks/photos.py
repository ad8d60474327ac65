"""The photos that are explained: a folder of the user's, or the bundled ones."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from transforms.images.decode import decode_image
from transforms.images.resize import resize_image
from transforms.manifest.listing import list_folder
from transforms.manifest.manifest import Manifest
from transforms.manifest.read import read_manifest
from transforms.placement import place
from transforms.storage.storage import Storage

_LARGE = (3000, 4000)  # height, width: 12 megapixels


@dataclasses.dataclass(frozen=True)
class Photos:
    """Files of photos, and a name for them in the table."""

    name: str
    paths: tuple[str, ...]

    def batch(self, count: int, height: int = 224, width: int = 224) -> np.ndarray:
        """Model inputs, uint8 ``[count, height, width, 3]``; the photos come round again where they are too few."""
        inputs = [_model_input(path, height, width) for path in self.paths[:count]]
        return np.stack([inputs[i % len(inputs)] for i in range(count)])

    def repeated(self, folder: Path, count: int) -> "Photos":
        """``count`` files in a new folder, links to these in turn: a URI that comes twice is explained once."""
        folder.mkdir(parents=True)
        links = []
        for i in range(count):
            original = self.paths[i % len(self.paths)]
            links.append(str(folder / f"{i:07d}{os.path.splitext(original)[1]}"))
            os.symlink(original, links[-1])
        return Photos(self.name, tuple(links))

    def enlarged(self, folder: Path, count: int) -> "Photos":
        """``count`` photos of 12 megapixels, made from these."""
        folder.mkdir(parents=True)
        paths = []
        for i in range(count):
            pixels = decode_image(Path(self.paths[i % len(self.paths)]).read_bytes()).pixels
            large = cv2.resize(pixels, _LARGE[::-1], interpolation=cv2.INTER_CUBIC)
            # Enlarged photos are smooth; noise gives the decoder as much to do as a camera's picture does.
            noise = np.random.default_rng(i).normal(0, 6, large.shape).astype(np.int16)
            large = np.clip(large + noise, 0, 255).astype(np.uint8)
            paths.append(str(folder / f"{i:04d}.jpg"))
            Path(paths[-1]).write_bytes(simplejpeg.encode_jpeg(large, 90, "RGB", "420"))
        return Photos("12 megapixels", tuple(paths))

    def write_manifest(self, path: Path) -> str:
        path.write_text("\n".join(self.paths))
        return str(path)


def find_photos(folder: str | None) -> Photos:
    """All photos below a folder; None: the bundled ones.

    Raises:
        FileNotFoundError: there are none.
    """
    storage = Storage()
    if folder is None:
        return Photos("bundled photos", tuple(ref.uri for ref in read_manifest(Manifest("bundled:photos"), storage)))
    paths = _in_order(list(list_folder(Manifest(os.path.abspath(folder)), storage, Counter())))
    if not paths:
        raise FileNotFoundError(f"{folder}: no photos; name a folder with some in --photos, or leave it out")
    return Photos(f"{len(paths)} photos", tuple(paths))


def _in_order(paths: Sequence[str]) -> list[str]:
    """Shuffled, always in the same way: a folder sorted by class would give batches of one kind."""
    return [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]


def _model_input(path: str, height: int, width: int) -> np.ndarray:
    decoded = decode_image(Path(path).read_bytes(), need=(height, width))
    return resize_image(decoded, place(decoded.width, decoded.height, height, width, "stretch"))
