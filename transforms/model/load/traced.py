"""A loaded model, whatever it was loaded from: one concrete function and what is known about it.

The border between loading (:mod:`transforms.model.load.loaders`) and everything behind it, which never asks what
kind of model it was.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transforms.model.extra_inputs import ExtraInput

if TYPE_CHECKING:
    from transforms.model.choose_sampling import FoundResizing
    from transforms.model.expectation import Evidence
    from transforms.model.load.training_loss import TrainingLoss
    from transforms.model.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True, eq=False)
class TracedModel:
    """Any model as one concrete function of a batch of images, traced in inference mode.

    ``function`` (a ``tf.types.experimental.ConcreteFunction``) takes one tensor, float32, uint8 or uint16
    ``[None, H, W, 3]`` (or ``[None, 3, H, W]``, seen from its static shape), H and W known; then those of ``extra``.
    Its weights are captured variables or constants.
    """

    function: Any
    outputs: tuple[str, ...]  # names of the outputs, in the order of tf.nest.flatten(function.structured_outputs)
    # Keras layer path ("outer/inner/layer") -> names of the tensors in function.graph that the layer produced
    layer_tensors: dict[str, list[str]]
    # What the model expects of pixels 0..255, here what was saved with it; None: nothing is known, yet.
    preprocessing: "Preprocessing | None"
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]  # what a user should know: assumptions made while loading
    keep_alive: object  # owner of the variables; let go of it only when the weights have been read
    evidence: "Evidence | None" = None  # why this preprocessing
    resizing: "FoundResizing | None" = None  # how the model itself brings photos to the size of its input
    extra: tuple[ExtraInput, ...] = ()  # what the function takes behind the images, a row of each for an image
    losses: Mapping[str, "TrainingLoss"] = dataclasses.field(default_factory=dict)  # by output; "": of all
