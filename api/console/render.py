"""Templates to pages. Every value in a page is text: escaped by the template engine, and tamed (`projections.words`).

Two exceptions, both ours: the picture of a timeline (which escapes and tames its own text) and what macros return.
No page has a style or a script of its own in it: the policy allows files of ours alone. A page that is to stand alone
in a file carries the stylesheet, allowed by its hash.
"""

import base64
import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from tenure.api.http import Answer
from tenure.projections.words import tame

if TYPE_CHECKING:
    from jinja2 import Environment

HOME = "/console/"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
STATIC = {
    "console.css": b"text/css; charset=utf-8",
    "tail.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}


def _shown(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    return tame(value) if isinstance(value, str) else value


def url(*parts: Any, **query: Any) -> str:
    """The address of a page below `/console/`; parameters without a value are left out."""
    path = HOME + "/".join(quote(str(part), safe="") for part in parts)
    values = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(values)}" if values else path


def when(time: str) -> Markup:
    """A stored time as people read it, to the millisecond."""
    if not time:
        return Markup('<span class="none">never</span>')
    time = tame(time)
    return Markup('<time datetime="{}">{}&nbsp;{}</time>').format(time, time[:10], time[11:23])


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "no call" if share is None else f"{100 * share:.2f} %"


@cache
def _pages() -> "Environment":
    # with the first page, so that a start does not wait for it
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=PackageLoader("tenure.api.console"), autoescape=True, undefined=StrictUndefined, finalize=_shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(url=url, version=version("tenure"))
    made.filters.update(when=when, percent=percent, tame=tame)
    return made


def static(name: str) -> bytes:
    """A file of ours, as it lies beside the templates."""
    return files("tenure.api.console").joinpath("static", name).read_bytes()


def page(template: str, status: int = 200, **values: Any) -> Answer:
    """A page of the console."""
    body = _pages().get_template(template).render(**values)
    return Answer(status, body.encode(), ((b"content-type", b"text/html; charset=utf-8"), *HEADERS))


def standalone(template: str, **values: Any) -> str:
    """A page for a file: the stylesheet within, no address, no script, readable anywhere."""
    style = static("console.css").decode()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    # ours alone: the stylesheet, and the picture, which escapes its own text
    given = values | {"style": Markup(style)}  # noqa: S704 # nosec B704 # our own file
    if "svg" in values:
        given["svg"] = Markup(values["svg"])  # noqa: S704 # nosec B704 # it escapes its own text
    return _pages().get_template(template).render(policy=policy, **given)
