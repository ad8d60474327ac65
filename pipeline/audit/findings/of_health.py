"""What went wrong before there was any map."""

from pipeline.audit.analysis import Health
from pipeline.audit.findings.finding import Finding


def health_findings(health: Health) -> list[Finding]:
    """A finding for whatever a reader must know before any number is believed."""
    findings = []
    if health.expected is None:
        findings.append(Finding("health", "The run has not ended: all below is about the images so far.", {}))
    elif not health.is_conserved:
        text = f"The manifest has {health.expected:,} images, the table has {health.images:,}."
        if health.images > health.expected:
            text += " Earlier runs with the same fingerprint explained images that this manifest lacks; they count."
        findings.append(Finding("health", text, {"expected": health.expected, "images": health.images}))
    failed = sum(kind["images"] for kind in health.failures)
    if failed:
        text = (
            f"{failed:,} of {health.images:,} images failed; the most common cause is {health.failures[0]['status']}."
        )
        findings.append(Finding("health", text, {"failed": failed}))
    if health.zero_rate is not None and health.zero_rate > 0.05:
        text = f"{health.zero_rate:.1%} of the maps are zero: nowhere is there positive evidence for the class."
        findings.append(Finding("health", text, {"zero_rate": health.zero_rate}))
    if health.guarded_channels:
        text = (
            f"The method could not compute the weight of {health.guarded_channels:,} channels, over all maps, and left "
            "them out; gradcam and hirescam have no such channels."
        )
        findings.append(Finding("health", text, {"guarded_channels": health.guarded_channels}))
    return findings
