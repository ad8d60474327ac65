"""Which image a loader died of: what was at work then is tried again alone, and what kills again is a row."""

import signal

from transforms.loaders.process import cause_of_death
from transforms.loaders.requests import Request
from transforms.records import ImageFailure, Stage, Status

# A loader that is killed from outside, by a person or for memory that others took, looks as if its image had killed it.
_STRIKES, _STRIKES_KILLED = 1, 3
_DEATHS = 3  # of loaders that had it among others, before it is tried alone though it was not at work


def is_suspect(request: Request, at_work: int) -> bool:
    """Whether a request that a dead loader had is to be tried alone; ``at_work`` is what that loader was at."""
    if request.number == at_work:
        return True
    request.deaths += 1
    return request.deaths >= _DEATHS


def is_guilty(request: Request, code: int) -> bool:
    """Whether a request that a dead loader had alone is not to be tried any more; ``code`` is its exit status."""
    request.strikes += 1
    return request.strikes >= (_STRIKES_KILLED if code == -signal.SIGKILL else _STRIKES)


def crashed(code: int) -> ImageFailure:
    """Why an image fails that kills whoever decodes it."""
    message = f"the process that decoded it {cause_of_death(code)} when it had nothing else to do"
    return ImageFailure(Status.DECODE_ERROR, Stage.DECODE, message, "DecoderCrashed")
