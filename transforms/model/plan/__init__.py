"""What is explained: the scores, the target layer, and what would stand in the way."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.plan.attention import AttentionMaps
    from transforms.model.plan.card import card_of
    from transforms.model.plan.checks import refusing_failures
    from transforms.model.plan.contrast import Contrast
    from transforms.model.plan.fingerprint import fingerprint_of
    from transforms.model.plan.layers import layers_up_to
    from transforms.model.plan.network import FeatureMap
    from transforms.model.plan.plan import Plan, make_plan
    from transforms.model.plan.tokens import lay_out

__all__ = [
    "AttentionMaps",
    "Contrast",
    "FeatureMap",
    "Plan",
    "card_of",
    "fingerprint_of",
    "lay_out",
    "layers_up_to",
    "make_plan",
    "refusing_failures",
]
__getattr__ = lazy_face(__name__, __file__)
