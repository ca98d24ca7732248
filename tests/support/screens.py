"""The screenshots of the docs: which page of the console, how wide, light or dark."""

from dataclasses import dataclass

from support.browser import Scheme


@dataclass(frozen=True, slots=True)
class Screen:
    """A page below `/console/` (`{site}`: the client key, `{refused}`: a refused decision), and the window."""

    path: str
    scheme: Scheme = "light"
    width: int = 1040
    height: int = 760


SCREENS = {
    "console-tenant.png": Screen("tenants/{site}", height=930),
    "console-tenant-dark.png": Screen("tenants/{site}", "dark", height=930),
    "console-decision.png": Screen("decisions/{refused}"),
    "console-health.png": Screen(""),
    "console-narrow.png": Screen("tenants/{site}", width=400, height=860),
}
LARGEST = 150_000
