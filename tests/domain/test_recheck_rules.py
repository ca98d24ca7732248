"""Deciding a recorded decision again: what is computed anew, what is read back, and what cannot be told."""

from dataclasses import replace
from typing import Any

import pytest

from support.domain_support import CLIENT, install, stamp, tenant_after
from tenure.domain.callbacks import Callback
from tenure.domain.check import Policy, Verdict
from tenure.domain.decisions import Decision, Facts
from tenure.domain.qsh import accepted_hashes, request_hash
from tenure.domain.recheck import (
    CHECKED,
    NEVER_TRIED,
    NO_QUERY,
    NOT_LOOKED_AT,
    NOT_READ,
    REPEAT,
    Again,
    Under,
    again,
    recheck,
    recorded_verdict,
    token_of,
)
from tenure.domain.refusals import REASONS, Reason, Step
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token

NOW = 1_800_000_000.0
APP_URL = "https://app.example"
POLICY = Policy(frozenset({APP_URL}))
LEGACY = replace(POLICY, legacy_install=True)
QSH = request_hash("GET", "/page", "")
FACTS = Facts(
    purpose="traffic", now=NOW, alg="HS256", iat=int(NOW), exp=int(NOW) + 180, qsh=QSH, expected_qsh=(QSH,),
    match="current",
)  # fmt: skip
LIVE = tenant_after(install())
GONE = tenant_after(install(), "uninstalled")
TWICE = tenant_after(install(), install("two"))
PAGE_STEPS = (
    Step.SIZE, Step.SYNTAX, Step.ALGORITHM, Step.CLAIMS, Step.TIMES, Step.KEY, Step.SIGNATURE, Step.QSH, Step.STATE,
)  # fmt: skip


def page(facts: Facts = FACTS, **more: Any) -> Decision:
    """An accepted page, with some of it replaced."""
    made = Decision("d", stamp(1), "page", "accepted", "", "", CLIENT, CLIENT, "GET", "/page", 200, 1.0, 1, facts)
    return replace(made, **more)


def refused(reason: Reason, decision: Decision, detail: str = "") -> Decision:
    """The same call, recorded as refused."""
    return replace(decision, verdict="refused", reason=reason, detail=detail, status=401)


def lifecycle(callback: Callback, alg: str, **facts: Any) -> Decision:
    """An accepted lifecycle call."""
    aud = (APP_URL,) if alg == "RS256" else None
    seen = replace(FACTS, purpose="lifecycle", alg=alg, aud=aud, body_client_key=CLIENT, **facts)
    return page(seen, kind=callback, method="POST", path="/page")


INSTALLED = lifecycle(Callback.INSTALLED, "RS256", kid="k")


def under(tenant: Tenant | None = LIVE, policy: Policy = POLICY, now: float = NOW, **more: Any) -> Under:
    """What it is decided under."""
    return Under(tenant, policy, now, **more)


def reason_of(decision: Decision, found: Under) -> Reason | None:
    """The reason it comes out with."""
    return again(decision, found).verdict.reason


def test_what_is_kept_of_a_token() -> None:
    """Its claims without its signature; none where its times could not be read."""
    seen = replace(FACTS, kid="k", nbf=7, aud=("a",))
    assert token_of(page(seen)) == Token(
        "HS256", "k", CLIENT, int(NOW), int(NOW) + 180, 7, ("a",), QSH, None, b"", b""
    )  # fmt: skip
    whole = token_of(page())
    assert whole is not None
    assert whole.kid is None
    assert token_of(page(replace(FACTS, iat=None))) is None
    assert token_of(page(replace(FACTS, exp=None))) is None
    zero = token_of(page(replace(FACTS, iat=0, exp=0)))
    assert zero is not None


def test_a_recorded_verdict_is_read_back() -> None:
    """Reason, detail and the advice to come again, as recorded."""
    assert recorded_verdict(page()) == Verdict()
    superseded = refused(Reason.SECRET_SUPERSEDED, page(replace(FACTS, retry=True)), "why")
    assert recorded_verdict(superseded) == Verdict(Reason.SECRET_SUPERSEDED, "why", True)


def test_the_same_state_the_same_verdict() -> None:
    """An accepted page and an accepted install come out accepted, with each step told as computed or read back."""
    found = again(page(), under())
    computed = (Step.ALGORITHM, Step.TIMES, Step.KEY, Step.QSH, Step.STATE)
    assert found == Again(Verdict(), computed, (Step.SIZE, Step.SYNTAX, Step.CLAIMS, Step.SIGNATURE))
    found = again(INSTALLED, under(None))
    install_computed = (Step.ALGORITHM, Step.TIMES, Step.AUDIENCE, Step.QSH, Step.ISSUER, Step.STATE)
    back = (Step.SIZE, Step.SYNTAX, Step.CLAIMS, Step.KEY, Step.SIGNATURE, Step.REUSE, Step.PAYLOAD)
    assert found == Again(Verdict(), install_computed, back)


