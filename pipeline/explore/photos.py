"""The photos of a run for the page: through the doors of the job, held to their limits, decoded by the same code."""

import hashlib
import threading
from collections import OrderedDict

from pipeline.audit.inputs import settings_of
from pipeline.explore.errors import ExploreError
from pipeline.explore.session import Session
from transforms.images import decode_image, shrink
from transforms.machine import available_cpus
from transforms.overlays import encode
from transforms.records import ImageFailure

SIDES = {"small": 360, "large": 1400}
"""Name -> longest side, pixels."""
_QUALITY = 85
_KEPT = 1 << 27  # bytes of encoded pictures


class Photos:
    """Pictures of images that the table names, each by its id; safe to call from many threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._storages = {name: run.guarded(session.storage) for name, (run, _) in session.runs.items()}
        self._limits = {name: settings_of(run).limits for name, (run, _) in session.runs.items()}
        self._decoding = threading.Semaphore(available_cpus())  # each may take a gigabyte
        self._kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def photo(self, table: str, image_id: str, size: str) -> bytes:
        """An upright JPEG of an image of ``statistics`` or ``before``.

        Raises:
            ExploreError: there is no such image or size, or it cannot be had any more; the message says why.
        """
        if table not in self._storages or size not in SIDES:
            raise ExploreError(f"there is no picture {table}/{size}")
        key = (table, image_id, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._make(*key)
        with self._lock:
            self._kept[key] = made
            while sum(map(len, self._kept.values())) > _KEPT and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return made

    def _make(self, table: str, image_id: str, size: str) -> bytes:
        # Never a location that the browser names: only what the rows of the run have.
        rows = self._session.records(
            f"SELECT uri, content_sha256 FROM {table} WHERE image_id = $id LIMIT 1", {"id": image_id}
        )
        if not rows:
            raise ExploreError(f"the run has no image {image_id[:100]!r}")
        uri, digest = rows[0]["uri"], rows[0]["content_sha256"]
        limits, side = self._limits[table], SIDES[size]
        try:
            encoded = self._storages[table].fetch(uri, limits.max_bytes)
            if digest is not None and hashlib.sha256(encoded).hexdigest() != digest:
                raise ExploreError("the image has changed since the run, so its map would lie on another picture")
            with self._decoding:
                # A large JPEG is decoded at a reduced scale.
                photo = shrink(decode_image(encoded, limits, need=(1, 1), max_side=side), side)
        except ImageFailure as failure:
            raise ExploreError(failure.message) from None
        return encode(photo, "jpg", _QUALITY)
