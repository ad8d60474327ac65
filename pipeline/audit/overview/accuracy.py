"""How often the model is right, where there are labels."""

import dataclasses

from scipy.stats import binomtest

from pipeline.audit.inputs import AuditTable

# One row of each image that was explained and has one label.
LABELLED_IMAGES = (
    "SELECT image_id, any_value(label_index) AS label, any_value(predicted_index) AS predicted, "
    "any_value(is_correct) AS is_right FROM statistics "
    "WHERE is_correct IS NOT NULL AND predicted_index IS NOT NULL AND outcome IS NULL GROUP BY image_id"
)


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The share of labelled images whose predicted class is their label."""

    right: int
    images: int

    @property
    def share(self) -> float:
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        return share_interval(self.right, self.images)


def measure_accuracy(table: AuditTable) -> Accuracy | None:
    """None where no image has a label."""
    row = table.records(f"SELECT count(*) AS images, sum(CAST(is_right AS INT)) AS right FROM ({LABELLED_IMAGES})")[0]
    return Accuracy(int(row["right"]), row["images"]) if row["images"] else None


def share_interval(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), 0..1."""
    interval = binomtest(part, whole).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
