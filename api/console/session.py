"""Who looks: a signed cookie that ends by itself, and a check that a form was sent from our own page.

The cookie holds the API token's name, when its session began and when it ends, and the session's id, under an HMAC.
Nothing is kept of a session that goes on, so that any worker can read it; of one that was logged out its id is, until
it would have ended by itself, so that a copied cookie ends with it. The token's own state is asked at every request,
and revoking the token ends its sessions at once. A session ends 30 minutes after the last page, and 8 hours after the
login. The cookie is HttpOnly, Secure (browsers send it to loopback over plain http as well), SameSite=Strict and only
for `/console/`.

A form counts only if the browser says that our own page sent it: `Sec-Fetch-Site: same-origin`, from a browser that
does not say so an `Origin` of the host that was asked. A form sent from elsewhere cannot log anybody in.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tenure.api.http import Call

COOKIE = "tenure_console"
PATH = "/console/"
IDLE_S = 30 * 60
RENEWED_S = 20 * 60
LONGEST_S = 8 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """Of an API token's name, from `began` to `ends` (Unix seconds); a renewed one keeps its `id`."""

    name: str
    began: int
    ends: int
    id: str


class Sessions:
    """Makes and reads cookies under one key of 32 bytes."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    def begin(self, name: str) -> tuple[bytes, bytes]:
        """The header that begins a session."""
        now = int(self._clock())
        return self._header(Session(name, now, now + IDLE_S, secrets.token_hex(16)))

    def renewed(self, session: Session) -> tuple[tuple[bytes, bytes], ...]:
        """The header that lets a session go on, if it is to be sent with this answer."""
        now = int(self._clock())
        ends = min(now + IDLE_S, session.began + LONGEST_S)
        if session.ends - now > RENEWED_S or ends <= session.ends:
            return ()
        return (self._header(Session(session.name, session.began, ends, session.id)),)

    def end(self) -> tuple[bytes, bytes]:
        """The header that ends the session in this browser."""
        return _set("", 0)

    def read(self, call: Call) -> Session | None:
        """The session of a call; None if it has none that holds. Of several cookies none is believed."""
        found = [
            value for header in call.all(b"cookie") for name, _, value in (p.strip().partition("=")
            for p in header.split(";")) if name == COOKIE
        ]  # fmt: skip
        if len(found) != 1:
            return None
        text, _, mark = found[0].partition(".")
        if not hmac.compare_digest(self._mark(text).encode(), mark.encode(errors="replace")):
            return None
        try:
            name, began, ends, identifier = base64.urlsafe_b64decode(text).decode().rsplit("\n", 3)
            session = Session(name, int(began), int(ends), identifier)
        except (ValueError, binascii.Error):
            return None
        return session if session.ends > self._clock() else None

    def _header(self, session: Session) -> tuple[bytes, bytes]:
        plain = f"{session.name}\n{session.began}\n{session.ends}\n{session.id}".encode()
        text = base64.urlsafe_b64encode(plain).decode()
        return _set(f"{text}.{self._mark(text)}", session.ends - int(self._clock()))

    def _mark(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()


def _set(value: str, seconds: int) -> tuple[bytes, bytes]:
    cookie = f"{COOKIE}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict"
    return (b"set-cookie", cookie.encode())


def from_our_page(call: Call) -> bool:
    """Whether a form was sent by a page of ours."""
    site = call.one(b"sec-fetch-site")
    if site:
        return site == "same-origin"
    try:
        origin = urlsplit(call.one(b"origin")).netloc
    except ValueError:
        return False
    return bool(origin) and origin == call.one(b"host")
