"""The refusal of an audit."""

from transforms.errors import UserError


class AuditError(UserError):
    """What was asked for cannot be audited. The message says what there is instead."""
