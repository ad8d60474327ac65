"""Does the model get the pixels that it was made for? Asked of images here and now, as a job asks before it starts."""

import dataclasses
from collections.abc import Sequence

from beam_gradcam.explaining import load_sources
from beam_gradcam.sources import Source
from pipeline.pixels import images_to_check
from transforms.errors import UserError
from transforms.explain import ExplainSettings, LoadedImage, Tally
from transforms.model import PlannedModel
from transforms.model.check import PixelCheck, Verdict, judge, measure_pixels
from transforms.storage import Storage


@dataclasses.dataclass(frozen=True)
class Checked:
    """What came of a check: the numbers, and whether a job would start."""

    table: PixelCheck  # a row for each plausible preprocessing, the one that is taken first
    verdict: Verdict

    @property
    def refusal(self) -> str | None:
        """Why a job would not start; None: it would."""
        return self.verdict.refusal

    def __repr__(self) -> str:
        taken = self.table.taken
        return f"<{self.verdict.refusal or self.verdict.remarks[0] or taken.name}>"


def check_sources(
    sources: Sequence[Source], model: PlannedModel, settings: ExplainSettings, storage: Storage, min_agreement: float
) -> Checked:
    """Measure images under each plausible preprocessing; those that cannot be loaded are left out.

    Raises:
        UserError: none can be loaded.
    """
    loaded = [
        one for one in load_sources(sources, model.card, settings, storage, Tally()) if isinstance(one, LoadedImage)
    ]
    if not loaded:
        raise UserError(f"none of {len(sources)} images could be loaded; model.explain(images) says why")
    check = measure_pixels(model, images_to_check(loaded, model.card))
    return Checked(check, judge(check, min_agreement))
