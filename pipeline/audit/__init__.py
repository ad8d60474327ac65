"""What a finished run's table has to say."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit import commands
    from pipeline.audit.after_run import audit_run

__all__ = ["audit_run", "commands"]
__getattr__ = lazy_face(__name__, __file__)
