"""Put a job on a runner and see it through."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.launch.run import LateMistakeError, launch

__all__ = ["LateMistakeError", "launch"]
__getattr__ = lazy_face(__name__, __file__)
