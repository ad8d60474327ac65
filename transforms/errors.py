"""The root of all refusals."""


class UserError(ValueError):
    """What was asked for cannot be done as it was asked. The message says the value, the cause and the remedy.

    The command line prints the message and ends with exit code 2, whichever class it is of.
    """
