"""The maps: five methods, compiled with the model into one function."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.cam.attention import attention_map_of
    from transforms.model.cam.dry_run import folded_graph, refuse_mixed_batches
    from transforms.model.cam.explainer import Explainer, channels_last, class_scores, model_input, on_grid
    from transforms.model.cam.inspection import Inspection, describe
    from transforms.model.cam.methods import METHODS, feature_method
    from transforms.model.cam.narrow_trunk import narrow

__all__ = [
    "METHODS",
    "Explainer",
    "Inspection",
    "attention_map_of",
    "channels_last",
    "class_scores",
    "describe",
    "feature_method",
    "folded_graph",
    "model_input",
    "narrow",
    "on_grid",
    "refuse_mixed_batches",
]
__getattr__ = lazy_face(__name__, __file__)
