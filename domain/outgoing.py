"""Tokens for calls from the app to the site: iss is the app key, three minutes, bound to one URL of the site.

The hash is over the path relative to the tenant's baseUrl. Such a token is never accepted inbound: its issuer is the
app key, which is no tenant.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import jwt

from tenure.domain.qsh import request_hash

LIFETIME = 180


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A signed token; `expires_at` in Unix seconds."""

    token: str
    expires_at: int


def sign(app_key: str, secret: bytes, base_url: str, method: str, url: str, now: int) -> Outgoing:
    """A token for one call. `url` is below the site's base URL, or a path relative to it; ValueError if elsewhere."""
    site, target = urlsplit(base_url), urlsplit(url)
    base_path = site.path.rstrip("/")
    if target.scheme or target.netloc:
        same = (target.scheme, target.netloc.lower()) == (site.scheme, site.netloc.lower())
        if not same or not (target.path + "/").startswith(base_path + "/"):
            raise ValueError(f"{url} is not below the tenant's base URL {base_url}")
    elif not url.startswith("/"):
        raise ValueError("a URL is absolute, or a path that begins with /")
    claims = {
        "iss": app_key,
        "iat": now,
        "exp": now + LIFETIME,
        "qsh": request_hash(method, target.path, target.query, base_path),
    }
    return Outgoing(jwt.encode(claims, secret, algorithm="HS256"), now + LIFETIME)
