"""The runs of an output: what each says about itself, who holds the lease, how far it is."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.runs.correct import CORRECTED, correct_images
    from pipeline.runs.forget import Outdated, forget_images
    from pipeline.runs.lease import Lease, LeaseTaken
    from pipeline.runs.progress import PartWatch, ProgressDisplay, Progressed
    from pipeline.runs.record import Run, RunRecord, close_run, find_run, list_runs, open_run, run_at, utc_now
    from pipeline.runs.run_id import choose_run_id
    from pipeline.runs.status import print_status
    from pipeline.runs.summary import Summary

__all__ = [
    "CORRECTED",
    "Lease",
    "LeaseTaken",
    "Outdated",
    "PartWatch",
    "ProgressDisplay",
    "Progressed",
    "Run",
    "RunRecord",
    "Summary",
    "choose_run_id",
    "close_run",
    "correct_images",
    "find_run",
    "forget_images",
    "list_runs",
    "open_run",
    "print_status",
    "run_at",
    "utc_now",
]
__getattr__ = lazy_face(__name__, __file__)
