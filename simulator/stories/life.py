"""An honest site's life: installs, upgrades, rotations, renames, switches, leaving and returning."""

import uuid

from tenure.simulator.site import Site
from tenure.simulator.stories.stage import LATER, PASSED, Chapter, Stage

CHAPTER = Chapter()


def other_host(site: Site) -> str:
    """Another address for the site, under the same suffix."""
    first, _, suffix = site.base_url.removeprefix("https://").partition(".")
    return f"https://{first}-{uuid.uuid4().hex[:4]}.{suffix}"


@CHAPTER.story("A first install is an event, and from its 204 on the tenant's traffic is let through.")
def first_install(stage: Stage) -> None:
    site = stage.site()
    stage.refused("webhook before any install", site.webhook, "tenant_unknown", "no secret is known")
    stage.refused("enabled before any install", site.enable, "tenant_unknown", "there is nothing to verify it with")
    stage.call("installed, RS256 by the key host's key", site.install, means="the secret is in force")
    stage.call("enabled, HS256 by the new secret", site.enable)
    stage.traffic("webhook", site, means="checked and passed on")
    stage.history(site, ["installed", "enabled"])


@CHAPTER.story("A second `installed` is normal: an upgrade keeps the secret and keeps the tenant enabled.")
def second_install(stage: Stage) -> None:
    site = stage.installed()
    stage.call("installed again, nothing changed", site.install, means="an upgrade of the descriptor")
    stage.traffic("webhook by the same secret", site, means="no `enabled` is needed after it")
    stage.history(site, ["installed", "enabled", "installed"])


@CHAPTER.story("From a rotation's 204 on only the new secret counts; the one just replaced is told to come again.")
def rotation(stage: Stage) -> None:
    site = stage.installed()
    oldest = site.secret
    stage.call("installed, with a new secret", site.rotate, means="in force from this answer on")
    stage.traffic("webhook by the new secret", site)
    stage.call("webhook by the old secret", lambda: site.webhook(secret=oldest), LATER,
               "Jira sends it again; a 401 would lose it", reason="secret_superseded")  # fmt: skip
    stage.call("installed, with a third secret", site.rotate)
    stage.refused("webhook by the oldest secret", lambda: site.webhook(secret=oldest), "signature_bad", "forgotten")
    stage.traffic("webhook by the third", site)


@CHAPTER.story("A renamed site is the same tenant: same clientKey, new baseUrl, enabled as before.")
def rename(stage: Stage) -> None:
    site = stage.installed()
    stage.call("installed, with another baseUrl", lambda: site.rename(other_host(site)), means="no `enabled` follows")
    stage.traffic("webhook", site)
    stage.history(site, ["installed", "enabled", "installed"])


@CHAPTER.story("An uninstall shuts traffic out at once and keeps the tenant; its return is proved by a signed install.")
def uninstall_and_return(stage: Stage) -> None:
    site = stage.installed()
    stage.call("uninstalled", site.uninstall, means="marked, not deleted")
    stage.refused("webhook after that", site.webhook, "tenant_uninstalled", "the kept secret lets no traffic in")
    stage.call("uninstalled once more", site.uninstall, means="acknowledged, no event")
    stage.call("installed: the return, with a new secret", site.rotate, means="the same tenant, its history whole")
    stage.call("enabled", site.enable)
    stage.traffic("webhook", site)
    stage.history(site, ["installed", "enabled", "uninstalled", "installed", "enabled"])


@CHAPTER.story("A `disabled` before the `uninstalled` is recorded; the tenant ends uninstalled.")
def disabled_then_uninstalled(stage: Stage) -> None:
    site = stage.installed()
    stage.call("disabled", site.disable)
    stage.call("uninstalled", site.uninstall)
    stage.refused("webhook", site.webhook, "tenant_uninstalled")
    stage.history(site, ["installed", "enabled", "disabled", "uninstalled"])


@CHAPTER.story("A `disabled` or `enabled` that comes after the `uninstalled` is acknowledged and revives nothing.")
def late_disabled(stage: Stage) -> None:
    site = stage.installed()
    stage.call("uninstalled", site.uninstall)
    stage.call("disabled, arriving late", site.disable, means="acknowledged, no event")
    stage.call("enabled, arriving later still", site.enable, means="acknowledged, no event")
    stage.refused("webhook", site.webhook, "tenant_uninstalled", "not revived")
    stage.history(site, ["installed", "enabled", "uninstalled"])


@CHAPTER.story("Enable, disable, enable have equal bodies and are three events: they carry different tokens.")
def enable_disable_enable(stage: Stage) -> None:
    site = stage.installed()
    stage.call("disabled", site.disable)
    stage.call("enabled, the same body as before", site.enable, means="not taken for a repeat")
    stage.traffic("webhook", site)
    stage.history(site, ["installed", "enabled", "disabled", "enabled"])


@CHAPTER.story("The same token with the same body is a repeat: 204 as the first time, and no second event.")
def repeated_install(stage: Stage) -> None:
    site = stage.site()
    sent = stage.call("installed", site.install)
    stage.call("the very same request again", lambda: site.resend(sent), means="the first answer, no second event")
    stage.history(site, ["installed"])


@CHAPTER.story("A webhook that Jira retries reaches the app once.")
def webhook_duplicate(stage: Stage) -> None:
    site = stage.installed()
    mark = uuid.uuid4().hex
    stage.call("webhook", lambda: site.webhook(identifier=mark), PASSED, "passed on")
    stage.call("the same delivery again", lambda: site.webhook(identifier=mark), means="a duplicate: not passed on")


@CHAPTER.story("A site import brings a new clientKey under the same baseUrl: a new tenant, and no word of the old one.")
def site_import(stage: Stage) -> None:
    old = stage.installed()
    new = stage.site(base_url=old.base_url)
    stage.refused("webhook of the new clientKey", new.webhook, "tenant_unknown", "an address proves nothing")
    stage.call("installed, new clientKey, same baseUrl", new.install, means="a first install of its own")
    stage.traffic("webhook of the new tenant", new)
    stage.traffic("webhook of the old tenant", old, means="nobody said it is gone")
    stage.history(new, ["installed"])
