"""Why a call was decided as it was: steps, cause, what to do, and where the verdict flips."""

from dataclasses import replace
from typing import Any

import pytest

from support.domain_support import CLIENT, SITE, install, numbered, stamp, tenant_after
from tenure.domain.check import Policy
from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Event
from tenure.domain.qsh import request_hash
from tenure.domain.refusals import REASONS, Reason
from tenure.projections.explain import Explanation, Known, explain, span

NOW = 1767225600.0 + 3600
GOOD = request_hash("POST", "/webhooks", "")


def decision(reason: Reason | None, read_position: int = 0, kind: str = "webhook", **facts: Any) -> Decision:
    """A recorded call an hour into the day, signed by the tenant an instant before."""
    known: dict[str, Any] = {
        "purpose": "traffic", "now": NOW, "alg": "HS256", "iat": int(NOW) - 1, "exp": int(NOW) + 179, "qsh": GOOD,
        "expected_qsh": (GOOD,), "match": "current",
    } | facts  # fmt: skip
    return Decision(
        decision="d", at=stamp(3600), kind=kind, verdict="refused" if reason else "accepted",
        reason=reason.value if reason else "", detail="", client_key="", claimed_client_key=CLIENT, method="POST",
        path="/webhooks", status=401 if reason else 200, took_ms=1.0, read_position=read_position, facts=Facts(**known),
    )  # fmt: skip


def told(made: Decision, *steps: Any, **known: Any) -> Explanation:
    history: tuple[Event, ...] = tuple(numbered(position, step) for position, step in enumerate(steps, 1))
    return explain(Known(made, history, **known))


def test_an_accepted_call_names_every_step_and_when_it_ends() -> None:
    """Every step of an accepted call passed, and the position of the uninstall is where the verdict flips."""
    found = told(decision(None, 2, secret_position=1), install(), "enabled", "uninstalled")
    assert {step.outcome for step in found.steps} == {"passed"}
    assert [step.name for step in found.steps][-1] == "state"
    assert [(flip.position, flip.verdict, flip.reason) for flip in found.flips] == [
        (1, "accepted", ""),
        (3, "refused", "tenant_uninstalled"),
    ]
    assert found.turns.startswith("The verdict flips at position 3 (uninstalled")


def test_the_replaced_secret_is_named_by_its_positions() -> None:
    """A call with the replaced secret is told which event brought it, which replaced it, and how to bring it back."""
    made = decision(Reason.SECRET_SUPERSEDED, 3, match="previous", secret_position=1)
    found = told(made, install("one"), "enabled", install("two"))
    assert "secret of position 1" in found.why
    assert "position 3" in found.why
    assert f"tenure reinstate {CLIENT} --secret 1" in found.next
    assert [flip.position for flip in found.flips] == [1, 3]
    outcomes = {step.name: step.outcome for step in found.steps}
    assert outcomes["key"] == "passed"
    assert outcomes["signature"] == "failed"
    assert outcomes["qsh"] == "not reached"


def test_a_call_before_its_install() -> None:
    """A call that came before the install of its tenant is told so, and where it would pass."""
    made = replace(decision(Reason.TENANT_UNKNOWN, 0, match="none"), at=stamp(0))
    found = told(made, install())
    assert "not installed yet: its first event is position 1" in found.why


def test_a_former_tenant_of_an_imported_site() -> None:
    """A token of a tenant that another replaced on the same site is told of the site import."""
    other = replace(tenant_after(install()), client_key="client-2", installed_at=stamp(50), position=9)
    for reason in (Reason.SIGNATURE_BAD, Reason.TENANT_UNINSTALLED):
        found = told(decision(reason, 1, match="none"), install(), siblings=(other,))
        assert "client-2" in found.why
        assert SITE in found.why
    mixed = decision(Reason.ISSUER_MISMATCH, 1, kind="installed", body_client_key="client-2")
    assert "site import" in told(mixed, install(), siblings=(other,)).why


def test_the_audience_expected_and_received() -> None:
    """An install for another audience names the one received and those expected."""
    made = decision(Reason.AUDIENCE_MISMATCH, 0, "installed", alg="RS256", aud=("https://old.example",), kid="k")
    found = told(made, policy=Policy(frozenset(("https://new.example",))))
    assert "https://old.example; expected is https://new.example" in found.why


@pytest.mark.parametrize(("reason", "iat", "words"), [
    (Reason.EXPIRED, -600, "our clock is 10 min ahead"),
    (Reason.NOT_YET_VALID, 300, "begins 5 min after our clock"),
])  # fmt: skip
def test_the_clock_and_by_how_much(reason: Reason, iat: int, words: str) -> None:
    """A refusal for its time says by how much the clocks differ."""
    made = decision(reason, 1, iat=int(NOW) + iat, exp=int(NOW) + iat + 180)
    assert words in told(made, install()).why


def test_the_mistake_in_the_hash_is_named() -> None:
    """A wrong hash is told by the mistake found at the time, or found now if there was no query."""
    kept = decision(Reason.QSH_MISMATCH, 1, mistakes=("query_dropped",), query_names=("a",))
    assert "signed no query" in told(kept, install()).why
    found = decision(Reason.QSH_MISMATCH, 1, qsh=request_hash("POST", "/base/webhooks", ""))
    based = replace(found, path="/base/webhooks")
    assert "base URL's path" in told(based, install(), base_path="/base").why
    nothing = decision(Reason.QSH_MISMATCH, 1, qsh="0" * 64)
    assert "no known mistake" in told(nothing, install()).why


@pytest.mark.parametrize("kind", ["webhook", "forward-auth", "installed", "enabled", "sign", "audit"])
@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_reason_is_explained(reason: Reason | None, kind: str) -> None:
    """Each reason, at each kind of call, has a cause, a next step, and at most one failed step, none passed behind."""
    for made in (decision(reason, 0, kind), replace(decision(reason, 1, kind), facts=Facts())):
        found = told(made, install())
        assert found.why.endswith(".")
        assert found.next
        outcomes = [step.outcome for step in found.steps]
        assert outcomes.count("failed") <= 1
        if reason is not None and kind in ("installed", "webhook"):
            assert "passed" not in outcomes[outcomes.index("failed") :] if "failed" in outcomes else True
            assert reason in REASONS


def test_spans_as_people_say_them() -> None:
    """Lengths of time are told in the unit that fits."""
    spans = [span(seconds) for seconds in (0.4, 90, 600, 9000, 86400 * 4, -3600 * 2)]
    assert spans == ["0 s", "90 s", "10 min", "2.5 h", "4 d", "-2 h"]
