"""What a run would take, before it is started: ``beam-gradcam run --plan``."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.planning.plan import Plan, plan_run
    from pipeline.planning.show import print_plan

__all__ = ["Plan", "plan_run", "print_plan"]
__getattr__ = lazy_face(__name__, __file__)
