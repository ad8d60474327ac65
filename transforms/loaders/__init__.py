"""Loader processes: they fetch, decode, draw and write, so that pixels and crashes stay out of the worker process."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.loaders.count import LoaderCount, automatic_count
    from transforms.loaders.pool import LoaderPool
    from transforms.loaders.requests import LoadersFailed
    from transforms.loaders.session import FINISHING, HeldImage, Session
    from transforms.loaders.shared import give_back_loaders, take_loaders

__all__ = [
    "FINISHING",
    "HeldImage",
    "LoaderCount",
    "LoaderPool",
    "LoadersFailed",
    "Session",
    "automatic_count",
    "give_back_loaders",
    "take_loaders",
]
__getattr__ = lazy_face(__name__, __file__)
