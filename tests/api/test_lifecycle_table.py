"""Every row of the decision table over HTTP, under signed installs and under the legacy scheme."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from support.house import House
from tenure.simulator import tokens
from tenure.simulator.site import Site
from tenure.simulator.tokens import OMIT

NEW_SECRET = tokens.new_secret()
SENT_ALONE = ("uninstalled", "enabled", "disabled")
INSTALLERS = ("installed", "uninstalled")

TokenMaker = Callable[[House, Site, str], str | None]


def _rs256(**claims: object) -> TokenMaker:
    return lambda _house, site, event: site.lifecycle_token(event, alg="RS256", **claims)


def _hs256(**claims: object) -> TokenMaker:
    return lambda _house, site, event: site.lifecycle_token(event, alg="HS256", **claims)


def _of_another(alg: str) -> TokenMaker:
    return lambda house, _site, event: house.installed().lifecycle_token(event, alg=alg)


def _by_foreign_key(_house: House, site: Site, event: str) -> str:
    _, claims = tokens.read(site.lifecycle_token(event, alg="RS256"))
    return tokens.rs256(claims, tokens.pooled_key("attacker", 0), site.kid)


def _unknown_kid(_house: House, site: Site, event: str) -> str:
    _, claims = tokens.read(site.lifecycle_token(event, alg="RS256"))
    return tokens.rs256(claims, tokens.pooled_key("attacker", 0), str(uuid.uuid4()))


def _aged(seconds: int, life: int = 900) -> TokenMaker:
    def make(_house: House, site: Site, event: str) -> str:
        began = int(time.time()) - seconds
        return site.lifecycle_token(event, alg="RS256", iat=began, exp=began + life)

    return make


def _replaced(_house: House, site: Site, event: str) -> str:
    before = site.secret
    assert site.rotate().status == 204
    return site.lifecycle_token(event, alg="HS256", secret=before)


TOKENS: dict[str, TokenMaker] = {
    "none": lambda _house, _site, _event: None,
    "RS256": _rs256(),
    "RS256 of another site": _of_another("RS256"),
    "RS256 by a foreign key": _by_foreign_key,
    "RS256 of an unknown kid": _unknown_kid,
    "RS256 with a path as kid": _rs256(header={"kid": "../keys"}),
    "RS256 for another base URL": _rs256(aud="https://app.example.com.evil.example"),
    "RS256 for two base URLs": _rs256(aud=["https://app.example.com", "https://evil.example"]),
    "RS256 without aud": _rs256(aud=OMIT),
    "RS256 of another path": _rs256(qsh="0" * 64),
    "RS256 without qsh": _rs256(qsh=OMIT),
    "RS256 for the front end": _rs256(qsh="context-qsh"),
    "RS256 that ended": _aged(1000),
    "RS256 from the future": _aged(-600),
    "RS256 for two hours": _aged(0, 7200),
    "RS256 without exp": _rs256(exp=OMIT),
    "RS256 with exp as text": _rs256(exp="9999999999"),
    "HS256": _hs256(),
    "HS256 by the body's secret": _hs256(secret=NEW_SECRET),
    "HS256 of another site": _of_another("HS256"),
    "HS256 by a replaced secret": _replaced,
    "HS256 for the front end": _hs256(qsh="context-qsh"),
    "no algorithm": lambda _house, site, event: tokens.none_token(
        tokens.read(site.lifecycle_token(event, alg="RS256"))[1]
    ),
    "garbage": lambda _house, _site, _event: "garbage",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what is sent in which state (U, L, T), and the status, the reason or the event that comes of it."""

    number: int
    event: str
    token: str
    state: str
    status: int
    reason: str = ""
    appended: bool = False

    def __str__(self) -> str:
        return f"{self.number}: {self.event}, {self.token}, {self.state}"


def _refused(number: int, events: tuple[str, ...], token: str, states: str, reason: str) -> list[Row]:
    return [Row(number, event, token, state, 401, reason) for event in events for state in states]


