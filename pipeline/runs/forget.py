"""Images whose rows are to be made again: those that failed, and those whose content has changed.

The old rows go first. A part is rewritten in one step, so at every moment an image has its rows once or not at all,
never twice; and an image without rows is one that the same command, or any later run over the manifest, explains.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from transforms.concurrency import map_ahead, map_patiently
from transforms.manifest import Manifest, read_manifest
from transforms.records import Status
from transforms.storage import Storage
from transforms.table import PartFooter, TableLocation, image_statuses, read_footer, read_part, remove_images

_READERS = 16
_WATCHERS = 32  # threads that ask the store for versions; they wait most of the time


@dataclasses.dataclass(frozen=True)
class Outdated:
    """What is to be made again."""

    statuses: frozenset[Status]  # images that failed in one of these ways
    changed: bool  # images that the store has another version of than the one that was explained

    def concerns(self, footer: PartFooter) -> bool:
        """Whether a part may have such images."""
        return self.changed or not self.statuses.isdisjoint(footer.statuses)


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is left of a table, and how many images lost their rows."""

    parts: list[str]
    images: int  # that have rows which count: those of the same model and targets
    failed: int = 0  # of those that lost them
    changed: int = 0

    @property
    def lost(self) -> int:
        return self.failed + self.changed


def forget_images(
    parts: Sequence[str], table: TableLocation, outdated: Outdated, manifest: Manifest, storage: Storage
) -> Kept:
    """Remove the rows that are to be made again from the parts of a table; only of images that the manifest names.

    Rows without a version, made while nobody asked for it, count as changed. An image that the store cannot be asked
    about keeps its rows.
    """
    with ThreadPoolExecutor(_READERS, "parts") as readers:
        footers = map_ahead(lambda part: (part, read_footer(part, storage)), parts, readers, 4 * _READERS)
        own = [(part, footer) for part, footer in footers
               if (footer.fingerprint, footer.targets) == (table.fingerprint, table.targets)]  # fmt: skip
    done = sum(footer.images for _, footer in own)
    concerned = [part for part, footer in own if outdated.concerns(footer)]
    if not concerned:
        return Kept(list(parts), done)
    named = {bytes.fromhex(ref.image_id) for ref in read_manifest(manifest, storage)}
    left, failures, changes = dict.fromkeys(parts), 0, 0
    for part in concerned:
        rows = read_part(part, storage, ["image_id", "uri", "status", "content_version"])
        failed = {image_id for image_id, status in image_statuses(rows).items() if status in outdated.statuses}
        images = {image_id for image_id in failed if bytes.fromhex(image_id) in named}
        failures += len(images)
        if outdated.changed:
            others = {
                image_id: (uri, version)
                for image_id, uri, version in zip(
                    *(rows[name].to_pylist() for name in ("image_id", "uri", "content_version")), strict=True
                )
                if image_id not in images and bytes.fromhex(image_id) in named
            }
            changed = set(_changed(others, storage))
            changes += len(changed)
            images |= changed
        if images and not remove_images(part, images, storage):
            del left[part]
    return Kept(list(left), done - failures - changes, failures, changes)


def _changed(images: dict[str, tuple[str, str | None]], storage: Storage) -> Iterator[str]:
    """Of images with URI and known version, those of which the store has another version now."""

    def is_changed(element: tuple[str, str, str | None]) -> bool:
        _, uri, known = element
        version = storage.version_of_image(uri)
        return version is not None and version != known

    elements = [(image_id, uri, version) for image_id, (uri, version) in images.items()]
    answers = map_patiently(is_changed, elements, _WATCHERS, 8 * _WATCHERS, storage.timeout, lambda element: False)
    for (image_id, _, _), changed in zip(elements, answers, strict=True):
        if changed:
            yield image_id
