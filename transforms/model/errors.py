"""The error that refuses a model before any job starts."""

from transforms.errors import UserError


class ModelRefused(UserError):
    """This model cannot be explained as asked. The message says the value, the cause and the remedy."""


class IncomparableMethods(ModelRefused):
    """A model that can be explained, and whose methods cannot be held to the probability of a class."""
