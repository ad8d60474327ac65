"""A check's numbers -> may the job start? No TensorFlow here."""

import dataclasses

from transforms.model.check.table import PixelCheck, PixelRow

LABELS_ALPHA = 0.01  # of the exact McNemar test between two preprocessings
LEAST_SHARE = 0.5  # of the best mutual information
_FEWEST = 16  # images: with fewer, mutual information says little
# Larger inputs make many networks surer, and so raise mutual information, without telling the images apart any better:
# then the predicted classes are spread as before.
_SAME_SPREAD = 0.8
# Where all images are of one class, the right scores tell them apart least of all, and wrong ones, which are unsure,
# do so by accident: what is better must be nearly as sure.
_SURE = 0.6
_MUCH_NEARER = 0.8  # of the mean error
# Against a guess: so many times the mutual information and the mean highest probability, with other classes found.
_GUESS_MUTUAL, _GUESS_CONFIDENCE, _ONLY_SURER = 1.25, 1.5, 0.9


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a check."""

    refusal: str | None  # why the job must not start; None: it may
    remarks: tuple[str, ...]  # what the user should know in any case


def judge(check: PixelCheck, min_agreement: float) -> Verdict:
    """Hold the preprocessing that is taken against the others, the labels and what the user expects.

    Args:
        min_agreement: with the user's own predictions, and with those of the user's own arrays, 0..1.
    """
    reasons = [
        reason
        for reason in (
            _against_labels(check),
            _against_spread(check) or _against_guess(check),
            _against_user(check, min_agreement),
            _against_reference(check, min_agreement),
        )
        if reason
    ]
    remarks = (_summary(check), *(("nothing in the model says what it expects of pixels: " + check.seen,)
                                 if check.evidence == "open" else ()))  # fmt: skip
    if not reasons:
        return Verdict(None, remarks)
    how = {"said": "as the config says", "open": "for want of evidence"}.get(check.evidence, f"since {check.seen}")
    refusal = (
        f"The pixels do not suit the model. Taken is {check.taken.name}, {how}; but {'; and '.join(reasons)}. Say "
        "model.preprocessing as it was trained (beam-gradcam check shows them all), or model.check_policy: warn"
    )
    return Verdict(refusal, remarks)


def _against_labels(check: PixelCheck) -> str | None:
    better = [
        row
        for row in check.rows[1:]
        if row.p_value is not None
        and row.p_value < LABELS_ALPHA
        and row.wins > row.losses
        # Of values nearly every one may be nearer, and hardly so.
        and (not check.are_values or (row.error or 0.0) <= _MUCH_NEARER * (check.taken.error or 0.0))
    ]
    if not better:
        return None
    if check.are_values:
        best = max(better, key=lambda row: row.wins - row.losses)
        return (
            f"by {check.labelled} labels {best.name} is better: mean error {_value(best.error)} against "
            f"{_value(check.taken.error)} ({best.wins} images nearer, {best.losses} further, sign test p = "
            f"{best.p_value:.1g})"
        )
    best = max(better, key=lambda row: row.accuracy or 0.0)
    return (
        f"by {check.labelled} labels {best.name} is better: {_percent(best.accuracy)} right against "
        f"{_percent(check.taken.accuracy)} ({best.wins} images won, {best.losses} lost, exact McNemar p = "
        f"{best.p_value:.1g})"
    )


def _against_spread(check: PixelCheck) -> str | None:
    if check.images < _FEWEST:
        return None
    taken = check.taken
    better = [
        row
        for row in check.rows[1:]
        if LEAST_SHARE * row.mutual_information > taken.mutual_information
        and _SAME_SPREAD * row.spread > taken.spread
        and row.confidence >= _SURE * taken.confidence
    ]
    if not better:
        return None
    best = max(better, key=lambda row: row.mutual_information)
    if check.labelled >= _FEWEST and (taken.accuracy or 0.0) >= (best.accuracy or 0.0):
        return None  # labels know better
    return (
        f"the scores tell the images apart far better with {best.name}: mutual information "
        f"{best.mutual_information:.2f} against {taken.mutual_information:.2f}, mean highest probability "
        f"{best.confidence:.2f} against {taken.confidence:.2f}, on {check.images} images"
    )


def _against_guess(check: PixelCheck) -> str | None:
    """Where nothing but a guess speaks for the pixels, less is enough to speak against them."""
    taken = check.taken
    better = [
        row
        for row in check.rows[1:]
        if row.mutual_information >= _GUESS_MUTUAL * taken.mutual_information
        and row.confidence >= _GUESS_CONFIDENCE * taken.confidence
        and row.same_class < _ONLY_SURER
        and (check.labelled < _FEWEST or (row.accuracy or 0.0) > (taken.accuracy or 0.0))
    ]
    if check.evidence != "open" or check.images < _FEWEST or not better:
        return None
    best = max(better, key=lambda row: row.confidence)
    return (
        f"with {best.name} the scores are surer and tell the images apart better: mean highest probability "
        f"{best.confidence:.2f} against {taken.confidence:.2f}, mutual information {best.mutual_information:.2f} "
        f"against {taken.mutual_information:.2f}, on {check.images} images"
    )


def _against_user(check: PixelCheck, least: float) -> str | None:
    taken = check.taken
    if taken.agreement is None or taken.agreement >= least:
        return None
    return (
        f"only {_percent(taken.agreement)} of {check.expected} predictions are those of input.columns.expected "
        f"(model.min_agreement is {least:g}); {_nearest(check.rows, 'agreement')}"
    )


def _against_reference(check: PixelCheck, least: float) -> str | None:
    taken = check.taken
    if taken.reference_agreement is None or taken.reference_agreement >= least:
        return None
    distance = "" if taken.map_distance is None else f", maps {taken.map_distance:.3f} apart"
    return (
        f"only {_percent(taken.reference_agreement)} of {check.referenced} predictions are those of the arrays of "
        f"model.reference (model.min_agreement is {least:g}; inputs differ by {_percent(taken.input_difference)} of "
        f"their range{distance}); {_nearest(check.rows, 'reference_agreement')}"
    )


def _nearest(rows: tuple[PixelRow, ...], what: str) -> str:
    best = max(rows, key=lambda row: getattr(row, what) or 0.0)
    if best is rows[0]:
        return "no other preprocessing comes nearer: is the input size, model.resize or the model itself another?"
    return f"the nearest is {best.name} with {_percent(getattr(best, what))}"


def _summary(check: PixelCheck) -> str:
    taken = check.taken
    if check.are_values:
        error = "there are no labels to hold the values against" if taken.error is None else (
            f"mean error {_value(taken.error)} of {check.labelled} labels"
        )  # fmt: skip
        return f"pixels checked on {check.images} images: {taken.name}: {error}"
    right = "" if taken.accuracy is None else f"{_percent(taken.accuracy)} right, "
    next_best = max(check.rows[1:], key=lambda row: row.mutual_information, default=None)
    beside = "" if next_best is None else f"; the best other is {next_best.name}, {next_best.mutual_information:.2f}"
    return (
        f"pixels checked on {check.images} images: {taken.name}: {right}mean highest probability "
        f"{taken.confidence:.2f}, mutual information {taken.mutual_information:.2f}{beside}"
    )


def _value(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
