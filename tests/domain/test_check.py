"""The one meaning of a check: what is accepted, and which reason comes first where several hold."""

from dataclasses import replace
from datetime import datetime
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.domain_support import install, stamp, tenant_after
from tenure.domain.check import ACCEPTED, ROTATION_GRACE, Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.refusals import REASONS, Reason
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token

NOW = 1_800_000_000
QSH, APP_URL = "q" * 64, "https://app.example/base"
POLICY = Policy(frozenset({APP_URL, "https://other.example"}))
HS = Token("HS256", None, "client-1", NOW, NOW + 180, None, None, QSH, None, b"x", b"y")
RS = replace(HS, alg="RS256", aud=(APP_URL,))
LIVE = tenant_after(install())
GONE = tenant_after(install(), "uninstalled")
OFF = tenant_after(install(), "disabled")


def evidence(token: Token = HS, purpose: Purpose = Purpose.TRAFFIC, **more: Any) -> Evidence:
    """Good evidence with some of it replaced."""
    return replace(Evidence(purpose, token, Match.CURRENT, (QSH,)), **more)


def reason(seen: Evidence, context: Tenant | None = LIVE, policy: Policy = POLICY, now: float = NOW) -> Reason | None:
    """The reason of the verdict."""
    return check(seen, context, policy, now).reason


def lifecycle(token: Token = RS, **more: Any) -> Evidence:
    """Good evidence of a lifecycle call with some of it replaced."""
    return evidence(token, Purpose.LIFECYCLE, **{"body_client_key": "client-1", **more})


def test_good_calls_are_accepted() -> None:
    """A good token of a live tenant, a good context token and a good install token are accepted."""
    assert check(evidence(), LIVE, POLICY, NOW) == ACCEPTED
    assert check(evidence(replace(HS, qsh="context-qsh"), Purpose.CONTEXT), LIVE, POLICY, NOW) == ACCEPTED
    assert check(lifecycle(), None, POLICY, NOW) == ACCEPTED
    assert check(lifecycle(HS), LIVE, POLICY, NOW) == ACCEPTED


# The faults an install token can have at once, in the order in which they are reported.
RS_FAULTS: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (Reason.EXPIRED, {"iat": NOW - 400, "exp": NOW - 30}, {}),
    (Reason.SIGNATURE_BAD, {}, {"match": Match.NONE}),
    (Reason.AUDIENCE_MISMATCH, {"aud": ("https://evil.example",)}, {}),
    (Reason.QSH_MISMATCH, {"qsh": "r" * 64}, {}),
    (Reason.ISSUER_MISMATCH, {}, {"body_client_key": "client-2"}),
]
# And those of ordinary traffic; the tenant's state is last.
HS_FAULTS: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (Reason.NOT_YET_VALID, {"nbf": NOW + 31}, {}),
    (Reason.SECRET_SUPERSEDED, {}, {"match": Match.PREVIOUS}),
    (Reason.QSH_MISSING, {"qsh": None}, {}),
]


@pytest.mark.parametrize("count", range(1, len(RS_FAULTS) + 1))
def test_the_first_fault_of_an_install_token_is_reported(count: int) -> None:
    """Of any set of faults the first in the order of checks is the reason, and that order is the catalogue's."""
    for faults in combinations(RS_FAULTS, count):
        token = replace(RS, **{name: value for fault in faults for name, value in fault[1].items()})
        seen = lifecycle(token, **{name: value for fault in faults for name, value in fault[2].items()})
        assert reason(seen, None) == faults[0][0]
    steps = [REASONS[fault[0]].step for fault in RS_FAULTS]
    assert steps == sorted(steps)


@pytest.mark.parametrize("count", range(1, len(HS_FAULTS) + 1))
def test_the_first_fault_of_a_call_is_reported(count: int) -> None:
    """Of any set of faults the first is the reason, and an uninstalled tenant's state comes after all of them."""
    for faults in combinations(HS_FAULTS, count):
        token = replace(HS, **{name: value for fault in faults for name, value in fault[1].items()})
        seen = evidence(token, **{name: value for fault in faults for name, value in fault[2].items()})
        assert reason(seen, GONE) == faults[0][0]


