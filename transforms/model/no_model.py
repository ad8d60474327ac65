"""``none``: no model at all, to see what everything around one costs. No TensorFlow."""

from collections.abc import Sequence

import numpy as np

from transforms.model.choose_sampling import choose_sampling
from transforms.model.explanation import BatchExplanation, ModelCard
from transforms.model.options import ModelOptions
from transforms.model.preprocessing import parse_preprocessing
from transforms.sampling import Sampling

NO_MODEL = "none"

_CLASSES = 1000
_CELLS = 7
_SIZE = 224


def no_model_card(options: ModelOptions) -> ModelCard:
    sampling, _ = choose_sampling(options, None)
    bits = 8 if isinstance(options.preprocessing, str) else parse_preprocessing(options.preprocessing).bits
    beyond = _beyond_default(sampling) + ([] if bits == 8 else [f"bits={bits}"])
    height, width = (_SIZE, _SIZE) if isinstance(options.input_size, str) else options.input_size
    return ModelCard(
        fingerprint="-".join([f"no-model-{height}x{width}-{options.resize}", *beyond]),
        source=options.source,
        source_digest="",
        input_height=height,
        input_width=width,
        class_count=_CLASSES,
        class_names=None,
        target_layer="none",
        target_tensor="",
        cam_height=_CELLS,
        cam_width=_CELLS,
        method=options.method,
        score=options.score,
        activation="none",
        preprocessing={"name": "none", "bits": bits} | sampling.as_fields(),
        notes=("model.source is none: the maps are the photo's own brightness, and mean nothing",),
        versions={},
        embedding=_CELLS * _CELLS,
    )


def _beyond_default(sampling: Sampling) -> list[str]:
    return [f"{name}={value}".replace(" ", "") for name, value in sampling.beyond_default().items()]


class NoModel:
    """A :class:`transforms.model.explanation.GradCamModel` that costs next to nothing.

    The map is the green of some pixels, below and above the middle; class ``i`` has the score ``-i``.
    """

    def __init__(self, card: ModelCard):
        self.card = card
        scores = -np.arange(card.class_count, dtype=np.float32)
        self._scores = scores
        self._probabilities = np.exp(scores) / np.exp(scores).sum()

    def explain(self, images: np.ndarray, targets: np.ndarray, extra: Sequence[np.ndarray] = ()) -> BatchExplanation:
        """See the protocol."""
        card, shape = self.card, targets.shape
        rows = (np.arange(card.cam_height) * card.input_height) // card.cam_height
        columns = (np.arange(card.cam_width) * card.input_width) // card.cam_width
        cams = images[:, rows[:, None], columns, 1].astype(np.float32) / (1 if card.bits == 8 else 257) - 127.5
        classes = np.where(targets < 0, -targets - 1, targets).astype(np.int32)
        return BatchExplanation(
            cams=np.broadcast_to(cams[:, None], (*shape, card.cam_height, card.cam_width)),
            classes=classes,
            scores=np.broadcast_to(self._scores, (len(images), card.class_count)),
            probabilities=np.broadcast_to(self._probabilities, (len(images), card.class_count)),
            target_scores=self._scores[classes],
            evidence=np.zeros(shape, np.float32),
            kept_probabilities=np.full(shape, np.nan, np.float32),  # there is no head
            removed_probabilities=np.full(shape, np.nan, np.float32),
            guarded=np.zeros(shape, np.int32),
            finite=np.ones(shape, bool),
            embedding=cams.reshape(len(images), -1),
        )
