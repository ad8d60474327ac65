"""With what the command line ends."""

import enum


class ExitCode(enum.IntEnum):
    """Those from 64 up as sysexits.h has them."""

    DONE = 0
    TOO_MANY_FAILURES = 1  # more images failed than run.max_failure_rate allows, or a picture cannot be had any more
    USAGE = 2  # the config, the manifest, the model or the run that is named cannot be used
    GATE = 3  # a threshold of a comparison is passed
    CRASH = 70  # EX_SOFTWARE
    OUTPUT_CLOSED = 74  # EX_IOERR: standard output or error cannot be written; what was committed stays
    BUSY = 75  # EX_TEMPFAIL: another launcher is at work; try again later
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