def test_a_stranger_is_told_before_a_bad_signature_and_after_the_times() -> None:
    """An unknown tenant is found at the key, between times and signature."""
    assert reason(evidence(match=Match.NONE), None) == Reason.TENANT_UNKNOWN
    assert reason(evidence(replace(HS, exp=NOW - 30), match=Match.NONE), None) == Reason.EXPIRED


def test_state_counts_for_ordinary_traffic_only() -> None:
    """A kept context verifies lifecycle calls, and no others."""
    assert reason(evidence(), GONE) == Reason.TENANT_UNINSTALLED
    assert reason(evidence(replace(HS, qsh="context-qsh"), Purpose.CONTEXT), GONE) == Reason.TENANT_UNINSTALLED
    assert reason(lifecycle(HS), GONE) is None


def test_disabled_tenants_are_refused_only_if_set_so() -> None:
    """A believed `disabled` refuses only under the setting; not yet enabled never does."""
    strict = replace(POLICY, refuse_disabled=True)
    assert reason(evidence(), OFF) is None
    assert reason(evidence(), OFF, strict) == Reason.TENANT_DISABLED
    assert reason(evidence(), LIVE, strict) is None
    assert reason(evidence(), tenant_after(install(), "disabled", "enabled"), strict) is None
    assert reason(lifecycle(HS), OFF, strict) is None


@pytest.mark.parametrize(("after", "retry"), [(0, True), (59.999, True), (ROTATION_GRACE, False), (3600, False)])
def test_a_secret_just_replaced_is_recognised_for_a_minute(after: float, retry: bool) -> None:
    """For 60 s after a rotation the old secret is asked to try again; it is refused at any time."""
    rotated = tenant_after(install("one"), install("two"))
    then = datetime.fromisoformat(stamp(2)).timestamp() + after
    token = replace(HS, iat=int(then), exp=int(then) + 180)
    found = check(evidence(token, match=Match.PREVIOUS), rotated, POLICY, then)
    assert found == Verdict(Reason.SECRET_SUPERSEDED, "", retry)


def test_the_grace_is_for_traffic_of_installed_tenants() -> None:
    """No second try for an uninstalled tenant, a lifecycle call, or another fault than the old secret."""
    rotated = tenant_after(install("one"), install("two"))
    gone = tenant_after(install("one"), install("two"), "uninstalled")
    then = datetime.fromisoformat(stamp(3)).timestamp()
    token = replace(HS, iat=int(then), exp=int(then) + 180)
    old = evidence(token, match=Match.PREVIOUS)
    assert check(old, rotated, POLICY, then).retry
    assert not check(old, gone, POLICY, then).retry
    assert not check(lifecycle(token, match=Match.PREVIOUS), rotated, POLICY, then).retry
    assert not check(evidence(token, match=Match.NONE), rotated, POLICY, then).retry
    assert not check(evidence(replace(token, exp=int(then) - 60), match=Match.PREVIOUS), rotated, POLICY, then).retry


def test_context_tokens_and_url_bound_tokens_keep_apart() -> None:
    """A context token is for routes that ask for it and never for lifecycle URLs; there a URL-bound one is refused."""
    context = replace(HS, qsh="context-qsh")
    assert reason(evidence(context)) == Reason.CONTEXT_NOT_ALLOWED
    assert reason(lifecycle(replace(RS, qsh="context-qsh"))) == Reason.CONTEXT_NOT_ALLOWED
    assert reason(evidence(context, expected_qsh=("context-qsh",))) == Reason.CONTEXT_NOT_ALLOWED
    assert reason(evidence(HS, Purpose.CONTEXT)) == Reason.CONTEXT_REQUIRED
    for purpose in Purpose:
        assert reason(evidence(replace(HS, qsh=None), purpose)) == Reason.QSH_MISSING


