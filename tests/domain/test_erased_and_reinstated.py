"""What the operators' events leave of a tenant: erased, or with an earlier secret in force again."""

from dataclasses import replace

from support.domain_support import APP, CLIENT, SITE, install, numbered, stamp, tenant_after
from tenure.domain.callbacks import Payload, Site
from tenure.domain.events import Cause, Changed, Erased, EventType, Reinstated
from tenure.domain.lifecycle import describe_change
from tenure.domain.tenant import NO_SECRET, Secret, Tenant, evolve, fold_stream

ERASED = replace(numbered(9, "erased"), data=Erased("root", "host", "key-1"))
BACK = replace(
    numbered(8, "reinstated"), type=EventType.REINSTATED, data=Reinstated("root", "host", 1, "sealed-new", "print-one")
)


def test_nothing_is_left_of_an_erased_tenant() -> None:
    """Names, version and the times of its end; no secret, no site, and it stands as unknown."""
    gone = evolve(tenant_after(install("one"), install("two"), "enabled", "uninstalled"), ERASED)
    assert gone == Tenant(
        APP, CLIENT, 9, 9, False, False, False, NO_SECRET, None, "", "", "", "", "", stamp(4), stamp(9)
    )  # fmt: skip
    assert Secret("", "", 0, 0, "") == NO_SECRET
    assert evolve(None, ERASED) is None


def test_an_install_after_an_erasure_is_a_first_one() -> None:
    """Nothing of before comes back: not the installation id, the secret, or the switch."""
    erased = evolve(tenant_after(install("one", installation_id="i"), "enabled"), ERASED)
    event = numbered(10, install("one"))
    assert evolve(erased, event) == evolve(None, event)
    again = evolve(erased, event)
    assert again is not None
    assert (again.installation_id, again.previous, again.enabled, again.erased_at) == ("", None, False, "")
    assert describe_change(erased, Payload(CLIENT, "", b"s", Site(SITE)), "print-two") == Changed(Cause.FIRST)


def test_a_return_forgets_the_switch() -> None:
    """Installed again after an uninstall it is neither enabled nor disabled, and its time is that of the return."""
    odd = replace(tenant_after(install(), "uninstalled"), enabled=True, disabled=True)
    back = evolve(odd, numbered(3, install()))
    assert back is not None
    assert (back.enabled, back.disabled, back.installed_at) == (False, False, stamp(3))


def test_an_earlier_secret_is_in_force_again() -> None:
    """Reinstated: the secret of the event, the one it replaces kept as the one before; nothing else changes."""
    before = tenant_after(install("one"), install("two"), "enabled")
    assert evolve(before, BACK) == replace(
        before, version=8, position=8, secret=Secret("sealed-new", "print-one", 8, 8, stamp(8)), previous=before.secret
    )  # fmt: skip


def test_no_secret_comes_back_to_an_erased_tenant() -> None:
    """An erased tenant only counts the event."""
    erased = evolve(tenant_after(install()), replace(ERASED, position=2, version=2))
    assert erased is not None
    assert evolve(erased, BACK) == replace(erased, version=8, position=8)


def test_a_stream_is_folded_to_its_end() -> None:
    """One event after the other, from nobody."""
    events = [numbered(1, install()), numbered(2, "enabled"), numbered(3, "uninstalled")]
    assert fold_stream(events) == tenant_after(install(), "enabled", "uninstalled")
    assert fold_stream([]) is None


def test_an_install_without_a_site_changes_no_names() -> None:
    """Where the body tells nothing of the site, only the secret can have changed."""
    tenant = tenant_after(install("one"))
    assert describe_change(tenant, Payload(CLIENT, ""), "print-one") == Changed(Cause.UPGRADE, ())
    assert describe_change(tenant, Payload(CLIENT, ""), "print-two") == Changed(Cause.ROTATION, ("secret",))
