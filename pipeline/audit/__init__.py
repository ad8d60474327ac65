"""What a finished run's table has to say."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit import commands
    from pipeline.audit.after_run import audit_run
    from pipeline.audit.inputs import open_table

__all__ = ["audit_run", "commands", "open_table"]
__getattr__ = lazy_face(__name__, __file__)
