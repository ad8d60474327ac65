"""Which of many alike cases the default run has; the others are for ``-m slow``."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but_for(quick: Collection[Any], among: Iterable[Any]) -> list[Any]:
    """The cases ``among``, marked as slow but for the ``quick`` ones; tuples are several arguments."""
    return [
        case if case in quick else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in among
    ]
