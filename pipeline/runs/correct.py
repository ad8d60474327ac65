"""Images that are done, of which the manifest says something else by now: corrected where their rows lie.

Labels, ground truth and further columns follow from the stored map, so their rows are rewritten, a part in one step;
images that are asked for other classes lose their rows and are explained again. Memory: some 32 bytes a line of the
manifest, and the references of some hundred thousand images at a time.
"""

import dataclasses
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from transforms.concurrency import map_ahead
from transforms.duplicates import merge_lines
from transforms.explain import (
    ExplainSettings,
    Knowledge,
    asks_for_others,
    columns_to_compare,
    corrected_rows,
    digest_of_ref,
    digests_of_rows,
)
from transforms.manifest import Manifest, read_manifest
from transforms.model import ModelCard
from transforms.records import ImageRef
from transforms.storage import Storage
from transforms.table import read_footer, read_part, remove_images, replace_rows

_READERS = 16
_AT_A_TIME = 200_000  # images whose references are held

CORRECTED = "corrected_images"
"""The event of a run for each image whose rows were corrected after the manifest."""


@dataclasses.dataclass(frozen=True)
class Corrected:
    """What became of the rows that a run builds on."""

    parts: list[str]  # those that are left
    corrected: int = 0  # images with another label, other boxes or other further columns
    asked_again: int = 0  # images that lost their rows, since other classes are asked for


def correct_images(
    parts: Sequence[str],
    manifest: Manifest,
    knowledge: Knowledge,
    card: ModelCard,
    settings: ExplainSettings,
    storage: Storage,
    check: Callable[[], None],
) -> Corrected:
    """Bring the rows of ``parts`` up to what the manifest says now; those of images that it does not name stay.

    Args:
        check: called before each write; raises where this launcher may no longer write.
    """
    if knowledge.is_none and not settings.extra_columns:
        return Corrected(list(parts))
    with ThreadPoolExecutor(_READERS, "parts") as readers:
        own = [part for part in map_ahead(lambda part: _own(part, settings, storage), parts, readers, 4 * _READERS)
               if part is not None]  # fmt: skip
        if not own:
            return Corrected(list(parts))
        known = _Known.of(manifest, knowledge, card, settings, storage)
        doubtful = map_ahead(
            lambda part: (part, _doubtful(part, known, knowledge, card, settings, storage)), own, readers, 4 * _READERS
        )
        left, corrected, asked_again = dict.fromkeys(parts), 0, 0
        for some in _batches(doubtful):
            refs = _refs_of({image_id for ids in some.values() for image_id in ids}, manifest, storage)
            for part, ids in some.items():
                of_part = {image_id: refs[image_id] for image_id in ids if image_id in refs}
                is_left, changed, again = _correct_part(part, of_part, knowledge, card, settings, storage, check)
                corrected, asked_again = corrected + changed, asked_again + again
                if not is_left:
                    del left[part]
    return Corrected(list(left), corrected, asked_again)


@dataclasses.dataclass(frozen=True)
class _Known:
    """What the manifest says of each image, as digests, by the first half of its id."""

    ids: np.ndarray  # uint64 [N], ascending
    digests: np.ndarray  # int64 [N, 3]
    is_repeated: np.ndarray  # bool [N]; what several lines say has to be merged first

    @classmethod
    def of(
        cls, manifest: Manifest, knowledge: Knowledge, card: ModelCard, settings: ExplainSettings, storage: Storage
    ) -> "_Known":
        ids, digests = array("Q"), array("q")
        for ref in read_manifest(manifest, storage):
            ids.append(int(ref.image_id[:16], 16))
            digests.extend(digest_of_ref(ref, knowledge, card, settings))
        keys = np.frombuffer(ids, np.uint64)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        same = keys[1:] == keys[:-1]
        is_repeated = np.zeros(len(keys), bool)
        is_repeated[1:] |= same
        is_repeated[:-1] |= same
        return cls(keys, np.frombuffer(digests, np.int64).reshape(-1, 3)[order], is_repeated)

    def is_doubtful(self, image_ids: Sequence[str], digests: np.ndarray) -> np.ndarray:
        """Which of the images the manifest names and may know otherwise; bool ``[n]``."""
        keys = np.array([int(image_id[:16], 16) for image_id in image_ids], np.uint64)
        places = np.minimum(np.searchsorted(self.ids, keys), len(self.ids) - 1)
        differ = (self.digests[places] != digests).any(axis=1)
        return (self.ids[places] == keys) & (differ | self.is_repeated[places])


def _own(part: str, settings: ExplainSettings, storage: Storage) -> str | None:
    """The part, if it is of the same model and targets."""
    footer, table = read_footer(part, storage), settings.table
    return part if (footer.fingerprint, footer.targets) == (table.fingerprint, table.targets) else None


def _doubtful(
    part: str, known: _Known, knowledge: Knowledge, card: ModelCard, settings: ExplainSettings, storage: Storage
) -> list[str]:
    rows = read_part(part, storage, columns_to_compare(settings))
    found = dict(digests_of_rows(rows, knowledge, card, settings))
    if not found:
        return []
    ids = list(found)
    doubtful = known.is_doubtful(ids, np.array([found[image_id] for image_id in ids], np.int64))
    return [image_id for image_id, is_doubtful in zip(ids, doubtful.tolist(), strict=True) if is_doubtful]


def _batches(doubtful: Iterator[tuple[str, list[str]]]) -> Iterator[dict[str, list[str]]]:
    """Parts with their doubtful images, so many at a time as may be held."""
    batch: dict[str, list[str]] = {}
    count = 0
    for part, ids in doubtful:
        if ids:
            batch[part] = ids
            count += len(ids)
        if count >= _AT_A_TIME:
            yield batch
            batch, count = {}, 0
    if batch:
        yield batch


def _refs_of(image_ids: set[str], manifest: Manifest, storage: Storage) -> dict[str, ImageRef]:
    lines: dict[str, list[ImageRef]] = {}
    for ref in read_manifest(manifest, storage):
        if ref.image_id in image_ids:
            lines.setdefault(ref.image_id, []).append(ref)
    return {image_id: merge_lines(some, manifest.conflicts == "multi") for image_id, some in lines.items()}


def _correct_part(
    part: str,
    refs: dict[str, ImageRef],
    knowledge: Knowledge,
    card: ModelCard,
    settings: ExplainSettings,
    storage: Storage,
    check: Callable[[], None],
) -> tuple[bool, int, int]:
    """Whether the part is still there, and how many images were corrected and are to be explained again."""
    known = read_part(part, storage, columns_to_compare(settings))
    rows: dict[str, list[dict]] = {}
    for row in known.to_pylist():
        if row["image_id"] in refs:
            rows.setdefault(row["image_id"], []).append(row)
    for image_id, digests in digests_of_rows(known, knowledge, card, settings):  # of merged lines, they tell the truth
        if image_id in refs and digests == digest_of_ref(refs[image_id], knowledge, card, settings):
            del rows[image_id]
    if not rows:
        return True, 0, 0
    again = {image_id for image_id, of_image in rows.items()
             if asks_for_others(refs[image_id], of_image, knowledge, card, settings)}  # fmt: skip
    kept = {image_id: ref for image_id, ref in refs.items() if image_id in rows.keys() - again}
    before = read_part(part, storage, None)
    after, changed = corrected_rows(before, kept, knowledge, card, settings)
    if not after.equals(before):
        check()
        replace_rows(part, after, storage)
    if again:
        check()
        return remove_images(part, again, storage), len(changed), len(again)
    return True, len(changed), 0