def test_it_is_decided_at_its_own_time_unless_told() -> None:
    """By the recorded clock, or by the one given, 0 among them."""
    assert recheck(page(), LIVE, POLICY).reason is None
    assert recheck(page(), LIVE, POLICY, NOW + 999).reason is Reason.EXPIRED
    assert recheck(page(), LIVE, POLICY, 0.0).reason is Reason.NOT_YET_VALID


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"tenant": None}, Reason.TENANT_UNKNOWN),
        ({"tenant": GONE}, Reason.TENANT_UNINSTALLED),
        ({"now": NOW + 400}, Reason.EXPIRED),
        ({"now": NOW - 400}, Reason.NOT_YET_VALID),
        ({"policy": replace(POLICY, max_lifetime=100)}, Reason.LIFETIME_TOO_LONG),
        ({"policy": replace(POLICY, leeway=0), "now": NOW - 1}, Reason.NOT_YET_VALID),
        ({"tenant": tenant_after(install(), "disabled"), "policy": replace(POLICY, refuse_disabled=True)},
         Reason.TENANT_DISABLED),
    ],
)  # fmt: skip
def test_another_state_is_computed(changed: dict[str, Any], expected: Reason) -> None:
    """Under another state, setting or clock it ends as `check` says, and the steps end there."""
    found = again(page(), under(**changed))
    assert (found.verdict.reason, found.untold) == (expected, "")
    reached = {step for step in PAGE_STEPS if step <= REASONS[expected].step}
    assert set(found.recomputed) | set(found.read_back) == reached


def test_what_the_check_can_find() -> None:
    """These reasons are computed anew, every other one is read back."""
    steps = (Step.TIMES, Step.SIGNATURE, Step.AUDIENCE, Step.QSH, Step.ISSUER)
    expected = {reason for reason, entry in REASONS.items() if entry.step in steps}
    expected |= {Reason.TENANT_UNKNOWN, Reason.CLAIM_MALFORMED, Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED}
    assert expected == CHECKED


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_that_no_check_finds_is_read_back(reason: Reason) -> None:
    """What was refused before or after the check stays refused; what the check found is found anew, or no longer."""
    recorded = refused(reason, page(), "then")
    expected = Verdict() if reason in CHECKED else Verdict(reason, "then")
    assert again(recorded, under()).verdict == expected
    # what we answered because we failed stands in place of all, the rest only where the check passes
    instead = reason in (Reason.STORE_UNAVAILABLE, Reason.UNRECORDABLE, Reason.UNEXPECTED)
    assert reason_of(recorded, under(None)) is (reason if instead else Reason.TENANT_UNKNOWN)


@pytest.mark.parametrize("kind", ["audit", "sign"])
def test_calls_that_are_no_signature_checks_are_read_back_whole(kind: str) -> None:
    """Only that a token was shown is told of them."""
    recorded = refused(Reason.ACCESS_DENIED, page(Facts(), kind=kind))
    assert again(recorded, under(None)) == Again(Verdict(Reason.ACCESS_DENIED), (), (Step.SYNTAX,))


def test_a_call_without_a_readable_token_is_read_back() -> None:
    """Nothing of it is computed, and the steps end where it was refused."""
    recorded = refused(Reason.TOKEN_MALFORMED, page(Facts(now=NOW)), "ValueError")
    found = again(recorded, under())
    assert found == Again(Verdict(Reason.TOKEN_MALFORMED, "ValueError"), (), (Step.SIZE, Step.SYNTAX))
    recorded = refused(Reason.ALGORITHM_NOT_ALLOWED, page(Facts(now=NOW)), "RS256")
    assert again(recorded, under(policy=LEGACY)).untold == ""


