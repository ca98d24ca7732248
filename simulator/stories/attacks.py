"""What strangers try who know a site's public facts and what they captured. None of it may ever be believed."""

from tenure.simulator import tokens
from tenure.simulator.attacker import Attacker
from tenure.simulator.stories.stage import REFUSED, Chapter, Stage

CHAPTER = Chapter()


@CHAPTER.story("A token is good for one body, once: captured, with another body, it is refused.")
def captured_token(stage: Stage) -> None:
    site = stage.site()
    sent = stage.call("installed", site.install, means="a stranger reads it on the wire")
    stranger = Attacker(site)
    stage.refused("the same token, his own sharedSecret in the body", lambda: stranger.captured_install(sent),
                  "token_reused", "the body is not signed, so the token is spent with its body")  # fmt: skip
    stage.refused("the same with padding on the signature", lambda: stranger.padded_copy(sent), "token_malformed",
                  "another text, the same token")  # fmt: skip
    stage.refused("the same token at another URL", lambda: stranger.moved_token(sent, "uninstalled"), "qsh_mismatch")
    stage.traffic("webhook of the honest site", site)
    stage.history(site, ["installed"])


@CHAPTER.story("An unsigned install is refused, of a tenant never heard of as well: nobody is first by coming first.")
def forged_first_install(stage: Stage) -> None:
    site = stage.site()
    stranger = Attacker(site)
    stage.refused("installed without a token, tenant unknown", stranger.unsigned_install, "token_missing",
                  "only LEGACY_INSTALL would believe it")  # fmt: skip
    stage.call("the honest install", site.install, means="not shut out by the forger")
    stage.refused("installed without a token, tenant known", stranger.unsigned_install, "token_missing")
    stage.traffic("webhook of the honest site", site)
    stage.history(site, ["installed"])


@CHAPTER.story("A body cannot vouch for itself: HS256 by the secret it brings along is refused.")
def self_signed_install(stage: Stage) -> None:
    site = stage.installed()
    stranger = Attacker(site)
    stage.refused("installed, HS256 by the secret in its own body", stranger.self_signed_install,
                  "algorithm_not_allowed")  # fmt: skip
    stage.refused("webhook by that secret", stranger.own_webhook, "signature_bad")
    stage.traffic("webhook of the honest site", site)


@CHAPTER.story("A key is believed only if the configured key host publishes it, whatever the token says of itself.")
def unknown_kid(stage: Stage) -> None:
    site = stage.installed()
    stranger = Attacker(site)
    stage.refused("installed, RS256 under a kid no host knows", stranger.unknown_key_install, "kid_unknown")
    stage.refused("the same, the key embedded in its header", stranger.embedded_key_install, "kid_unknown",
                  "jwk and jku are never read")  # fmt: skip
    stage.refused("RS256 by his own key under the honest kid", stranger.borrowed_kid_install, "signature_bad")
    stage.traffic("webhook of the honest site", site)


@CHAPTER.story("The public key is no HMAC secret: HS256 by its PEM is refused, and so is no algorithm at all.")
def key_confusion(stage: Stage) -> None:
    site = stage.installed()
    stranger = Attacker(site)
    stage.refused("installed, HS256 by the public key's PEM", stranger.key_confusion, "algorithm_not_allowed")
    stage.refused("installed, alg none", stranger.alg_none, "algorithm_not_allowed")
    stage.refused("enabled, alg none", lambda: stranger.alg_none("enabled"), "algorithm_not_allowed")
    stage.traffic("webhook of the honest site", site)


@CHAPTER.story("One tenant's token never speaks for another: the body's clientKey must be the token's issuer.")
def cross_tenant(stage: Stage) -> None:
    victim, own = stage.installed(), stage.site()
    stage.call("installed, the stranger's own site", own.install, means="an honest customer, too")
    stranger = Attacker(victim)
    stage.refused("installed of the victim, by his own site's token", lambda: stranger.foreign_install(own),
                  "issuer_mismatch")  # fmt: skip
    body = victim.lifecycle_body("disabled")
    stage.refused("disabled of the victim, by his own secret",
                  lambda: own.send("disabled", body, own.lifecycle_token("disabled", alg="HS256")),
                  "issuer_mismatch")  # fmt: skip
    stage.traffic("webhook of the victim", victim)
    stage.history(victim, ["installed", "enabled"])


@CHAPTER.story("What Atlassian's scanner probes every app with gets a 401, with no caching and no referrer.")
def scanner_probes(stage: Stage) -> None:
    site = stage.installed()
    probes = Attacker(site).scanner_probes()
    names = ("no token", "HS256 by fake-jwt-secret", "alg none", "RS256 with kid fake-kid")
    reasons = ("token_missing", "algorithm_not_allowed", "algorithm_not_allowed", "kid_unknown")
    for name, reason, sent in zip(names, reasons, probes, strict=True):
        stage.judge(f"installed, {name}", sent, REFUSED, reason=reason)
    wanted = {"cache-control": "no-cache, no-store", "referrer-policy": "no-referrer"}
    kept = all(sent.response.headers.get(name) == value for sent in probes for name, value in wanted.items())
    stage.claim("headers of the refusals", kept, "all there" if kept else "some lack", "all there")


@CHAPTER.story("A token made for the app's own front end opens no lifecycle URL (CVE-2021-26073).")
def context_token(stage: Stage) -> None:
    site = stage.installed()
    stage.refused("installed by a context token", lambda: site.install(qsh="context-qsh"), "context_not_allowed")
    stage.refused("disabled by a context token", lambda: site.disable(qsh="context-qsh"), "context_not_allowed")
    stage.traffic("webhook", site)
    stage.history(site, ["installed", "enabled"])


@CHAPTER.story("A call with two tokens is refused: which of the two would count differs between frameworks.")
def two_tokens(stage: Stage) -> None:
    site = stage.installed()
    token = site.page_token("POST", site.paths["webhooks"])
    stage.refused("webhook with a token in the header and another in ?jwt=",
                  lambda: site.webhook(query=f"jwt={token}"), "token_ambiguous")  # fmt: skip
    stage.traffic("webhook with one", site)


@CHAPTER.story("Ordinary traffic is believed only by the tenant's own secret, whatever it claims to be.")
def forged_webhook(stage: Stage) -> None:
    site = stage.installed()
    stranger = Attacker(site)
    stage.refused("webhook by a stranger's secret", stranger.own_webhook, "signature_bad")
    stage.refused("disabled by a stranger's secret", stranger.own_lifecycle, "signature_bad")
    stage.refused("uninstalled without a token", lambda: stranger.unsigned("uninstalled"), "token_missing")
    nobody = stage.site()
    stage.refused("webhook of a tenant never heard of", lambda: nobody.webhook(secret=tokens.new_secret()),
                  "tenant_unknown", "the same answer, after as long a time")  # fmt: skip
    stage.traffic("webhook of the honest site", site)
