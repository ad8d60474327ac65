"""Which classes to explain for an image, and what a class is called."""

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Literal

from transforms.errors import UserError
from transforms.records import ImageFailure, ImageRef, Stage, Status

_WHOLE = re.compile(r"([0-9]{1,18})(?:\.0*)?")
Reason = Literal["predicted", "top_k", "label", "listed", "above", "value"]
MOST_FOUND = 1000
"""Classes of one image: each has a map and a row."""

_LOOKED_AT_FIRST = 4  # classes of an image, where their number depends on the scores: seldom are there more


class UnknownClassError(UserError):
    """A class that the model does not have, or a name that several classes share."""


@dataclasses.dataclass(frozen=True)
class TargetPolicy:
    """The job's choice of target classes, for every image whose manifest line names none of its own."""

    reason: Reason
    count: int = 1  # top_k: how many
    classes: tuple[str, ...] = ()  # listed: indices or names
    above: float | None = None  # above: the probability from which on a class is explained

    @classmethod
    def parse(cls, text: str | int | Sequence[str | int]) -> "TargetPolicy":
        """``predicted``, ``top_k:N``, ``label``, ``above:P``, or a list of class indices and names.

        Raises:
            ValueError: anything else.
        """
        if isinstance(text, str):
            if text in ("predicted", "label"):
                return cls(text)  # type: ignore[arg-type]
            kind, _, count = text.partition(":")
            if kind == "top_k" and count.isascii() and count.isdigit() and int(count) > 0:
                return cls("top_k", int(count))
            if kind == "above" and (least := _probability(count)) is not None:
                return cls("above", above=least)
            raise ValueError(
                f"{text!r} is not a choice of target classes; write predicted, label, top_k:N with N >= 1, above:P "
                "with a probability such as 0.5, or a list of class indices and names such as [281, tabby]"
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
        if classes.are_values and self.reason in ("top_k", "above"):
            problems.append(
                f"explain.targets: {self} is for classes, but the model gives {classes.count} values; write predicted "
                "for all of them, or a list of their indices"
            )
        elif self.reason == "top_k" and self.count > classes.count:
            problems.append(f"explain.targets: top_k:{self.count}, but the model has {classes.count} classes")
        if problems:
            raise UnknownClassError("\n".join(problems))

    def __str__(self) -> str:
        """As a config has it."""
        if self.reason == "listed":
            return f"[{', '.join(self.classes)}]"
        if self.reason == "above":
            return f"above:{self.above}"
        return f"top_k:{self.count}" if self.reason == "top_k" else self.reason


def _probability(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number <= 1 else None


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a model, or the values that it gives: how many there are and, where known, their names."""

    count: int
    names: tuple[str, ...] | None = None
    are_values: bool = False

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
    above: float | None = None  # the codes are but a beginning: all classes of this probability are the targets


def targets_of(ref: ImageRef, policy: TargetPolicy, classes: Classes) -> ImageTargets:
    """The targets of an image: those of its manifest line, else those of the job; each class once."""
    if ref.targets is None:
        if classes.are_values and policy.reason in ("predicted", "label"):
            return ImageTargets(tuple(range(classes.count)), "value")
        if policy.reason in ("predicted", "top_k"):
            return ImageTargets(_ranks(policy.count, classes), policy.reason)
        if policy.reason == "above":
            return ImageTargets(_ranks(_LOOKED_AT_FIRST, classes), "above", above=policy.above)
    reason: Reason = "listed"
    asked: tuple[str, ...] = ref.targets or ()
    if ref.targets is None and policy.reason == "label":
        true = true_texts(ref, classes)
        if true == ():  # none of the classes is true of the image: what is looked at is what is found instead
            return ImageTargets(_ranks(1, classes), "predicted")
        reason, asked = "label", true or ()
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


def _ranks(count: int, classes: Classes) -> tuple[int, ...]:
    return tuple(-rank for rank in range(1, min(count, classes.count) + 1))


def true_texts(ref: ImageRef, classes: Classes) -> tuple[str, ...] | None:
    """All classes that are true of an image, as the manifest has them; None without labels.

    A class whose name looks like several, ``plate;dish``, is one.
    """
    if ref.label is None or (ref.labels is not None and ref.label not in (classes.names or ())):
        return ref.labels
    return (ref.label,)


def label_index_of(ref: ImageRef, classes: Classes) -> int | None:
    """The true class of an image; None without a label or where the label names no class of the model."""
    if ref.label is None:
        return None
    try:
        return classes.index_of(ref.label)
    except UnknownClassError:
        return None  # the model may well lack a class of the data set: then nothing can be said about correctness
