"""SavedModels of TF2 and TF1, and TF Hub modules, which are SavedModels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.load.from_savedmodel.graph_check import refuse_code_in_savedmodel
    from transforms.model.load.from_savedmodel.hub import load_hub_module
    from transforms.model.load.from_savedmodel.savedmodel import (
        Endpoint,
        choose_endpoint,
        endpoints_of,
        load_savedmodel,
        trace_endpoint,
    )

__all__ = [
    "Endpoint",
    "choose_endpoint",
    "endpoints_of",
    "load_hub_module",
    "load_savedmodel",
    "refuse_code_in_savedmodel",
    "trace_endpoint",
]
__getattr__ = lazy_face(__name__, __file__)
