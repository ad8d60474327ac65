"""What the worker asks of a compiled Grad-CAM model and what it answers. No TensorFlow here: tests use a fake."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from transforms.model.extra_inputs import ExtraInput, given_inputs
from transforms.model.options import OutputKind
from transforms.placement import WHOLE, Placement
from transforms.records import Box
from transforms.sampling import Sampling
from transforms.targets import Classes


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What is known about a compiled model, written beside it as ``explanation.json``."""

    fingerprint: str  # digest of weights, target layer, method, score space, preprocessing and schema version
    source: str  # model.source of the config
    source_digest: str  # digest of the source's bytes and of the options: finds the compiled model without compiling
    input_height: int  # pixels
    input_width: int
    class_count: int  # of values, where these are what the model gives
    class_names: tuple[str, ...] | None
    target_layer: str  # as a person would name it: Keras layer path, or tensor name
    target_tensor: str
    cam_height: int  # cells
    cam_width: int
    method: str
    score: str  # logit or probability: what was differentiated
    activation: str  # softmax, sigmoid or none: what stood behind the logits in the model
    preprocessing: dict[str, object]  # scale, offset, bgr and bits as used, their name; the fields of the sampling
    notes: tuple[str, ...]  # what a user should know: assumptions made, custom gradients stripped ...
    versions: dict[str, str]
    output_kind: OutputKind = "classes"
    inputs: tuple[ExtraInput, ...] = ()  # those beside the image
    thresholds: tuple[float, ...] | None = None  # multi_label: from which probability on each class is found
    precision: str = "float32"  # of the network in front of the target layer
    # What a target is set against: a class, or of each image runner_up or label; None: nothing
    contrast: int | str | None = None
    fused: tuple[str, ...] = ()  # layers whose maps are one, from the image to the target layer; empty: it alone
    fusion: str = "product"  # of several layers
    # Of maps of made-up images: largest difference from float32 over their largest value; None: they are float32
    map_error: float | None = None
    seen: Box = WHOLE  # what the grid of the maps covers, in 0..1 of the input: less where the model crops by itself
    embedding: int = 0  # values of BatchExplanation.embedding; 0: made by an earlier version, which has none
    files: dict[str, str] = dataclasses.field(default_factory=dict)  # path -> SHA-256, of what TensorFlow loads

    @functools.cached_property
    def classes(self) -> Classes:
        return Classes(self.class_count, self.class_names, self.output_kind == "value")

    @functools.cached_property
    def sampling(self) -> Sampling:
        """How photos come to the input's size."""
        return Sampling.of(self.preprocessing)

    def place(self, width: int, height: int) -> Placement:
        """Where a photo of so many pixels lies in the input, and its map on the photo."""
        return self.sampling.place(width, height, self.input_height, self.input_width, self.seen)

    @property
    def way(self) -> str:
        """How maps are made, for a person."""
        return self.method if not self.fused else f"{self.method}, {self.fusion} of {len(self.fused)} layers"

    @property
    def given(self) -> tuple[ExtraInput, ...]:
        """What the compiled model takes for each image beside it."""
        return given_inputs(self.inputs, self.contrast)

    @property
    def bits(self) -> int:
        """Of the samples that the model is given, 8 or 16: uint8 of 0..255, or uint16 of 0..65535."""
        return 16 if self.preprocessing.get("bits") == 16 else 8

    @property
    def pixel_type(self) -> np.dtype:
        """Of the images that the model is given."""
        return np.dtype(np.uint16 if self.bits == 16 else np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class BatchExplanation:
    """Scores and maps of a batch of B images with K target classes each, C classes in all, h x w cells."""

    cams: np.ndarray  # float32 [B, K, h, w], signed: before the ReLU, not normalised
    classes: np.ndarray  # int32 [B, K], the target classes, ranks resolved
    scores: np.ndarray  # float32 [B, C], logits (or whatever was before the output activation)
    probabilities: np.ndarray  # float32 [B, C], 0..1; of a model that gives values the scores again
    target_scores: np.ndarray  # float32 [B, K], the values that were differentiated
    evidence: np.ndarray  # float32 [B, K], sum over cells and channels of gradient * activation
    kept_probabilities: np.ndarray  # float32 [B, K], of the target class, when the head sees A H: what the map shows
    removed_probabilities: np.ndarray  # float32 [B, K], when it sees A (1 - H): the rest
    guarded: np.ndarray  # int32 [B, K], channels whose weight the method could not compute and took as 0
    finite: np.ndarray  # bool [B, K], False where input, activations, gradients or scores had NaN or Inf
    # int32 [B, K], the class whose score was taken off the target's; None: none was, or an earlier version does not say
    contrasted: np.ndarray | None = None
    # float32 [B, D], what the classifier reads of an image: see plan/pooled; None: compiled by an earlier version
    embedding: np.ndarray | None = None

    def __getitem__(self, images: slice) -> "BatchExplanation":
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return BatchExplanation(**{name: array[images] for name, array in arrays.items() if array is not None})


class GradCamModel(Protocol):
    """A model that explains batches. Implementations are safe to call from one thread at a time."""

    card: ModelCard

    def explain(self, images: np.ndarray, targets: np.ndarray, extra: Sequence[np.ndarray] = ()) -> BatchExplanation:
        """Explain RGB ``images`` ``[B, H, W, 3]`` of the card's pixel type for ``targets`` int32 ``[B, K]``.

        What the card says is given besides, if anything, is ``extra``, ``[B, ...]`` each, in that order.

        A target of 0..C-1 is a class; -1 stands for the class with the highest score, -2 for the second, and so on.
        """
        ...
