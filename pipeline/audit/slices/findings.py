"""Slices that differ from the rest, in sentences."""

from collections.abc import Sequence

import numpy as np

from pipeline.audit.findings import LOOK_WORDS, Finding, Rows, named, p_value, photos, place_of
from pipeline.audit.slices.discover import Discovery, FoundSlice
from pipeline.audit.slices.measure import RIGHT, SliceAudit

_SIGNIFICANCE = 0.01
_LEAST_DELTA = 0.2  # Cliff's: below, two in five pairs of maps would have to be told apart by a coin
_LEAST_LOSS = 0.03  # of the share that is right
_LOOKS = {"border_lift": "border", "corner_lift": "corner", "center_mass": "centre", "effective_area": "area",
          "gt_lift": "object", "probability": "probability"}  # fmt: skip
_SHOWN = 1000  # members that are listed

_CAVEAT = "What else do these photos have in common? A slice may hold other classes than the rest."


def slice_findings(audits: Sequence[SliceAudit], discovery: Discovery) -> list[Finding]:
    """A finding for each slice that was asked for and is worse or looks elsewhere, and for each that was found."""
    tests = sum(int((~np.isnan(audit.p_values)).sum()) for audit in audits)
    asked = [found for audit in audits for found in _of_audit(audit, tests)]
    return [*asked, *(_of_found(found, discovery) for found in discovery.found)]


def _of_audit(audit: SliceAudit, tests: int) -> list[Finding]:
    findings = []
    is_halved = len(audit.names) == 2 and (audit.groups >= 0).all()  # what is more here is less there
    for group, name in enumerate(audit.names):
        notable = [place for place in range(len(audit.measures)) if _is_notable(audit, group, place)]
        if not notable:
            continue
        place = max(notable, key=lambda place: abs(audit.delta[group, place]))
        if is_halved and audit.measures[place].name != RIGHT.name and audit.images[group] > audit.images[1 - group]:
            continue
        findings.append(_of_slice(audit, group, name, place, notable, tests))
    return findings


def _is_notable(audit: SliceAudit, group: int, place: int) -> bool:
    if not audit.p_values[group, place] < _SIGNIFICANCE:
        return False
    if audit.measures[place].name == RIGHT.name:
        return bool(audit.rest[group, place] - audit.means.mean[group, place] >= _LEAST_LOSS)
    return bool(abs(audit.delta[group, place]) >= _LEAST_DELTA)


def _of_slice(audit: SliceAudit, group: int, name: str, place: int, notable: list[int], tests: int) -> Finding:
    measure = audit.measures[place]
    mean, rest = float(audit.means.mean[group, place]), float(audit.rest[group, place])
    images, of = int(audit.images[group]), len(audit.groups)
    who = f"On {images:,} of {photos(of)}, those with {named(name)},"
    if measure.name == RIGHT.name:
        said = f"{who} {mean:.0%} of the predictions are right, on the others {rest:.0%}."
    elif measure.name in _LOOKS:
        words = LOOK_WORDS[_LOOKS[measure.name]]
        said = (
            f"{who} the model {words.more if mean > rest else words.less} than on the others: "
            f"{mean:.{words.digits}f} {words.unit} on average, others {rest:.{words.digits}f}."
        )
    elif measure.alarm is not None:
        more = "more" if mean > rest else "less"
        said = (
            f"{who} the model looks at {place_of(measure.name)} {more} than on the others: {mean:.2f} on average, "
            f"others {rest:.2f}."
        )
    else:
        said = f"{who} {measure.title} is {mean:.2f} on average, on the others {rest:.2f}."
    low, high = audit.means.low[group, place], audit.means.high[group, place]
    also = [audit.measures[other].title for other in notable if other != place]
    test = (
        f"Rank-sum test against all other images, two-sided, {p_value(audit.p_values[group, place])} after Holm over "
        f"{tests:,} tests; 95 % interval of the mean {low:.2f} to {high:.2f}; each image counts once."
    )
    if also:
        test += f" It differs in {', '.join(also)} as well."
    inside = audit.ids[audit.groups == group]
    return Finding(
        kind="slice",
        text=said,
        numbers={"slice": name, "by": audit.title, "measure": measure.name, "mean": mean, "rest": rest,
                 "p_value": float(audit.p_values[group, place]), "delta": float(audit.delta[group, place])},
        images=images,
        strength=abs(float(audit.delta[group, place])),
        test=test,
        caveat=_CAVEAT,
        rows=_rows(inside.tolist(), "is_correct NULLS LAST" if measure.name == RIGHT.name else
                   f"{measure.sql} {'DESC' if mean > rest else 'ASC'} NULLS LAST"),
    )  # fmt: skip


def _of_found(found: FoundSlice, discovery: Discovery) -> Finding:
    conditions = " and ".join(named(condition) for condition in found.conditions)
    who = f"On {len(found.members):,} of {photos(discovery.images)}, those with {conditions},"
    if found.what == "wrong":
        said = f"{who} {found.mean:.0%} of the predictions are wrong, on the others {found.rest:.0%}."
        order = "is_correct NULLS LAST"
    else:
        said = f"{who} {found.mean:.0%} of the map is off the object, on the others {found.rest:.0%}."
        order = "gt_mass NULLS LAST"
    return Finding(
        kind="slice",
        text=said,
        numbers={"conditions": list(found.conditions), "what": found.what, "mean": found.mean, "rest": found.rest,
                 "p_value": found.p_value},
        images=len(found.members),
        strength=max(0.0, min(1.0, found.strength)),
        test=(
            f"Nobody asked for it: found among combinations of {discovery.conditions:,} conditions on one half of the "
            f"images (SliceLine, 2021), and tested on the other, from which the numbers are: {found.confirmed_on:,} "
            f"images, {p_value(found.p_value)} after Holm over {discovery.tested:,} tests. The chance of any false "
            "slice is 5 %."
        ),
        caveat=_CAVEAT,
        rows=_rows(list(found.members), order),
    )  # fmt: skip


def _rows(members: list[str], order: str) -> Rows:
    return Rows("list_contains($members, image_id)", {"members": members[:_SHOWN]}, f"{order}, image_id")
