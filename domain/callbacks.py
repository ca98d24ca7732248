"""What Atlassian may ask: a callback that has been read, but not yet believed."""

from dataclasses import dataclass
from enum import StrEnum


class Callback(StrEnum):
    """The four lifecycle URLs of a descriptor."""

    INSTALLED = "installed"
    UNINSTALLED = "uninstalled"
    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Site:
    """What an `installed` says of the site, in the clear; names as in `events.Installed`. Empty text: not told."""

    base_url: str
    display_url: str = ""
    display_url_servicedesk: str = ""
    product_type: str = ""
    oauth_client_id: str = ""
    installation_id: str = ""
    cloud_id: str = ""
    entitlement_id: str = ""
    entitlement_number: str = ""
    service_entitlement_number: str = ""
    public_key: str = ""
    server_version: str = ""
    plugins_version: str = ""


@dataclass(frozen=True, slots=True)
class Payload:
    """A lifecycle body with a good shape. `secret` and `site` only on `installed`; `personal` is
    JSON of everything else that was sent, empty if nothing, and sealed when kept."""

    client_key: str
    personal: str
    secret: bytes = b""
    site: Site | None = None
