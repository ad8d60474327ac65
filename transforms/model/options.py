"""What a user may say about a model. No TensorFlow here: the configuration is read without it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from transforms.manifest import LabelKind
from transforms.placement import Resize
from transforms.sampling import Interpolation, Sampling

Score = Literal["logit", "probability"]
Precision = Literal["float32", "float16", "bfloat16"]
InputOption = str | Sequence[str] | Mapping[str, Any]
"""A column of the manifest, several, or ``{value: numbers}``: the same for all images."""
ATTENTION_METHODS = ("legrad", "attention_relevance", "attention_rollout")
"""Methods that are made of attention maps, and that only transformers have."""
InterpolationOption = Literal["auto", Interpolation]
Fusion = Literal["product", "maximum"]
OutputKind = Literal["classes", "multi_label", "binary", "value", "embedding"]


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """A model and how to explain it. ``auto`` means: found out from the model."""

    source: str  # path or URL of a model, hub:HANDLE, keras:NAME, bundled:NAME, package.module:function, or none
    weights: str | None = None  # path or URL of a weights file, for sources that are architectures
    output: str | None = None  # name of the output with the class scores; None: the only one
    inputs: Mapping[str, InputOption] = dataclasses.field(default_factory=dict)  # those beside the image, by name
    signature: str | None = None  # signature of a SavedModel; None: serving_default, or the only one
    class_names: str | tuple[str, ...] | None = "auto"  # the names, the path of a file with one a line, or auto
    input_size: str | tuple[int, int] = "auto"  # (height, width) in pixels, or auto
    # auto, a name (none, unit, minus_one_to_one, caffe, torch) or {scale, offset, bgr}
    preprocessing: str | dict[str, object] = "auto"
    # How images come to the input's size; done by the caller. See transforms.sampling.Sampling.
    resize: Resize = "stretch"
    interpolation: InterpolationOption = "auto"  # auto: what a Resizing layer in the model says, else area
    antialias: bool | None = Sampling.antialias
    crop_fraction: float = Sampling.crop_fraction
    pad_color: tuple[int, int, int] = Sampling.pad_color
    target_layer: str | int = "auto"  # Keras layer name or path, tensor name, regular expression, index, or auto
    score: Score = "logit"  # what is differentiated: before or after the output activation
    output_kind: Literal["auto"] | OutputKind = "auto"  # what the output means
    # multi_label: from which probability on a class is found; for all, for each, or a file with one a line; None: 0.5
    threshold: float | str | tuple[float, ...] | None = None
    labels: LabelKind = "none"  # what the labels of the manifest look like: evidence for output_kind
    trust: bool = False  # run code that a model file carries or names (Lambda layers, custom layers, file access)
    method: str = "gradcam"  # one of transforms.model.METHODS or ATTENTION_METHODS
    # Class index or name, runner_up or label: explain the target's score minus this class's score.
    contrast: int | str | None = None
    layers: int = 1  # whose maps are fused: the target layer and sensible ones before it
    fusion: Fusion = "product"  # of several layers
    # x0, y0, x1, y1 in 0..1 of the model input that the target layer covers; None: found out from the model
    geometry: tuple[float, float, float, float] | None = None
    precision: Precision = "float32"  # of the network in front of the target layer
