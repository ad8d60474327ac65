"""What only the model itself can tell: it is asked again."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.probes.controls import CONTROLS, ControlReadings, read_controls, write_controls
    from pipeline.audit.probes.faithfulness import read_faithfulness, write_faithfulness

__all__ = ["CONTROLS", "ControlReadings", "read_controls", "read_faithfulness", "write_controls", "write_faithfulness"]
__getattr__ = lazy_face(__name__, __file__)
