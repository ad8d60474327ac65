"""Scores and maps of arrays as a model takes them: one traced function over float inputs, whatever made them.

Imports TensorFlow.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from transforms.model.cam import channels_last, class_scores, feature_method
from transforms.model.graph import Tensor, node_name, splice
from transforms.model.plan import Plan, refusing_failures
from transforms.model.preprocessing import Preprocessing
from transforms.model.tensorflow import tf

_BATCH = 32


class Forward:
    """A plan's network behind its preprocessing.

    Args:
        beside: the rows of the model's other inputs, ``[N, ...]`` each, of the images that will be asked about.
    """

    def __init__(self, plan: Plan, beside: Sequence[np.ndarray] = ()):
        self._plan = plan
        self._beside = [tf.constant(rows) for rows in beside]
        self._weights = {name: tf.constant(array) for name, array in plan.flat.weights.items()}
        shape = (None, plan.input_height, plan.input_width, 3)
        signature = [
            tf.TensorSpec(shape, tf.float32),
            [tf.TensorSpec((None, *one.shape), one.dtype) for one in plan.extra],
            {name: tf.TensorSpec(array.shape, array.dtype) for name, array in plan.flat.weights.items()},
        ]
        self._scores = tf.function(self._probabilities, autograph=False, input_signature=signature)
        self._maps = tf.function(self._probabilities_and_maps, autograph=False, input_signature=signature)

    def probabilities(self, pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
        """float32 ``[N, C]`` of uint8 RGB ``pixels`` ``[N, H, W, 3]``."""
        return self._run(self._scores, (preprocessing.apply(part) for part in _parts(pixels)))[0]

    def maps(self, pixels: np.ndarray, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``[N, C]``, and the signed map of the highest class of each, ``[N, h, w]``."""
        probabilities, maps = self._run(self._maps, (preprocessing.apply(part) for part in _parts(pixels)))
        return probabilities, maps

    def maps_of(self, arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of what the model takes, float ``[N, H, W, 3]``."""
        probabilities, maps = self._run(self._maps, (part.astype(np.float32) for part in _parts(arrays)))
        return probabilities, maps

    def _run(self, function: Tensor, batches: Iterable[np.ndarray]) -> list[np.ndarray]:
        with refusing_failures():
            concrete = function.get_concrete_function()
            outcomes = []
            for number, batch in enumerate(batches):
                beside = [rows[number * _BATCH : (number + 1) * _BATCH] for rows in self._beside]
                outcome = concrete(tf.constant(batch), beside, self._weights)
                outcomes.append([value.numpy() for value in tf.nest.flatten(outcome)])
        return [np.concatenate(values) for values in zip(*outcomes, strict=True)]

    def _fetch(
        self, inputs: Tensor, beside: Sequence[Tensor], weights: dict[str, Tensor], names: list[str]
    ) -> list[Tensor]:
        plan = self._plan
        given = tf.cast(inputs, plan.input_dtype)
        given = tf.transpose(given, [0, 3, 1, 2]) if plan.channels_first else given
        others = dict(zip(map(node_name, plan.flat.extra), beside, strict=True))
        return splice(plan.flat.graph_def, {node_name(plan.flat.input): given, **others, **weights}, names)

    def _probabilities(self, inputs: Tensor, beside: Sequence[Tensor], weights: dict[str, Tensor]) -> Tensor:
        (scores,) = self._fetch(inputs, beside, weights, [self._plan.scores.tensor])
        return class_scores(scores, self._plan)[1]

    def _probabilities_and_maps(
        self, inputs: Tensor, beside: Sequence[Tensor], weights: dict[str, Tensor]
    ) -> list[Tensor]:
        plan = self._plan
        features, output = self._fetch(inputs, beside, weights, [plan.target.tensor, plan.scores.tensor])
        scores, probabilities = class_scores(output, plan)
        differentiated = probabilities if plan.options.score == "probability" else scores
        direction = tf.one_hot(tf.argmax(scores, 1), plan.scores.class_count, dtype=scores.dtype)
        gradient = tf.gradients(differentiated, features, grad_ys=direction)[0]
        activations, gradient = (channels_last(tensor, plan.target.channel_axis) for tensor in (features, gradient))
        cams, _ = feature_method(plan.options.method)(activations, gradient)
        return [probabilities, cams]


def _parts(images: np.ndarray) -> list[np.ndarray]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
