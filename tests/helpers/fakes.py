"""A model of a few lines, for the tests of everything around the model."""

import numpy as np

from transforms.model.explanation import BatchExplanation, ModelCard

CARD = ModelCard(
    fingerprint="fake", source="fake", source_digest="fake", input_height=8, input_width=8, class_count=3,
    class_names=("red", "green", "blue"), target_layer="mean", target_tensor="mean:0", cam_height=2, cam_width=2,
    method="gradcam", score="logit", activation="softmax", preprocessing={"name": "none"}, notes=(), versions={},
)  # fmt: skip


def rerun_probabilities(features: np.ndarray, cams: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For a head that takes the mean of each channel ``[B, h, w, C]``: its probabilities under each map, and beside."""
    positive = np.maximum(cams, 0)
    highest = positive.max(axis=(2, 3), keepdims=True)
    heatmaps = np.divide(positive, highest, out=np.zeros_like(positive), where=highest > 0)[..., None]
    found = []
    for mask in (heatmaps, 1 - heatmaps):
        scores = (features[:, None] * mask).mean(axis=(2, 3))
        exponentials = np.exp(scores - scores.max(axis=2, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
        found.append(np.take_along_axis(probabilities, classes[:, :, None], axis=2)[:, :, 0])
    return found[0], found[1]


class FakeModel:
    """Scores a colour by its mean; the map of a colour is its mean in each quarter of the image."""

    card = CARD

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        quarters = images.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4)).astype(np.float32)  # [B, 2, 2, 3]
        scores = quarters.mean(axis=(1, 2))
        ranked = np.argsort(-scores, axis=1, kind="stable")
        classes = np.where(targets < 0, np.take_along_axis(ranked, np.maximum(-targets - 1, 0), axis=1), targets)
        cams = np.take_along_axis(quarters.transpose(0, 3, 1, 2), classes[:, :, None, None], axis=1)
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        target_scores = np.take_along_axis(scores, classes, axis=1)
        kept, removed = rerun_probabilities(quarters, cams, classes)
        return BatchExplanation(
            cams=cams,
            classes=classes.astype(np.int32),
            scores=scores,
            probabilities=exponentials / exponentials.sum(axis=1, keepdims=True),
            target_scores=target_scores,
            evidence=cams.sum(axis=(2, 3)),
            kept_probabilities=kept,
            removed_probabilities=removed,
            guarded=np.zeros(target_scores.shape, np.int32),
            finite=np.isfinite(target_scores),
        )
