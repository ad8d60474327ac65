"""The error that refuses a model before any job starts."""


class ModelRefused(ValueError):
    """This model cannot be explained as asked. The message says the value, the cause and the remedy."""
