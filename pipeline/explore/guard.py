"""Who may ask: the browser that was given the token, for a page of this server, on this machine.

Another program on this machine lacks the token. A page of another site in the same browser lacks it too, and the
cookie that stands for it does not go along with requests that such a page makes (SameSite, Sec-Fetch-Site, Origin). A
name that a stranger lets point to 127.0.0.1 (DNS rebinding) is not among the hosts that are answered.
"""

import hmac
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """In front of the whole application: without the token there is no answer but a refusal."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))
        self._cookie = f"beam_gradcam_explore_{port}"  # browsers share cookies between the ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the start and end of the server; no websockets
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        request = Request(scope)
        brings_token = self._brings_token(request)
        refusal = self._check(request)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
                if refusal is None and brings_token:
                    headers.append("set-cookie", f"{self._cookie}={self._token}; HttpOnly; Path=/; SameSite=Strict")
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    def _check(self, request: Request) -> Response | None:
        """None where the request may go on."""
        headers = request.headers
        if headers.get("host") not in self._hosts:
            return _refusal("this server answers to 127.0.0.1 and localhost only, under its own port")
        if self._brings_token(request):
            return None  # wherever the address was clicked
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refusal("this server does not answer to pages of other sites")
        if request.method not in ("GET", "HEAD") and not self._is_own(headers):
            return _refusal("only the page of this server may ask for that")
        if self._is_token([request.cookies.get(self._cookie, "")]):
            return None
        return _refusal("open the address that `beam-gradcam explore` has printed, with its token")

    def _brings_token(self, request: Request) -> bool:
        """The page itself, opened with the token in its address; from then on a cookie stands for it."""
        # Of the request line: what the host's name may hold decides nothing.
        given = parse_qs(request.scope["query_string"].decode("latin-1")).get("token", [])
        return request.method == "GET" and request.scope["path"] == "/" and self._is_token(given)

    def _is_token(self, given: Iterable[str]) -> bool:
        return any(hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode()) for text in given)

    def _is_own(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        is_json = headers.get("content-type", "").partition(";")[0] == "application/json"
        return is_json and (origin is None or origin in {f"http://{host}" for host in self._hosts})


def new_token() -> str:
    """256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


def _refusal(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status_code=403)
