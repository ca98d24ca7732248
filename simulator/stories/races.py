"""Calls that race, and answers that come too late: order is the order of the log."""

from collections.abc import Callable

from tenure.simulator import tokens
from tenure.simulator.site import Sent, Site
from tenure.simulator.stories.stage import LATER, Chapter, Stage

CHAPTER = Chapter()
MANY = 8


def install_with(site: Site, secret: str) -> Callable[[], Sent]:
    """An honest install whose answer the site never takes note of: it goes on with the secret it has."""

    def send() -> Sent:
        body = site.lifecycle_body("installed", {"sharedSecret": secret})
        return site.send("installed", body, site.lifecycle_token("installed", alg="RS256"))

    return send


@CHAPTER.story("`disabled` and `uninstalled` in parallel are both acknowledged, whichever is first.")
def disabled_and_uninstalled_at_once(stage: Stage) -> None:
    site = stage.installed()
    stage.at_once("disabled and uninstalled", [site.disable, site.uninstall])
    stage.refused("webhook", site.webhook, "tenant_uninstalled", "it ends uninstalled either way")


@CHAPTER.story("First installs at the same moment are one tenant with one secret in force: the last of the log.")
def simultaneous_first_installs(stage: Stage) -> None:
    site = stage.site()
    secrets = [tokens.new_secret() for _ in range(MANY)]
    stage.at_once("installed, each with another secret", [install_with(site, secret) for secret in secrets])
    _one_in_force(stage, site, secrets)
    stage.history(site, ["installed"] * MANY)


@CHAPTER.story("Rotations at the same moment leave one secret in force, and the stream whole.")
def simultaneous_rotations(stage: Stage) -> None:
    site = stage.installed()
    secrets = [tokens.new_secret() for _ in range(MANY)]
    stage.at_once("installed, each with another secret", [install_with(site, secret) for secret in secrets])
    _one_in_force(stage, site, secrets)
    stage.history(site, ["installed", "enabled"] + ["installed"] * MANY)


@CHAPTER.story("A repeat of an install that is still under way is answered like it, and is one event with it.")
def repeats_at_once(stage: Stage) -> None:
    site = stage.site()
    body = site.lifecycle_body("installed", {"sharedSecret": site.secret})
    token = site.lifecycle_token("installed", alg="RS256")
    stage.at_once("installed, one token and one body", [lambda: site.send("installed", body, token)] * MANY)
    stage.history(site, ["installed"])


@CHAPTER.story("An install that Jira rolled back after our 204 leaves it with the old secret, until `installed` comes.")
def rolled_back_install(stage: Stage) -> None:
    site = stage.installed()
    stage.call("installed with a new secret, answered too late", install_with(site, tokens.new_secret()),
               means="believed here; Jira gave up waiting and goes on with the old secret")  # fmt: skip
    stage.call("webhook by the old secret", site.webhook, LATER,
               "for a minute: come again; then 401. Cure by hand: tenure reinstate",
               reason="secret_superseded")  # fmt: skip
    stage.call("installed once more, by the old secret", site.install, means="Jira's own retry heals it")
    stage.traffic("webhook by the old secret", site, means="in force again")
    stage.history(site, ["installed", "enabled", "installed", "installed"])


def _one_in_force(stage: Stage, site: Site, secrets: list[str]) -> None:
    answers = [site.webhook(secret=secret).status for secret in secrets]
    passed = sum(200 <= status < 300 for status in answers)
    means = "each of the others is refused, or told to come again"
    stage.claim("webhooks by each of the secrets", passed == 1 and set(answers) - set(range(200, 300)) <= {401, 425},
                f"{passed} let through", "1 let through", means)  # fmt: skip
