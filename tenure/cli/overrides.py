"""`--with NAME=VALUE` and `--clock`: what a replay changes, by the names of the settings, checked as `serve` would."""

import re
from typing import Any
from urllib.parse import urlsplit

from tenure.cli.output import fail
from tenure.projections.settings import EXTRA

_SWITCHES = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}
_SECONDS = ("LEEWAY", "MAX_LIFETIME", "ROTATION_GRACE")
NAMES = ("BASE_URL", "EXTRA_BASE_URLS", "LEGACY_INSTALL", "REFUSE_DISABLED", *_SECONDS)
_MOVE = re.compile(r"([+-])([0-9]{1,9})([smhd])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def overrides(given: list[str]) -> dict[str, Any]:
    """The deciding settings that are otherwise, by their names in `operator.started`; exit 2 if one is wrong."""
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip().upper().removeprefix("TENURE_")
        if not sign or name not in NAMES:
            raise fail(f"--with {text}: NAME=VALUE, with one of {', '.join(NAMES)}", 2)
        if name in ("BASE_URL", "EXTRA_BASE_URLS"):
            urls = [_url(name, url.strip()) for url in value.split(",") if url.strip()]
            if name == "BASE_URL" and len(urls) != 1:
                raise fail("--with BASE_URL: one URL; others that are believed go into EXTRA_BASE_URLS", 2)
            found["audiences" if name == "BASE_URL" else EXTRA] = urls
            if name == "BASE_URL":
                found["base_path"] = urlsplit(value.strip()).path.rstrip("/")
        else:
            found[name.lower()] = _seconds(name, value) if name in _SECONDS else _switch(name, value)
    return found


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _SWITCHES:
        raise fail(f"--with {name}: on or off (also 1, 0, true, false)", 2)
    return _SWITCHES[value.lower()]


def _seconds(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9:
        raise fail(f"--with {name}: whole seconds", 2)
    return int(value)


def _url(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise fail(f"--with {name}: {value[:100]} is no URL", 2) from None
    if not sound or parts.query or parts.fragment:
        raise fail(f"--with {name}: a URL of scheme, host and path", 2)
    return value.rstrip("/")


def seconds(text: str | None) -> float:
    """Seconds of a move such as +90s, -2h; exit 2 if it is none."""
    if text is None:
        return 0.0
    found = _MOVE.match(text)
    if not found:
        raise fail(f"--clock {text[:40]}: + or -, a number and s, m, h or d, such as +90s", 2)
    return float(f"{found[1]}1") * int(found[2]) * _UNITS[found[3]]
