"""``beam-gradcam methods``: which method on which layer is to be trusted, for a model and its images."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.methods.command import compare_methods
    from pipeline.methods.show import show_methods

__all__ = ["compare_methods", "show_methods"]
__getattr__ = lazy_face(__name__, __file__)