def test_any_of_the_honest_hashes_is_accepted() -> None:
    """A token is bound to any one of the hashes an honest sender may have made, in exactly that spelling."""
    assert reason(evidence(expected_qsh=("a", QSH))) is None
    assert reason(evidence(expected_qsh=())) == Reason.QSH_MISMATCH
    assert reason(evidence(replace(HS, qsh=QSH.upper()))) == Reason.QSH_MISMATCH


@pytest.mark.parametrize(
    ("audience", "accepted"),
    [
        ((APP_URL,), True),
        ((APP_URL + "/",), True),
        (("https://other.example",), True),
        ((APP_URL, APP_URL), False),
        ((APP_URL, "https://evil.example"), False),
        ((), False),
        (None, False),
        (("",), False),
        (("/",), False),
        ((APP_URL[:-1],), False),
        ((APP_URL + "x",), False),
        ((APP_URL + "/x",), False),
        (("x" + APP_URL,), False),
        ((" " + APP_URL,), False),
        ((APP_URL.upper(),), False),
        (("https://app.example",), False),
    ],
)
def test_an_install_token_names_exactly_us(audience: tuple[str, ...] | None, accepted: bool) -> None:
    """One name, ours or a configured one, a trailing slash ignored, never a part of it."""
    assert reason(lifecycle(replace(RS, aud=audience)), None) == (None if accepted else Reason.AUDIENCE_MISMATCH)


def test_the_issuer_is_the_tenant_of_the_body() -> None:
    """A body of another tenant is refused; where no body could be read there is nothing to compare."""
    assert reason(lifecycle(body_client_key="client-2")) == Reason.ISSUER_MISMATCH
    assert reason(lifecycle(body_client_key="")) == Reason.ISSUER_MISMATCH
    assert reason(lifecycle(body_client_key=None)) is None


@given(
    purpose=st.sampled_from(Purpose),
    match=st.sampled_from(Match),
    alg=st.sampled_from(["HS256", "RS256"]),
    qsh=st.sampled_from([None, QSH, "context-qsh", "other"]),
    audience=st.none() | st.lists(st.sampled_from([APP_URL, "x"]), max_size=2).map(tuple),
    body=st.sampled_from([None, "client-1", "client-2"]),
    context=st.sampled_from([None, LIVE, GONE, OFF]),
    refuse_disabled=st.booleans(),
    now=st.floats(NOW - 100, NOW + 300),
)
def test_a_check_never_raises_and_never_accepts_an_unproved_call(
    purpose: Purpose,
    match: Match,
    alg: str,
    qsh: str | None,
    audience: tuple[str, ...] | None,
    body: str | None,
    context: Tenant | None,
    refuse_disabled: bool,
    now: float,
) -> None:
    """Any evidence has a verdict, and what is accepted was proved by a secret or key in force and bound to its use."""
    seen = Evidence(purpose, replace(HS, alg=alg, qsh=qsh, aud=audience), match, (QSH,), body)
    found = check(seen, context, replace(POLICY, refuse_disabled=refuse_disabled), now)
    if found.reason is None:
        assert match is Match.CURRENT
        assert qsh == ("context-qsh" if purpose is Purpose.CONTEXT else QSH)
        assert body in (None, "client-1")
        assert alg == "RS256" or context is not None
    assert not found.retry or found.reason is Reason.SECRET_SUPERSEDED


def test_what_a_stranger_wrote_is_told_cut() -> None:
    """Of audiences at most 200 characters, of a wrong hash at most 64."""
    audiences = check(lifecycle(replace(RS, aud=("a" * 150, "b" * 150))), None, POLICY, NOW)
    assert audiences.detail == "a" * 150 + ", " + "b" * 48
    assert check(evidence(replace(HS, qsh="x" * 65)), LIVE, POLICY, NOW).detail == "received " + "x" * 64


def test_a_superseded_secret_is_told_to_retry_or_not() -> None:
    """Yes or no, never nothing: it is stored."""
    old = evidence(match=Match.PREVIOUS)
    assert check(old, GONE, POLICY, NOW).retry is False
    assert check(old, LIVE, POLICY, datetime.fromisoformat(LIVE.secret.since).timestamp() + NOW).retry is False
