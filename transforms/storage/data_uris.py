"""Images that a manifest holds itself: ``data:image/png;base64,...`` (RFC 2397)."""

import base64
import binascii
import urllib.parse

from transforms.storage.access import check_bytes

_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decode(uri: str, max_bytes: int) -> bytes:
    """The bytes of a data URI: Base64 of either alphabet, padded or not, percent escapes, or plain text.

    Raises:
        ImageFailure: TOO_LARGE.
        ValueError: it is cut off, or not what it says.
    """
    about, comma, written = uri[len("data:") :].partition(",")
    if not comma:
        raise ValueError("a data: URI without a comma: write data:image/png;base64,...")
    check_bytes(3 * len(written) // 4 if about.endswith(";base64") else 0, max_bytes)
    content = urllib.parse.unquote_to_bytes(written)
    if not about.lower().replace(" ", "").endswith(";base64"):
        check_bytes(len(content), max_bytes)
        return content
    letters = b"".join(content.split()).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not Base64, or cut off: {error}") from None
