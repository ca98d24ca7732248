"""Calls of all kinds, good and bad, for whoever looks at what was recorded of them."""

import time

import httpx

from support.house import House
from tenure.simulator.attacker import Attacker
from tenure.simulator.tokens import OMIT


def crowd(house: House) -> None:
    """Calls of all kinds, good and bad."""
    site, stranger, gone, rotated = house.installed(), house.site(), house.installed(), house.installed()
    assert gone.uninstall().status == 204
    old = rotated.secret
    assert rotated.rotate().status == 204
    attacker, now = Attacker(site), int(time.time())
    attacker.scanner_probes("installed")
    attacker.scanner_probes("enabled")
    for odd in (attacker.unsigned_install, attacker.self_signed_install, attacker.unknown_key_install,
                attacker.borrowed_kid_install, attacker.own_lifecycle, attacker.own_webhook):  # fmt: skip
        odd()
    attacker.foreign_install(house.installed())
    for claims in ({}, {"exp": OMIT}, {"qsh": "0" * 64}, {"qsh": OMIT}, {"qsh": "context-qsh"}, {"iat": 0, "exp": 9},
                   {"iat": now + 900, "exp": now + 990}, {"iat": now, "exp": now + 4000}, {"secret": "x" * 64},
                   {"iat": now + 9, "exp": now + 9}, {"query": "a=1&b=2", "sub": "account-7"}):  # fmt: skip
        site.webhook(**claims)
    stranger.webhook()
    gone.webhook()
    gone.enable()
    rotated.webhook(secret=old)
    rotated.enable(secret=old)
    site.rotate(aud="https://other.example.com")
    site.rotate(aud=["https://other.example.com", "https://app.example.com"])
    site.install(body_extra={"eventType": "enabled"})
    site.install(body_extra={"baseUrl": "https://evil.example.com"})
    sent = site.disable()
    site.resend(sent)
    site.resend(sent, {"clientKey": site.client_key})
    for token in (None, site.page_token("GET", "/page", context=True), "garbage"):
        house.page(site, token)
    house.page(gone)
    house.forward_auth({})
    token = site.page_token("GET", "/page")
    asked = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}
    house.forward_auth(asked, "?accept=context")
    asked["Authorization"] = f"JWT {site.page_token('GET', '/page', context=True)}"
    house.forward_auth(asked, "?accept=context")
    httpx.post(f"{house.service.internal_url}/sign")
