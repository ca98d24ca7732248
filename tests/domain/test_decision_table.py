"""The decision table, every cell written out: callback x proof x standing x mode."""

from itertools import product

import pytest

from support.domain_support import install, tenant_after
from tenure.domain.callbacks import Callback
from tenure.domain.events import EventType
from tenure.domain.lifecycle import Outcome, Proof, allowed, decide, look_up
from tenure.domain.refusals import Reason, Refused
from tenure.domain.tenant import Standing, standing

ALG, NOTOKEN, STRANGER = "algorithm_not_allowed", "token_missing", "tenant_unknown"
APPEND, ACK = "append", "acknowledge"
STANDINGS = (Standing.UNKNOWN, Standing.LIVE, Standing.UNINSTALLED)

# (callback, proof): outcome for a tenant unknown, live, uninstalled; with signed install, then in legacy mode
CELLS: dict[tuple[str, str], tuple[tuple[str, str, str], tuple[str, str, str]]] = {
    ("installed", "rs256"): ((APPEND, APPEND, APPEND), (APPEND, APPEND, APPEND)),
    ("installed", "hs256"): ((ALG, ALG, ALG), (STRANGER, APPEND, APPEND)),
    ("installed", "none"): ((NOTOKEN, NOTOKEN, NOTOKEN), (APPEND, NOTOKEN, NOTOKEN)),
    ("uninstalled", "rs256"): ((ACK, APPEND, ACK), (ACK, APPEND, ACK)),
    ("uninstalled", "hs256"): ((ALG, ALG, ALG), (STRANGER, APPEND, ACK)),
    ("uninstalled", "none"): ((NOTOKEN, NOTOKEN, NOTOKEN), (NOTOKEN, NOTOKEN, NOTOKEN)),
    ("enabled", "rs256"): ((ALG, ALG, ALG), (ALG, ALG, ALG)),
    ("enabled", "hs256"): ((STRANGER, APPEND, ACK), (STRANGER, APPEND, ACK)),
    ("enabled", "none"): ((NOTOKEN, NOTOKEN, NOTOKEN), (NOTOKEN, NOTOKEN, NOTOKEN)),
    ("disabled", "rs256"): ((ALG, ALG, ALG), (ALG, ALG, ALG)),
    ("disabled", "hs256"): ((STRANGER, APPEND, ACK), (STRANGER, APPEND, ACK)),
    ("disabled", "none"): ((NOTOKEN, NOTOKEN, NOTOKEN), (NOTOKEN, NOTOKEN, NOTOKEN)),
}
FLAT = [
    (callback, proof, where, legacy, CELLS[callback, proof][legacy][column])
    for callback, proof in CELLS
    for legacy in (False, True)
    for column, where in enumerate(STANDINGS)
]
TENANTS = {
    Standing.UNKNOWN: None,
    Standing.LIVE: tenant_after(install()),
    Standing.UNINSTALLED: tenant_after(install(), "uninstalled"),
}


def test_every_cell_is_written_out() -> None:
    """The test names each of the 72 cells once."""
    cells = {cell[:4] for cell in FLAT}
    assert cells == set(product([*map(str, Callback)], [*map(str, Proof)], STANDINGS, (False, True)))
    assert len(FLAT) == 72


@pytest.mark.parametrize(("callback", "proof", "where", "legacy", "expected"), FLAT)
def test_each_cell_has_its_outcome(callback: str, proof: str, where: Standing, legacy: bool, expected: str) -> None:
    """A refusal has its reason, every other outcome has none."""
    outcome, reason = look_up(Callback(callback), Proof(proof), where, legacy)
    assert (reason or outcome) == expected
    assert (outcome is Outcome.REFUSE) is (reason is not None)


@pytest.mark.parametrize(("callback", "proof", "where", "legacy", "expected"), FLAT)
def test_a_decision_is_the_cell_of_the_tenant(
    callback: str, proof: str, where: Standing, legacy: bool, expected: str
) -> None:
    """What is decided for a tenant is what the table says of where it stands."""
    tenant = TENANTS[where]
    assert standing(tenant) is where
    found: str
    try:
        event = decide(Callback(callback), Proof(proof), tenant, legacy)
        found = APPEND if event else ACK
        assert event in (None, EventType(callback))
    except Refused as refused:
        found = refused.reason
    assert found == expected


@pytest.mark.parametrize(
    ("callback", "signed", "legacy"),
    [
        ("installed", {"rs256", "none"}, {"rs256", "hs256", "none"}),
        ("uninstalled", {"rs256", "none"}, {"rs256", "hs256", "none"}),
        ("enabled", {"hs256", "none"}, {"hs256", "none"}),
        ("disabled", {"hs256", "none"}, {"hs256", "none"}),
    ],
)
def test_which_algorithm_a_url_takes(callback: str, signed: set[str], legacy: set[str]) -> None:
    """A kind of proof that no row takes is named as the wrong algorithm; a missing token is another reason."""
    assert {proof for proof in Proof if allowed(Callback(callback), proof, False)} == signed
    assert {proof for proof in Proof if allowed(Callback(callback), proof, True)} == legacy


def test_an_unknown_tenant_has_no_enabled_to_prove() -> None:
    """`enabled` before `installed` is refused as of an unknown tenant."""
    with pytest.raises(Refused) as caught:
        decide(Callback.ENABLED, Proof.HS256, None, False)
    assert caught.value.reason == Reason.TENANT_UNKNOWN
