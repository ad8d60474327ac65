"""Tokens of a transformer that lie over the image: which token is which cell, and the graph that lays them out."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.plan.tokens.choose import Probe, last_tokens
    from transforms.model.plan.tokens.find import find_tokens
    from transforms.model.plan.tokens.layout import NO_TOKENS, TokenLayout, Tokens, TokenTensor, lay_out
    from transforms.model.plan.tokens.probe import carriers, reached_by_gradient
    from transforms.model.plan.tokens.regrid import lay_out_in_graph
    from transforms.model.plan.tokens.rules import MOVES_NUMBERS

__all__ = [
    "MOVES_NUMBERS",
    "NO_TOKENS",
    "Probe",
    "TokenLayout",
    "TokenTensor",
    "Tokens",
    "carriers",
    "find_tokens",
    "last_tokens",
    "lay_out",
    "lay_out_in_graph",
    "reached_by_gradient",
]
__getattr__ = lazy_face(__name__, __file__)