@pytest.mark.parametrize(
    ("callback", "detail", "policy", "untold"),
    [
        (Callback.INSTALLED, "HS256", POLICY, ""),
        (Callback.INSTALLED, "HS256", LEGACY, NOT_READ),
        (Callback.ENABLED, "RS256", LEGACY, ""),
        (Callback.ENABLED, "HS256", POLICY, NOT_READ),
        (Callback.INSTALLED, "none", LEGACY, ""),
        (Callback.INSTALLED, "ES256", LEGACY, ""),
    ],
)
def test_a_token_refused_for_its_algorithm_was_not_read(
    callback: Callback, detail: str, policy: Policy, untold: str
) -> None:
    """Where a setting takes that proof, what else would have come of it cannot be known, and that is said."""
    recorded = refused(Reason.ALGORITHM_NOT_ALLOWED, page(Facts(now=NOW), kind=callback), detail)
    found = again(recorded, under(policy=policy))
    assert (found.verdict, found.untold) == (Verdict(Reason.ALGORITHM_NOT_ALLOWED, detail), untold)


def test_a_legacy_install_without_a_token() -> None:
    """The first is decided by the table anew; one refused under the strict setting was not read further."""
    bare = page(Facts(now=NOW), kind=Callback.INSTALLED)
    assert again(bare, under(None, LEGACY)).verdict == Verdict()
    assert reason_of(bare, under(LIVE, LEGACY)) is Reason.TOKEN_MISSING
    assert reason_of(bare, under(None)) is Reason.TOKEN_MISSING
    missing = refused(Reason.TOKEN_MISSING, replace(bare, claimed_client_key=""))
    assert again(missing, under(None, LEGACY)).untold == NOT_READ
    assert again(missing, under(None)).untold == ""
    named = replace(missing, claimed_client_key=CLIENT)
    assert again(named, under(None, LEGACY)) == Again(
        Verdict(Reason.TOKEN_MISSING), (), (Step.SIZE, Step.SYNTAX)
    )  # fmt: skip
    other = refused(Reason.PAYLOAD_INVALID, replace(bare, claimed_client_key=""))
    assert again(other, under(None, LEGACY)).untold == ""
    assert again(other, under(None, LEGACY)).verdict == Verdict(Reason.PAYLOAD_INVALID)
    # with the algorithm known, or of another kind, it is read back as it was
    signed = page(Facts(now=NOW, alg="HS256"), kind=Callback.INSTALLED)
    assert reason_of(signed, under(LIVE, LEGACY)) is None
    assert (
        again(refused(Reason.TOKEN_MISSING, replace(signed, claimed_client_key="")), under(None, LEGACY)).untold == ""
    )
    switched = refused(Reason.TOKEN_MISSING, page(Facts(now=NOW), kind=Callback.UNINSTALLED, claimed_client_key=""))
    assert again(switched, under(None, LEGACY)).untold == ""


def test_a_proof_that_is_no_longer_taken() -> None:
    """A lifecycle call by the stored secret is refused under the strict setting; pages are not lifecycle calls."""
    old = lifecycle(Callback.INSTALLED, "HS256")
    assert again(old, under(policy=LEGACY)).verdict == Verdict()
    assert again(old, under()).verdict == Verdict(Reason.ALGORITHM_NOT_ALLOWED, "HS256")
    assert again(lifecycle(Callback.ENABLED, "RS256"), under()).verdict == Verdict(
        Reason.ALGORITHM_NOT_ALLOWED, "RS256"
    )  # fmt: skip
    assert again(replace(old, kind="page"), under()).verdict == Verdict()


def test_a_token_whose_signature_was_not_looked_at() -> None:
    """Its times are computed; where they are no longer its trouble, what the signature says cannot be known."""
    early = refused(Reason.EXPIRED, page(replace(FACTS, match="", purpose="")), "then")
    assert again(early, under(now=NOW + 999)) == Again(
        Verdict(Reason.EXPIRED, "819 s ago"), (Step.ALGORITHM, Step.TIMES), (Step.SIZE, Step.SYNTAX, Step.CLAIMS)
    )  # fmt: skip
    assert again(early, under()) == Again(
        Verdict(Reason.EXPIRED, "then"), (Step.ALGORITHM, Step.TIMES), (Step.SIZE, Step.SYNTAX, Step.CLAIMS),
        NOT_LOOKED_AT,
    )  # fmt: skip
    loose = replace(POLICY, leeway=900)
    assert again(early, under(policy=loose, now=NOW + 999)).untold == NOT_LOOKED_AT
    short = replace(POLICY, max_lifetime=100)
    assert reason_of(early, under(policy=short)) is Reason.LIFETIME_TOO_LONG
    unknown = refused(Reason.KID_UNKNOWN, page(replace(FACTS, match="", alg="RS256", purpose="lifecycle")))
    assert again(unknown, under()).untold == ""
    assert Step.KEY in again(unknown, under()).read_back
    assert again(page(replace(FACTS, match="")), under()).untold == ""


