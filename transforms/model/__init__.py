"""Any TensorFlow image classifier -> one compiled Grad-CAM model."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.cam import Inspection
    from transforms.model.cam.methods import METHODS
    from transforms.model.compile import compile_live, compile_model, export_model, inspect_model
    from transforms.model.compiled import load_compiled, read_card
    from transforms.model.compiled_files import digest_of_all
    from transforms.model.errors import IncomparableMethods, ModelRefused
    from transforms.model.explanation import BatchExplanation, GradCamModel, ModelCard
    from transforms.model.extra_inputs import ExtraInput, input_rows
    from transforms.model.load import digest_source
    from transforms.model.no_model import NO_MODEL
    from transforms.model.options import (
        ATTENTION_METHODS,
        Fusion,
        InputOption,
        InterpolationOption,
        ModelOptions,
        OutputKind,
        Precision,
        Score,
    )
    from transforms.model.planned import PlannedModel

__all__ = [
    "ATTENTION_METHODS",
    "METHODS",
    "NO_MODEL",
    "BatchExplanation",
    "ExtraInput",
    "Fusion",
    "GradCamModel",
    "IncomparableMethods",
    "InputOption",
    "Inspection",
    "InterpolationOption",
    "ModelCard",
    "ModelOptions",
    "ModelRefused",
    "OutputKind",
    "PlannedModel",
    "Precision",
    "Score",
    "compile_live",
    "compile_model",
    "digest_of_all",
    "digest_source",
    "export_model",
    "input_rows",
    "inspect_model",
    "load_compiled",
    "read_card",
]
__getattr__ = lazy_face(__name__, __file__)
