"""Webhooks: checked, de-duplicated once taken, and passed on as they came."""

import uuid
from pathlib import Path

import httpx

from support.house import APP_KEY, House
from tenure.simulator.receiver import Received


def _received(house: House, identifier: str) -> list[Received]:
    return [got for got in house.receiver.received if got.header("x-atlassian-webhook-identifier") == identifier]


def test_passed_on_as_received(signed: House) -> None:
    """The upstream gets the raw body, path, query and headers, and who the caller is."""
    site = signed.installed()
    name, body = uuid.uuid4().hex, b'{ "raw" :\t"\xc3\xbc" }\n'
    headers = {"X-Custom": "kept", "X-Tenure-Client-Key": "spoofed", "X-Tenure-Other": "spoofed"}
    sent = site.webhook(
        body=body, identifier=name, path="/issue%2Fx", query="a=1&b=%20", sub="account-7", headers=headers
    )
    assert sent.status == 200
    (got,) = _received(signed, name)
    assert (got.method, got.path, got.body) == ("POST", "/webhooks/issue%2Fx?a=1&b=%20", body)
    assert got.header("x-custom") == "kept"
    tenure = {key.lower(): value for key, value in got.headers if key.lower().startswith("x-tenure-")}
    assert len([key for key, _ in got.headers if key.lower().startswith("x-tenure-")]) == 7
    assert tenure.pop("x-tenure-decision") == sent.response.headers["x-tenure-decision"]
    assert tenure == {
        "x-tenure-client-key": site.client_key,
        "x-tenure-base-url": site.base_url,
        "x-tenure-account-id": "account-7",
        "x-tenure-enabled": "true",
        "x-tenure-installation-id": "",
        "x-tenure-app-key": APP_KEY,
    }


def test_duplicate_is_acknowledged_and_not_passed_on(signed: House) -> None:
    """A repeat of a webhook that the upstream took is 204 and goes nowhere; another tenant's same identifier does."""
    site, other, name = signed.installed(), signed.installed(), uuid.uuid4().hex
    statuses = [caller.webhook(identifier=name).status for caller in (site, site, other)]
    assert statuses == [200, 204, 200]
    assert len(_received(signed, name)) == 2


def test_upstreams_failure_passes_back_and_is_tried_again(signed: House) -> None:
    """The upstream's 500 comes back and the webhook does not count as taken; its retry is passed on."""
    site, name = signed.installed(), uuid.uuid4().hex
    signed.receiver.script = [500, 202]
    assert [site.webhook(identifier=name).status for _ in range(3)] == [500, 202, 204]
    assert len(_received(signed, name)) == 2


def test_refused_webhook_is_not_passed_on(signed: House) -> None:
    """Neither a bad signature nor a token for another query reaches the upstream."""
    site, name = signed.installed(), uuid.uuid4().hex
    assert site.webhook(identifier=name, secret="x" * 64).status == 401
    assert site.webhook(identifier=name, qsh="0" * 64).status == 401
    assert _received(signed, name) == []


def test_unreachable_upstream(tmp_path: Path) -> None:
    """An upstream that is gone is 502, so that the site tries again."""
    with House(tmp_path) as house:
        site = house.installed()
        house.receiver.close()
        assert site.webhook().status == 502


def test_no_upstream(tmp_path: Path) -> None:
    """Without an upstream the route is 404 before any check."""
    with House(tmp_path, {"UPSTREAM_URL": ""}) as house:
        assert house.installed().webhook().status == 404
        assert httpx.post(f"{house.url}/webhooks").status_code == 404


def test_base_url_with_a_path(tmp_path: Path) -> None:
    """Under a base URL with a path, routes lie below it, and it is not part of what is hashed."""
    with House(tmp_path, {"BASE_URL": "https://app.example.com/tenure/"}) as house:
        site, name = house.installed(), uuid.uuid4().hex
        assert site.webhook(identifier=name).status == 200
        assert _received(house, name)[0].path.endswith("/webhooks")
        assert httpx.post(f"{house.url}/installed").status_code == 404
        assert httpx.post(f"{house.url}/tenure/installed").status_code == 401