BAD_RS256 = {
    "RS256 by a foreign key": "signature_bad",
    "RS256 of an unknown kid": "kid_unknown",
    "RS256 with a path as kid": "kid_malformed",
    "RS256 for another base URL": "audience_mismatch",
    "RS256 for two base URLs": "audience_mismatch",
    "RS256 without aud": "claim_missing",
    "RS256 of another path": "qsh_mismatch",
    "RS256 without qsh": "qsh_missing",
    "RS256 for the front end": "context_not_allowed",
    "RS256 that ended": "expired",
    "RS256 from the future": "not_yet_valid",
    "RS256 for two hours": "lifetime_too_long",
    "RS256 without exp": "claim_missing",
    "RS256 with exp as text": "claim_malformed",
    "no algorithm": "algorithm_not_allowed",
    "garbage": "token_malformed",
}

IN_EVERY_MODE = [
    *(Row(number, "installed", "RS256", state, 204, appended=True) for number, state in ((1, "U"), (2, "L"), (3, "T"))),
    *_refused(4, INSTALLERS, "RS256 of another site", "ULT", "issuer_mismatch"),
    *(row for token, reason in BAD_RS256.items() for row in _refused(5, INSTALLERS, token, "UL", reason)),
    *_refused(6, ("installed",), "none", "LT", "token_missing"),
    Row(13, "uninstalled", "RS256", "L", 204, appended=True),
    *(Row(14, "uninstalled", "RS256", state, 204) for state in "UT"),
    *(Row(16, event, "HS256", "L", 204, appended=True) for event in ("enabled", "disabled")),
    *(Row(17, event, "HS256", "T", 204) for event in ("enabled", "disabled")),
    *_refused(18, SENT_ALONE, "none", "ULT", "token_missing"),
    *_refused(19, ("enabled", "disabled"), "HS256", "U", "tenant_unknown"),
    *_refused(23, ("enabled", "disabled"), "RS256", "ULT", "algorithm_not_allowed"),
    *_refused(23, ("enabled", "disabled"), "HS256 by a replaced secret", "L", "secret_superseded"),
    *_refused(16, ("enabled", "disabled"), "HS256 of another site", "L", "issuer_mismatch"),
    *_refused(16, ("enabled", "disabled"), "HS256 for the front end", "L", "context_not_allowed"),
    *_refused(16, ("enabled", "disabled"), "HS256 by the body's secret", "LT", "signature_bad"),
]

SIGNED_ONLY = [
    *_refused(7, ("installed",), "none", "U", "token_missing"),
    *_refused(8, ("installed",), "HS256", "LT", "algorithm_not_allowed"),
    *_refused(9, ("installed",), "HS256 by the body's secret", "ULT", "algorithm_not_allowed"),
    *_refused(10, ("installed",), "HS256", "U", "algorithm_not_allowed"),
    *_refused(11, ("installed",), "HS256 of another site", "ULT", "algorithm_not_allowed"),
    *_refused(15, ("uninstalled",), "HS256", "LT", "algorithm_not_allowed"),
]

LEGACY_ONLY = [
    Row(7, "installed", "none", "U", 204, appended=True),
    *(Row(8, "installed", "HS256", state, 204, appended=True) for state in "LT"),
    *_refused(9, ("installed",), "HS256 by the body's secret", "LT", "signature_bad"),
    *_refused(10, ("installed",), "HS256", "U", "tenant_unknown"),
    *_refused(11, ("installed",), "HS256 of another site", "ULT", "issuer_mismatch"),
    Row(15, "uninstalled", "HS256", "L", 204, appended=True),
    Row(15, "uninstalled", "HS256", "T", 204),
]


def _in_state(house: House, state: str) -> Site:
    site = house.site() if state == "U" else house.installed()
    if state == "T":
        assert site.uninstall().status == 204
    return site


def _play(house: House, row: Row) -> None:
    site = _in_state(house, row.state)
    token = TOKENS[row.token](house, site, row.event)
    before, events = house.trail(site.client_key), house.kinds(site.client_key)
    extra = {"sharedSecret": NEW_SECRET} if row.event == "installed" else {}
    sent = site.send(row.event, site.lifecycle_body(row.event, extra), token)
    assert (sent.status, house.reason(sent)) == (row.status, row.reason)
    if row.appended:
        assert house.kinds(site.client_key) == [*events, row.event]
        assert house.head()[0] == before.head[0] + 1
    else:
        assert house.trail(site.client_key) == before


