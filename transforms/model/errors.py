"""The error that refuses a model before any job starts."""

from transforms.errors import UserError


class ModelRefused(UserError):
    """This model cannot be explained as asked. The message says the value, the cause and the remedy."""
