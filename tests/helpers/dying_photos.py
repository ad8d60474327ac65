"""Photos that a decoder dies of, where ``DYING`` is on the path of its Python; elsewhere they are photos."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from transforms.records import ImageRef, image_id_of

DYING = str(Path(__file__).parent / "dying")
"""The folder for sys.path, or PYTHONPATH, of the processes that are to die."""

MARK = b"\nDIE OF "


def write_photos(folder: Path, count: int, dying: Mapping[int, str]) -> list[ImageRef]:
    """Photos ``00.png`` and so on, no two alike; those in ``dying`` have a cause of death of tests/helpers/dying."""
    folder.mkdir(exist_ok=True)
    refs = []
    for i in range(count):
        photo = np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8)
        content = cv2.imencode(".png", photo)[1].tobytes()
        if i in dying:
            content += MARK + dying[i].encode()
        path = folder / f"{i:02d}.png"
        path.write_bytes(content)
        refs.append(ImageRef(str(path), image_id_of(str(path))))
    return refs
