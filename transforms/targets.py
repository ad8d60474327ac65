"""Which classes to explain for an image, and what a class is called."""

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Literal

from transforms.errors import UserError
from transforms.records import ImageFailure, ImageRef, Stage, Status

_WHOLE = re.compile(r"([0-9]{1,18})(?:\.0*)?")
_NO_LABEL = frozenset({"nan", "NaN", "<NA>"})  # what tools write into a text where a column of numbers has a gap

Reason = Literal["predicted", "top_k", "label", "listed"]


class UnknownClassError(UserError):
    """A class that the model does not have, or a name that several classes share."""


@dataclasses.dataclass(frozen=True)
class TargetPolicy:
    """The job's choice of target classes, for every image whose manifest line names none of its own."""

    reason: Reason
    count: int = 1  # top_k: how many
    classes: tuple[str, ...] = ()  # listed: indices or names

    @classmethod
    def parse(cls, text: str | int | Sequence[str | int]) -> "TargetPolicy":
        """``predicted``, ``top_k:N``, ``label``, or a list of class indices and names.

        Raises:
            ValueError: anything else.
        """
        if isinstance(text, str):
            if text in ("predicted", "label"):
                return cls(text)  # type: ignore[arg-type]
            kind, _, count = text.partition(":")
            if kind == "top_k" and count.isascii() and count.isdigit() and int(count) > 0:
                return cls("top_k", int(count))
            raise ValueError(
                f"{text!r} is not a choice of target classes; write predicted, label, top_k:N with N >= 1, "
                "or a list of class indices and names such as [281, tabby]"
            )
        classes = tuple(str(target) for target in ([text] if isinstance(text, int) else text))
        if not classes:
            raise ValueError("the list of target classes is empty; write predicted to explain the class that is found")
        return cls("listed", len(classes), classes)

    def check(self, classes: "Classes") -> None:
        """Refuse classes that the job itself names and the model does not have.

        Raises:
            UnknownClassError: all such classes, a line each, or more ranks than there are classes.
        """
        problems = []
        for text in self.classes:
            try:
                classes.index_of(text)
            except UnknownClassError as error:
                problems.append(f"explain.targets: {error}")
        if self.reason == "top_k" and self.count > classes.count:
            problems.append(f"explain.targets: top_k:{self.count}, but the model has {classes.count} classes")
        if problems:
            raise UnknownClassError("\n".join(problems))

    def __str__(self) -> str:
        """As a config has it."""
        if self.reason == "listed":
            return f"[{', '.join(self.classes)}]"
        return f"top_k:{self.count}" if self.reason == "top_k" else self.reason


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a model: how many there are and, where known, their names."""

    count: int
    names: tuple[str, ...] | None = None

    @functools.cached_property
    def _indices(self) -> dict[str, list[int]]:
        indices: dict[str, list[int]] = {}
        for index, name in enumerate(self.names or ()):
            indices.setdefault(name, []).append(index)
        return indices

    def index_of(self, text: str) -> int:
        """The index of a class that is written as a name or as an index, 285 or, as a column with gaps has it, 285.0.

        A name wins, so digits can be names.

        Raises:
            UnknownClassError: no class or more than one is called so, or the index is out of range.
        """
        text = text.strip()
        matches = self._indices.get(text, [])
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UnknownClassError(f"{len(matches)} classes are called {text!r}; write one of the indices {matches}")
        digits = _WHOLE.fullmatch(text)
        if digits is not None:
            if int(digits[1]) < self.count:
                return int(digits[1])
            raise UnknownClassError(f"class {text} is out of range: the model has classes 0 to {self.count - 1}")
        if self.names is None:
            raise UnknownClassError(f"class {text!r} is a name, but the model has none: set model.class_names")
        raise UnknownClassError(f"no class is called {text!r}; write one of model.class_names or an index")


@dataclasses.dataclass(frozen=True)
class ImageTargets:
    """The target classes of one image, as the model takes them."""

    codes: tuple[int, ...]  # a class index, or -r for the class of rank r
    reason: Reason
    failure: ImageFailure | None = None  # classes that were asked for and do not exist; the others are explained


def targets_of(ref: ImageRef, policy: TargetPolicy, classes: Classes) -> ImageTargets:
    """The targets of an image: those of its manifest line, else those of the job; each class once."""
    if ref.targets is None and policy.reason in ("predicted", "top_k"):
        return ImageTargets(tuple(-rank for rank in range(1, min(policy.count, classes.count) + 1)), policy.reason)
    reason: Reason = "listed"
    asked: tuple[str, ...] = ref.targets or ()
    if ref.targets is None and policy.reason == "label":
        reason, asked = "label", () if ref.label is None else (ref.label,)
    elif ref.targets is None:
        asked = policy.classes
    codes: dict[int, None] = {}
    problems = [] if asked else ["the target is the label, but the manifest line has none"]
    for text in asked:
        try:
            codes[classes.index_of(text)] = None
        except UnknownClassError as error:
            problems.append(str(error))
    failure = (
        ImageFailure(Status.BAD_TARGET, Stage.TARGET, "; ".join(problems), UnknownClassError.__name__)
        if problems
        else None
    )
    return ImageTargets(tuple(codes), reason, failure)


def label_index_of(ref: ImageRef, classes: Classes) -> int | None:
    """The true class of an image; None without a label or where the label names no class of the model."""
    if ref.label is None:
        return None
    try:
        return classes.index_of(ref.label)
    except UnknownClassError:
        return None  # the model may well lack a class of the data set: then nothing can be said about correctness


def has_unknown_label(ref: ImageRef, classes: Classes) -> bool:
    """Whether the manifest gives the image a label that no class of the model has: most often a misspelt name."""
    return ref.label is not None and ref.label not in _NO_LABEL and label_index_of(ref, classes) is None
