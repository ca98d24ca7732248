"""Honest calls that arrive wrong: a proxy in between, a clock, another app's or another site's configuration."""

from functools import partial

from tenure.domain.qsh import request_hash
from tenure.simulator.site import Sent, Site
from tenure.simulator.stories.stage import Chapter, Stage

CHAPTER = Chapter()
PREFIX = "/stripped"


def _through_a_stripping_proxy(site: Site, kind: str, alg: str) -> Sent:
    """Jira signs the path with the prefix; the proxy takes it off on the way."""
    path = PREFIX + site.paths[kind]
    token = site.lifecycle_token(kind, alg=alg, qsh=request_hash("POST", path, "", site.base_path))
    secret = {"sharedSecret": site.secret} if kind == "installed" else {}
    return site.send(kind, site.lifecycle_body(kind, secret), token)


@CHAPTER.story("A proxy that strips a prefix breaks every signature: the hash is over the path as Jira called it.")
def stripped_prefix(stage: Stage) -> None:
    site = stage.site()
    cure = "pass the path on whole, and put the prefix into BASE_URL"
    stage.refused("installed, a prefix stripped on the way",
                  lambda: _through_a_stripping_proxy(site, "installed", "RS256"), "qsh_mismatch", cure)  # fmt: skip
    stage.call("installed, the path as it was called", site.install)
    stage.refused("enabled, a prefix stripped on the way",
                  lambda: _through_a_stripping_proxy(site, "enabled", "HS256"), "qsh_mismatch", cure)  # fmt: skip
    stage.call("enabled, the path as it was called", site.enable)
    stage.history(site, ["installed", "enabled"])


@CHAPTER.story("An old host appends ?user_key=… to the callback: the hash covers the query as received, and holds.")
def appended_query(stage: Stage) -> None:
    site = stage.site()
    stage.call("installed, ?user_key=admin in URL and hash", lambda: site.install(query="user_key=admin"))
    token = site.lifecycle_token("enabled", alg="HS256")
    stage.refused("enabled, a query added on the way",
                  lambda: site.send("enabled", site.lifecycle_body("enabled"), token, "added=1"),
                  "qsh_mismatch")  # fmt: skip
    stage.call("enabled", site.enable)


@CHAPTER.story("An install meant for another app is refused: the audience must be exactly our base URL.")
def foreign_audience(stage: Stage) -> None:
    site = stage.site()
    stage.refused("installed, aud another app", lambda: site.install(aud="https://other-app.example"),
                  "audience_mismatch", "check BASE_URL against the descriptor's baseUrl")  # fmt: skip
    stage.refused("installed, aud ours and another", lambda: site.install(aud=[site.audience, "https://x.example"]),
                  "audience_mismatch")  # fmt: skip
    stage.call("installed, aud ours", site.install)


@CHAPTER.story("An expired token is refused: compare the clocks before the secrets.")
def expired_token(stage: Stage) -> None:
    site = stage.installed()
    now = int(site.clock())
    stage.refused("webhook an hour late", lambda: site.webhook(iat=now - 3780, exp=now - 3600), "expired")
    stage.refused("webhook dated tomorrow", lambda: site.webhook(iat=now + 86400, exp=now + 86580), "not_yet_valid")
    stage.traffic("webhook of now", site)


@CHAPTER.story("A good proof over a wrong payload is a 400 that says why, and changes nothing.")
def wrong_payload(stage: Stage) -> None:
    site = stage.site()
    for what, extra, reason in (
        ("of another app's key", {"key": "com.example.other"}, "app_mismatch"),
        ("with eventType uninstalled", {"eventType": "uninstalled"}, "event_type_mismatch"),
        ("of a site the keys do not vouch for", {"baseUrl": "https://acme.example"}, "site_not_allowed"),
        ("without a sharedSecret", {"sharedSecret": ""}, "payload_invalid"),
    ):
        stage.call(f"installed {what}", partial(site.install, body_extra=extra), (400,), reason=reason)
    stage.history(site, [])
