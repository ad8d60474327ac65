"""A model loaded and planned once, for all that is asked of it: to be compiled, inspected and checked."""

import functools
from typing import TYPE_CHECKING, Any

from transforms.model.explanation import ModelCard
from transforms.model.options import ModelOptions
from transforms.model.thresholds import with_thresholds
from transforms.storage import Storage

if TYPE_CHECKING:
    from transforms.model.expectation import Evidence
    from transforms.model.load import TracedModel
    from transforms.model.plan import Plan


class PlannedModel:
    """What a model's source and the user's options come to; nothing is loaded before it is asked for.

    Args:
        options: where the model is, and what the user says about it.
        live: the model itself, where it is there already.

    Raises:
        ModelRefused: the model cannot be loaded or explained as asked; by whatever is asked for first.
    """

    def __init__(self, options: ModelOptions, storage: Storage, live: Any = None):
        self.options, self._storage, self._live = with_thresholds(options, storage), storage, live

    @functools.cached_property
    def traced(self) -> "TracedModel":
        from transforms.model.load import load_live, load_model

        if self._live is not None:
            return load_live(self._live, self.options, self._storage)
        return load_model(self.options, self._storage)

    @functools.cached_property
    def plan(self) -> "Plan":
        from transforms.model.plan import make_plan

        return make_plan(self.traced, self.options)

    @property
    def evidence(self) -> "Evidence":
        """Why the model is given the pixels that it is given."""
        assert self.traced.evidence is not None  # loading has seen to it
        return self.traced.evidence

    @functools.cached_property
    def card(self) -> ModelCard:
        """Of the plan: the compiled model's has the digests of its source and files besides."""
        from transforms.model.plan import card_of

        return card_of(self.plan, "")
