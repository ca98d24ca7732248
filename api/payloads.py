"""Lifecycle bodies at the border: strict JSON, then the fields we know; unknown ones are kept, not refused.

`sharedSecret` is taken only from `installed`, 16 to 4096 bytes, and dropped from any other body. `baseUrl` must be a
site the install keys vouch for: https (http only on loopback), no user, and of a host below ALLOWED_SITES.
"""

import ipaddress
import json
import re
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tenure.domain.callbacks import Callback, Payload, Site
from tenure.domain.refusals import Reason, Refused
from tenure.domain.token import strict_object

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_URL = re.compile(rf"(https?)://({_LABEL}(?:\.{_LABEL})*|\[::1\])(?::([0-9]{{1,5}}))?((?:/[a-z0-9._~-]+)*/?)\Z", re.I)
_PLAIN = r"^[\x20-\x7e]*$"


class LifecycleBody(BaseModel):
    """What Atlassian sends; names as documented for Connect's lifecycle callbacks. `null` counts as not told."""

    model_config = ConfigDict(
        strict=True, extra="allow", alias_generator=to_camel, hide_input_in_errors=True, validate_by_name=False
    )

    key: str
    client_key: str = Field(pattern=r"^[\x21-\x7e]{1,255}$")
    event_type: str
    shared_secret: str | None = None
    base_url: str | None = None
    display_url: str | None = Field(None, max_length=2000)
    display_url_servicedesk: str | None = Field(None, alias="displayUrlServicedeskHelpCenter", max_length=2000)
    product_type: str | None = Field(None, max_length=255)
    oauth_client_id: str | None = Field(None, max_length=2000)
    installation_id: str | None = Field(None, max_length=255, pattern=_PLAIN)
    cloud_id: str | None = Field(None, max_length=255)
    entitlement_id: str | None = Field(None, max_length=255)
    entitlement_number: str | None = Field(None, max_length=255)
    service_entitlement_number: str | None = Field(None, max_length=255)
    public_key: str | None = Field(None, max_length=8192)
    server_version: str | None = Field(None, max_length=255)
    plugins_version: str | None = Field(None, max_length=255)
    account_id: str | None = None
    description: str | None = None


def read_object(body: bytes) -> dict[str, Any] | None:
    """The body's JSON object, or None if it is none."""
    try:
        return strict_object(body)
    except ValueError:
        return None


def client_key_of(members: dict[str, Any] | None) -> str | None:
    """The client key a body names, however wrong the rest of it is."""
    name = (members or {}).get("clientKey")
    return name if isinstance(name, str) else None


def parse(callback: Callback, members: dict[str, Any] | None, app_key: str, sites: tuple[str, ...]) -> Payload:
    """The payload of a believed call, or Refused: app, event type, site, fields, in this order."""
    if members is None:
        raise Refused(Reason.PAYLOAD_INVALID, "not a JSON object")
    if members.get("key") != app_key:
        raise Refused(Reason.APP_MISMATCH)
    if members.get("eventType") != callback.value:
        raise Refused(Reason.EVENT_TYPE_MISMATCH)
    base_url = members.get("baseUrl")
    if base_url is not None:
        check_site(base_url, sites)
    try:
        body = LifecycleBody.model_validate(members)
    except ValidationError as error:
        names = sorted({str(item["loc"][0]) for item in error.errors(include_input=False) if item["loc"]})
        raise Refused(Reason.PAYLOAD_INVALID, ", ".join(names)[:200]) from None
    return _installed(body) if callback is Callback.INSTALLED else _switched(body)


def _installed(body: LifecycleBody) -> Payload:
    secret = (body.shared_secret or "").encode()
    if not 16 <= len(secret) <= 4096:
        raise Refused(Reason.PAYLOAD_INVALID, "sharedSecret")
    if not body.base_url:
        raise Refused(Reason.PAYLOAD_INVALID, "baseUrl")
    told = {field.name: getattr(body, field.name) or "" for field in fields(Site)}
    told["base_url"] = body.base_url.rstrip("/")
    return Payload(body.client_key, _personal(body), secret, Site(**told))


def _switched(body: LifecycleBody) -> Payload:
    return Payload(body.client_key, _personal(body))


def _personal(body: LifecycleBody) -> str:
    known = {"accountId": body.account_id, "description": body.description}
    told = {name: value for name, value in {**known, **(body.model_extra or {})}.items() if value is not None}
    try:
        # not orjson: what was taken in may hold numbers of any length
        return json.dumps(told, ensure_ascii=False) if told else ""
    except (ValueError, RecursionError):
        raise Refused(Reason.PAYLOAD_INVALID, "unknown fields") from None


def check_site(url: Any, sites: tuple[str, ...]) -> None:
    """Refuses a base URL that is no URL (`payload_invalid`) or not below one of the sites (`site_not_allowed`)."""
    parts = _URL.match(url) if isinstance(url, str) and len(url) <= 2000 else None
    if parts is None:
        raise Refused(Reason.PAYLOAD_INVALID, "baseUrl")
    scheme, host, port, path = parts[1].lower(), parts[2].lower().strip("[]"), parts[3], parts[4]
    local = is_loopback(host)
    if (scheme == "http" and not local) or {".", ".."} & set(path.split("/")):
        raise Refused(Reason.PAYLOAD_INVALID, "baseUrl")
    named = any(host == site for site in sites if not site.startswith("."))
    below = any(host.endswith(site) for site in sites if site.startswith("."))
    if not (named or below) or (port not in (None, "443") and not local):
        raise Refused(Reason.SITE_NOT_ALLOWED, host[:200])


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
