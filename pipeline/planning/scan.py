"""One pass over the manifest: how many images are new, and which of them the doors would not let through."""

import dataclasses
from collections import Counter

from pipeline.job import Job
from transforms.manifest import read_manifest
from transforms.storage import ForbiddenError
from transforms.table import counts_for, list_parts, read_footer, read_part

_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Scan:
    """What the lines of a manifest come to."""

    lines: int
    images: int  # distinct
    done: int  # of these, with rows of the same model and targets
    refused: dict[str, int]  # images that the doors refuse, by why
    refused_examples: tuple[str, ...]  # URIs

    @property
    def to_explain(self) -> int:
        return self.images - self.done


def scan_manifest(job: Job, output: str, resume: bool) -> Scan:
    """Read the whole manifest; no image is asked for.

    Args:
        output: URI of the folder whose rows the run would build on.
    """
    table = dataclasses.replace(job.settings.table, output=output)
    done_ids: set[bytes] = set()
    for uri in list_parts(table.layout.statistics, job.storage) if resume else ():
        footer = read_footer(uri, job.storage)
        if counts_for(footer, table):
            rows = read_part(uri, job.storage, ["image_id"])
            done_ids.update(map(bytes.fromhex, rows["image_id"].to_pylist()))
    seen: set[bytes] = set()
    refused: Counter[str] = Counter()
    examples: list[str] = []
    lines = done = 0
    for ref in read_manifest(job.manifest, job.storage):
        lines += 1
        key = bytes.fromhex(ref.image_id)
        if key in seen:
            continue
        seen.add(key)
        if key in done_ids:
            done += 1
            continue
        try:
            job.storage.doors.check(ref.uri)
        except ForbiddenError as error:
            refused[_kind(str(error))] += 1
            if len(examples) < _EXAMPLES:
                examples.append(f"{ref.uri}: {error}")
    return Scan(lines, len(seen), done, dict(refused), tuple(examples))


def _kind(why: str) -> str:
    """The reason without the image that it names, so that a million of the same are one."""
    if "input.allowed_roots:" in why:
        return "below none of input.allowed_roots"
    if why.startswith("host "):
        return "on a private host that no root of input.allowed_roots opens"
    return why.partition(", only ")[0].partition("; ")[0]
