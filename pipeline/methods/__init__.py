"""``beam-gradcam methods``: which method on which layer is to be trusted, for a model and its images."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.methods.answer import keep_table
    from pipeline.methods.command import compare_methods
    from pipeline.methods.settle import settle_method, with_plain_method
    from pipeline.methods.show import show_methods

__all__ = [
    "compare_methods",
    "keep_table",
    "settle_method",
    "show_methods",
    "with_plain_method",
]
__getattr__ = lazy_face(__name__, __file__)
