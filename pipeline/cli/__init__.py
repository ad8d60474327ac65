"""The command line: ``beam-gradcam`` or ``python -m pipeline``. Heavy imports wait until a command needs them."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.cli.program import app, main

__all__ = ["app", "main"]
__getattr__ = lazy_face(__name__, __file__)
