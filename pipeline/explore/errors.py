"""The refusals of the explorer."""

from transforms.errors import UserError


class ExploreError(UserError):
    """What was asked for cannot be shown, tagged or exported. The message says what to ask for instead."""