@pytest.mark.parametrize("row", [*IN_EVERY_MODE, *SIGNED_ONLY], ids=str)
def test_row_under_signed_installs(signed: House, row: Row) -> None:
    """Under signed installs a call gets the status and reason of its row, and leaves no trace unless accepted."""
    _play(signed, row)


@pytest.mark.parametrize("row", [*IN_EVERY_MODE, *LEGACY_ONLY], ids=str)
def test_row_under_the_legacy_scheme(legacy: House, row: Row) -> None:
    """With the legacy scheme allowed only rows 7 to 11 and 15 change; all others stay as strict."""
    _play(legacy, row)


def test_first_install_is_not_enabled(signed: House) -> None:
    """A first install, an uninstall and a revival leave a tenant not enabled; an upgrade keeps what was."""
    site = signed.installed()
    assert site.install().status == 204
    assert signed.known(site.client_key).enabled
    assert site.uninstall().status == 204
    assert not signed.known(site.client_key).enabled
    assert site.install().status == 204
    tenant = signed.known(site.client_key)
    assert (tenant.installed, tenant.enabled) == (True, False)


def test_install_replaces_secret_and_url(signed: House) -> None:
    """An accepted `installed` on a live tenant replaces its secret and its base URL and keeps it enabled."""
    site = signed.installed()
    before = signed.known(site.client_key)
    assert site.rename("https://renamed-site.atlassian.net").status == 204
    assert site.rotate().status == 204
    after = signed.known(site.client_key)
    assert after.base_url == "https://renamed-site.atlassian.net"
    assert after.secret.fingerprint != before.secret.fingerprint
    assert after.enabled


def test_tenant_of_the_legacy_scheme_may_sign_its_installs(legacy: House) -> None:
    """Row 12: a tenant once installed by the legacy scheme is accepted with a signed install."""
    site = legacy.site()
    assert site.legacy_install(signed=False).status == 204
    assert site.install(True).status == 204
    assert legacy.kinds(site.client_key) == ["installed", "installed"]
    assert site.enable().status == 204


def test_legacy_reinstall_needs_the_kept_secret(legacy: House) -> None:
    """After an uninstall the kept secret proves a return; an unsigned return is refused."""
    site = legacy.site()
    assert site.legacy_install(signed=False).status == 204
    assert site.uninstall(alg="HS256").status == 204
    refused = site.legacy_install(signed=False, new_secret=True)
    assert (refused.status, legacy.reason(refused)) == (401, "token_missing")
    assert site.legacy_install(signed=True, new_secret=True).status == 204
    assert legacy.known(site.client_key).installed


@pytest.mark.parametrize("wrong", ["installed", "uninstalled", "enabled", "disabled"])
def test_event_type_must_match_the_url(signed: House, wrong: str) -> None:
    """Row 20: a good token with a body of another event's type is 400 and changes nothing."""
    site = signed.installed()
    sent_to = "disabled" if wrong != "disabled" else "enabled"
    before = signed.trail(site.client_key)
    token = site.lifecycle_token(sent_to, alg="HS256")
    sent = site.send(sent_to, site.lifecycle_body(wrong, {"sharedSecret": NEW_SECRET}), token)
    assert (sent.status, signed.reason(sent)) == (400, "event_type_mismatch")
    assert signed.trail(site.client_key) == before


def test_kept_context_verifies_no_ordinary_traffic(signed: House) -> None:
    """Row 21: webhooks and pages of an uninstalled tenant are refused, though its secret is kept."""
    site = signed.installed()
    assert site.uninstall().status == 204
    before = signed.trail(site.client_key)
    webhook, page = site.webhook(), signed.page(site)
    assert (webhook.status, signed.reason(webhook)) == (401, "tenant_uninstalled")
    assert (page.status_code, signed.reason(page)) == (401, "tenant_uninstalled")
    assert isinstance(page, httpx.Response)
    assert signed.trail(site.client_key) == before
