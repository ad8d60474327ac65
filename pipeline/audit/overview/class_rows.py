"""The classes that the model knows best and worst, each as a row of pictures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.audit.analysis import rows_where
from pipeline.audit.inputs import AuditTable
from pipeline.audit.overview.accuracy import LABELLED_IMAGES, share_interval

_CLASSES = 3  # on either side
_PICTURES = 5
_FEWEST = 5  # images of a class, where there is such a class


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class and some of its images."""

    name: str
    images: int
    share: float  # of them that are right; without labels the mean probability
    rows: list[dict[str, Any]]  # of the worst classes those that are wrong come first; else in the order of the hashes


@dataclasses.dataclass(frozen=True)
class ClassRows:
    """The best classes and the worst ones; none is both."""

    best: list[ClassRow]
    worst: list[ClassRow]
    fewest: int  # images that a class must have to be considered
    has_labels: bool  # else the surest and the least sure classes

    @property
    def shown(self) -> list[dict[str, Any]]:
        return [row for side in (self.best, self.worst) for each in side for row in each.rows]


def best_and_worst(table: AuditTable, names: Mapping[int, str]) -> ClassRows | None:
    """The classes of the labels by the share that is right: best, by the lower end of its interval, and worst, by the
    upper one. Without labels the predicted classes by their mean probability. None where no image was explained.

    Args:
        names: of the classes that have one.
    """
    labelled = table.records(
        f"SELECT label AS class, count(*) AS images, sum(CAST(is_right AS INT)) AS right FROM ({LABELLED_IMAGES}) "
        "WHERE label IS NOT NULL GROUP BY label ORDER BY label"
    )
    if labelled:
        ranked = [
            (
                row["class"],
                row["images"],
                row["right"] / row["images"],
                *share_interval(int(row["right"]), row["images"]),
            )
            for row in labelled
        ]
    else:
        ranked = [
            (row["class"], row["images"], *[row["probability"]] * 3)
            for row in table.records(
                "SELECT predicted_index AS class, count(DISTINCT image_id) AS images, "
                "avg(predicted_probability) AS probability FROM statistics WHERE predicted_index IS NOT NULL "
                "AND predicted_probability IS NOT NULL GROUP BY predicted_index ORDER BY predicted_index"
            )
        ]
    if not ranked:
        return None
    fewest = min(_FEWEST, max(images for _, images, *_ in ranked))
    ranked = [each for each in ranked if each[1] >= fewest]
    column = "label_index" if labelled else "predicted_index"
    each_side = min(_CLASSES, (len(ranked) + 1) // 2)
    best = sorted(ranked, key=lambda each: (-each[3], -each[1]))[:each_side]
    rest = [each for each in ranked if each not in best]
    worst = sorted(rest, key=lambda each: (each[4], -each[1]))[:each_side]
    return ClassRows(
        best=[_row(table, each, column, "image_id", names) for each in best],
        worst=[_row(table, each, column, "is_correct NULLS LAST, image_id", names) for each in worst],
        fewest=fewest,
        has_labels=bool(labelled),
    )


def _row(table: AuditTable, ranked: Sequence[Any], column: str, order: str, names: Mapping[int, str]) -> ClassRow:
    index, images, share = ranked[:3]
    rows = rows_where(table, f"{column} = $class", {"class": index}, order, _PICTURES)
    return ClassRow(names.get(index, str(index)), images, float(share), rows)