def test_whose_secret_it_was_is_found_by_its_fingerprint() -> None:
    """The secret in force, the one just replaced, or another: by the fingerprint of the one that signed."""
    tried = frozenset({"print-one", "print-two"})
    for used, expected in (
        ("print-two", None),
        ("print-one", Reason.SECRET_SUPERSEDED),
        ("print-x", Reason.SIGNATURE_BAD),
    ):
        assert reason_of(page(), under(TWICE, used=used, tried=tried)) is expected
    # read back where nothing is known of fingerprints, of an install key's signature, and of nobody's
    assert reason_of(page(), under(TWICE, used="print-one")) is None
    assert reason_of(INSTALLED, under(TWICE, used="print-x", tried=tried)) is None
    assert reason_of(page(replace(FACTS, match="previous")), under(TWICE, used="print-two", tried=tried)) is None
    assert reason_of(page(), under(None, used="print-x", tried=tried)) is Reason.TENANT_UNKNOWN


def test_a_secret_that_came_later_was_never_tried() -> None:
    """A signature that held under none of those tried says nothing of another one."""
    bad = refused(Reason.SIGNATURE_BAD, page(replace(FACTS, match="none")))
    both = frozenset({"print-one", "print-two"})
    assert again(bad, under(TWICE, tried=both)).untold == ""
    assert again(bad, under(TWICE, tried=both)).verdict == Verdict(Reason.SIGNATURE_BAD)
    for tried in (frozenset({"print-one"}), frozenset({"print-two"}), frozenset[str]()):
        assert again(bad, under(TWICE, tried=tried)).untold == NEVER_TRIED
    assert again(bad, under(LIVE, tried=frozenset({"print-one"}))).untold == ""
    assert again(bad, under(LIVE, now=NOW + 999, tried=frozenset())).verdict.reason is Reason.EXPIRED
    assert again(bad, under(LIVE, now=NOW + 999, tried=frozenset())).untold == ""


def test_a_repeat_is_believed_by_the_secret_it_was_first_believed_by() -> None:
    """The call that brought a rotation, sent again, passes by the secret before; any other is superseded."""
    call = lifecycle(Callback.INSTALLED, "HS256")
    tried = frozenset({"print-one", "print-two"})
    state = under(TWICE, LEGACY, used="print-one", tried=tried)
    assert reason_of(replace(call, detail=REPEAT), state) is None
    assert reason_of(call, state) is Reason.SECRET_SUPERSEDED
    before = replace(call, detail=REPEAT, facts=replace(call.facts, match="previous"))
    assert reason_of(before, state) is Reason.SECRET_SUPERSEDED


def test_a_lifecycle_call_goes_through_the_table() -> None:
    """What the check lets pass is refused where the table refuses it, but not a repeat, whose answer is the first."""
    switched = lifecycle(Callback.ENABLED, "HS256")
    assert reason_of(switched, under(LIVE)) is None
    assert reason_of(switched, under(GONE)) is None
    assert reason_of(switched, under(None)) is Reason.TENANT_UNKNOWN
    erased = replace(LIVE, erased_at=stamp(9))
    assert reason_of(lifecycle(Callback.UNINSTALLED, "RS256"), under(erased)) is None


def test_under_another_base_path_the_hash_is_computed() -> None:
    """With no query kept it can be; with names of one alone it cannot, and that is said where it would matter."""
    assert reason_of(page(), under(base_path="")) is None
    stripped = page(replace(FACTS, expected_qsh=("other",)), path="/base/page")
    assert reason_of(stripped, under()) is Reason.QSH_MISMATCH
    assert reason_of(stripped, under(base_path="/base")) is None
    escaped = page(replace(FACTS, qsh=accepted_hashes("GET", "/a%20b", "")[1]), path="/a%20b")
    assert reason_of(escaped, under(base_path="/x")) is None
    queried = page(replace(FACTS, query_names=("a",)))
    assert again(queried, under()).untold == ""
    assert again(queried, under(base_path="/x")).untold == NO_QUERY
    assert reason_of(queried, under(base_path="/x")) is None
    wrong = page(replace(FACTS, query_names=("a",), expected_qsh=("other",)))
    assert again(wrong, under(base_path="/x")).untold == NO_QUERY
    late = again(queried, under(base_path="/x", now=NOW + 999))
    assert (late.verdict.reason, late.untold) == (Reason.EXPIRED, "")
    gone = again(queried, under(GONE, base_path="/x"))
    assert (gone.verdict.reason, gone.untold) == (Reason.TENANT_UNINSTALLED, NO_QUERY)
