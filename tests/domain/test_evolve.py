"""What each event means for a tenant: given a history, when an event comes, then the context is so."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.domain_support import CLIENT, SITE, history, install, numbered, stamp, tenant_after
from tenure.domain.callbacks import Payload, Site
from tenure.domain.events import Cause, Changed, Installed
from tenure.domain.lifecycle import describe_change
from tenure.domain.tenant import evolve

STEP = st.one_of(
    st.sampled_from(["uninstalled", "enabled", "disabled", "operator.odd"]),
    st.builds(
        install,
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([SITE, "https://new.atlassian.net"]),
        installation_id=st.sampled_from(["", "i-1"]),
    ),
)


def test_a_first_install_is_live_and_not_enabled() -> None:
    """Given nothing, when installed, then live, not yet enabled and not disabled, with its secret and times."""
    tenant = tenant_after(install("one", product_type="jira"))
    assert (tenant.installed, tenant.enabled, tenant.disabled) == (True, False, False)
    assert (tenant.secret.sealed, tenant.secret.version, tenant.secret.position) == ("sealed-one", 1, 1)
    assert (tenant.secret.since, tenant.installed_at, tenant.uninstalled_at) == (stamp(1), stamp(1), "")
    assert (tenant.base_url, tenant.display_url, tenant.product_type, tenant.previous) == (SITE, SITE, "jira", None)


@pytest.mark.parametrize("step", ["enabled", "disabled", "uninstalled", "operator.odd"])
def test_nothing_comes_of_other_events_of_an_unknown_tenant(step: str) -> None:
    """Given nothing, when anything but an install comes, then there is still no tenant."""
    assert history(step) is None


def test_enable_and_disable_switch() -> None:
    """Given a live tenant, when enabled, disabled and enabled again, then the last one counts."""
    assert (tenant_after(install(), "enabled").enabled, tenant_after(install(), "enabled").disabled) == (True, False)
    off = tenant_after(install(), "enabled", "disabled")
    assert (off.enabled, off.disabled, off.installed) == (False, True, True)
    on = tenant_after(install(), "enabled", "disabled", "enabled", "enabled")
    assert (on.enabled, on.disabled) == (True, False)


@pytest.mark.parametrize("last", ["enabled", "disabled"])
def test_a_rename_keeps_the_switch(last: str) -> None:
    """Given a tenant switched on or off, when it is renamed, then it stays so under its new URL."""
    before = tenant_after(install(), last)
    after = tenant_after(install(), last, install(base_url="https://new.atlassian.net"))
    assert (after.enabled, after.disabled) == (before.enabled, before.disabled)
    assert (after.base_url, after.installed_at) == ("https://new.atlassian.net", stamp(1))


def test_uninstall_marks_and_keeps() -> None:
    """Given an enabled tenant, when uninstalled, then it is marked, switched off, and secret and site stay."""
    before, after = tenant_after(install(), "enabled"), tenant_after(install(), "enabled", "uninstalled")
    assert (after.installed, after.enabled, after.disabled, after.uninstalled_at) == (False, False, False, stamp(3))
    assert (after.secret, after.base_url, after.installed_at) == (before.secret, before.base_url, before.installed_at)


@pytest.mark.parametrize("late", ["enabled", "disabled"])
def test_a_late_switch_never_revives(late: str) -> None:
    """Given an uninstalled tenant, when a switch comes late, then nothing but version and position moves."""
    before, after = tenant_after(install(), "uninstalled"), tenant_after(install(), "uninstalled", late)
    assert after == replace(before, version=3, position=3)


def test_a_return_is_live_and_not_enabled() -> None:
    """Given an uninstalled tenant, when installed again, then live, not enabled, with a new installation time."""
    tenant = tenant_after(install("one"), "enabled", "uninstalled", install("two"))
    assert (tenant.installed, tenant.enabled, tenant.disabled) == (True, False, False)
    assert (tenant.installed_at, tenant.uninstalled_at) == (stamp(4), "")
    assert tenant.previous is not None
    assert (tenant.secret.fingerprint, tenant.previous.fingerprint) == ("print-two", "print-one")


def test_an_installation_id_is_not_lost() -> None:
    """Given an installation id, when an install without one comes, then it stays; another one replaces it."""
    known = install(installation_id="i-1")
    assert tenant_after(known, install()).installation_id == "i-1"
    assert tenant_after(known, "uninstalled", install()).installation_id == "i-1"
    assert tenant_after(known, install(installation_id="i-2")).installation_id == "i-2"


def test_the_same_secret_is_not_a_rotation() -> None:
    """Given a secret, when it is sent again (sealed anew), then it keeps its origin and nothing is superseded."""
    first = tenant_after(install("one"))
    again = tenant_after(install("one"), replace(install("one"), secret="sealed-anew"))
    assert (again.secret, again.previous) == (first.secret, None)


def test_a_replaced_secret_is_kept_one_generation() -> None:
    """Given rotations, when the third secret comes, then the second is the previous one and the first is gone."""
    tenant = tenant_after(install("one"), install("two"), install("three"))
    assert tenant.previous == tenant_after(install("one"), install("two")).secret
    assert tenant.secret.fingerprint == "print-three"
    assert tenant_after(install("one"), install("two"), install("two")).previous == tenant_after(install("one")).secret


def test_an_unknown_type_changes_only_the_version() -> None:
    """Given a tenant, when an event of an unknown type comes, then only version and position move."""
    assert tenant_after(install(), "operator.odd") == replace(tenant_after(install()), version=2, position=2)


@given(steps=st.lists(STEP, max_size=12))
def test_the_rules_hold_after_any_history(steps: list[Installed | str]) -> None:
    """Given any history, then enabled and disabled exclude each other and both need a live tenant."""
    tenant = history(*steps)
    assert (tenant is None) is not any(isinstance(step, Installed) for step in steps)
    if tenant is not None:
        assert tenant.version == tenant.position == len(steps)
        assert not (tenant.enabled and tenant.disabled)
        assert tenant.installed or not (tenant.enabled or tenant.disabled)
        assert (tenant.uninstalled_at == "") is tenant.installed
        assert tenant.previous is None or tenant.previous.fingerprint != tenant.secret.fingerprint
        assert tenant.client_key == CLIENT


@given(steps=st.lists(STEP, max_size=8), last=STEP)
def test_a_step_depends_on_the_state_alone(steps: list[Installed | str], last: Installed | str) -> None:
    """Folding a history at once or one event behind its state gives the same tenant."""
    assert evolve(history(*steps), numbered(len(steps) + 1, last)) == history(*steps, last)


def payload(**more: str) -> Payload:
    """An `installed` of the usual site with some fields replaced."""
    told: dict[str, Any] = {"base_url": SITE, **more}
    return Payload(CLIENT, "", b"x" * 16, Site(**told))


@pytest.mark.parametrize(
    ("steps", "told", "secret", "expected"),
    [
        ([], {}, "one", Changed(Cause.FIRST)),
        ([install()], {}, "one", Changed(Cause.UPGRADE)),
        ([install()], {"product_type": "jira"}, "one", Changed(Cause.UPGRADE, ("product_type",))),
        ([install()], {}, "two", Changed(Cause.ROTATION, ("secret",))),
        (
            [install()],
            {"base_url": "https://new.atlassian.net"},
            "one",
            Changed(Cause.RENAME, ("base_url", "display_url")),
        ),
        (
            [install()],
            {"base_url": "https://new.atlassian.net", "display_url": SITE},
            "two",
            Changed(Cause.RENAME, ("base_url", "secret")),
        ),
        ([install(), "uninstalled"], {}, "one", Changed(Cause.REINSTALL)),
        ([install(), "uninstalled"], {}, "two", Changed(Cause.REINSTALL, ("secret",))),
        ([install(installation_id="i-1")], {}, "one", Changed(Cause.UPGRADE)),
        ([install()], {"installation_id": "i-1"}, "one", Changed(Cause.UPGRADE, ("installation_id",))),
    ],
)
def test_a_change_names_its_cause(
    steps: list[Installed | str], told: dict[str, str], secret: str, expected: Changed
) -> None:
    """What differs is named, sorted, and the cause is the strongest that fits; what is not told is no change."""
    assert describe_change(history(*steps), payload(**told), f"print-{secret}") == expected
