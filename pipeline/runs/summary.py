"""What came of a run: ``summary.json``."""

import dataclasses
import json
from typing import Any, Self

from transforms.storage import decode_state


@dataclasses.dataclass(frozen=True)
class Summary:
    """The counts, times, versions and settings of a run whose graph has ended. An image counts once, however many
    target classes it has."""

    run_id: str
    fingerprint: str
    schema_version: str
    started: str  # ISO 8601, UTC; of the last launch
    finished: str
    inputs: int  # lines of the manifest = images + duplicates
    duplicates: int
    images: int  # = done_before + explained_now
    done_before: int
    explained_now: int
    rows_now: int
    statuses_now: dict[str, int]  # images per status
    failures: int  # images, those done before included
    failure_rate: float  # failures / images
    prepare_seconds: float  # survey of the manifest, compilation
    run_seconds: float
    images_per_second: float
    step_seconds: dict[str, float]  # per step, added up over threads and processes
    time_split: dict[str, float]  # shares of the shards' time, adding up to 1
    bottleneck: str | None  # the largest of them
    events: dict[str, int]  # batches, retries, back-offs, guarded channels ...
    statistics: str  # URI of the table
    overlays: str | None  # URI of the folder; None where the job itself wrote none
    model: dict[str, Any]  # source, target_layer, method, output_kind, notes
    versions: dict[str, str | None]
    config: dict[str, Any]  # without what storage options may hold of secrets
    conflict: str = ""  # an image whose lines have different labels, where there is one
    check: dict[str, Any] | None = None  # of the pixels: see transforms.model.check.PixelCheck; None: not checked

    def encode(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=2, default=str).encode()

    @classmethod
    def decode(cls, content: bytes, uri: str) -> Self:
        """Read what this or another version wrote; what only another version knows is passed over.

        Raises:
            StateError: it is no summary.
        """
        return decode_state(cls, content, uri, "the summary of a run", "run the job again")

    def for_scheduler(self, uri: str, exit_code: int) -> dict[str, Any]:
        """The line for a scheduler; ``uri`` is that of the summary."""
        return {
            "run_id": self.run_id,
            "exit_code": exit_code,
            "inputs": self.inputs,
            "duplicates": self.duplicates,
            "images": self.images,
            "explained_now": self.explained_now,
            "failures": self.failures,
            "failure_rate": round(self.failure_rate, 6),
            "seconds": round(self.prepare_seconds + self.run_seconds, 1),
            "statistics": self.statistics,
            "summary": uri,
        }
