"""For cleanlab: labels and the probabilities of all classes, as ``cleanlab.filter.find_label_issues`` takes them.

with numpy.load(FILE) as found:
    issues = cleanlab.filter.find_label_issues(found["labels"], found["pred_probs"])
    print(found["uris"][issues])
"""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.explore.errors import ExploreError
from pipeline.explore.export.rows import each_row
from pipeline.explore.session import Session
from pipeline.explore.view import View

_MOST_NUMBERS = 1 << 28  # 1 GB


def write_cleanlab(session: Session, view: View) -> Iterator[bytes]:
    """A NumPy archive: ``labels`` int32 [N], ``pred_probs`` float32 [N, classes], ``image_ids`` and ``uris``.

    Images without a label are left out.

    Raises:
        ExploreError: the rows do not have the probabilities of all classes.
    """
    classes = session.card.class_count
    labels, probabilities, ids, uris = [], [], [], []
    columns = ["image_id", "uri", "label_index", "target_index", "target_probability", "class_probabilities"]
    rows = each_row(session, view, columns, by_image=True)
    for image_id, group in itertools.groupby(rows, lambda row: row["image_id"]):
        of_image = list(group)
        if of_image[0]["label_index"] is None or of_image[0]["target_index"] is None:
            continue
        probabilities.append(_all_of(of_image, classes))
        labels.append(of_image[0]["label_index"])
        ids.append(image_id)
        uris.append(of_image[0]["uri"])
        if len(labels) * classes > _MOST_NUMBERS:
            raise ExploreError(f"{len(labels):,} images of {classes:,} classes are too many for one file: choose some")
    if not labels:
        raise ExploreError("cleanlab needs labels, and no image of the choice has one and was explained")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        labels=np.array(labels, np.int32),
        pred_probs=np.array(probabilities, np.float32),
        image_ids=np.array(ids),
        uris=np.array(uris),
    )
    yield buffer.getvalue()


def _all_of(rows: list[dict[str, Any]], classes: int) -> np.ndarray:
    """The probabilities of all classes of an image, float32 ``[classes]``."""
    if rows[0]["class_probabilities"] is not None and len(rows[0]["class_probabilities"]) == classes:
        return np.array(rows[0]["class_probabilities"], np.float32)
    found = np.full(classes, np.nan, np.float32)
    for row in rows:
        if row["target_probability"] is not None:
            found[row["target_index"]] = row["target_probability"]
    missing = int(np.isnan(found).sum())
    if missing:
        raise ExploreError(
            f"cleanlab needs the probability of each of the {classes} classes, and {rows[0]['uri']} has rows of "
            f"{classes - missing}: explain with explain.targets=top_k:{classes}, and choose no rows by their class"
        )
    return found
