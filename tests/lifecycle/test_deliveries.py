"""Webhooks that come twice, out of order or to a process that dies, on every store: the upstream gets each at least
once, and never again once it was noted that it has it.
"""

from dataclasses import dataclass
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from support.decided import decision
from support.decision_stores import DecisionStore
from tenure.domain.decisions import Amended, Claim, Entry, Item, Outcome
from tenure.store.decision_writer import Decisions

IDENTIFIERS = st.sampled_from(["i", "j"])
WORKERS = st.sampled_from([0, 1])
STATUSES = st.sampled_from([200, 204, 500, 502, 504])
_numbers = count(1)

Key = tuple[str, str]


@dataclass
class Flight:
    """A webhook that a worker claimed: the entry it recorded, and what the upstream answered (0: not yet)."""

    key: Key
    entry: Entry
    life: int
    status: int = 0

    @property
    def outcome(self) -> Outcome:
        """What is noted of it."""
        return Outcome(self.entry.decision.decision, *self.key, self.status, 1.0)


@dataclass
class Known:
    """What is expected of a webhook: who holds it (empty: nobody), whether that holds still, whether it was taken."""

    holder: str = ""
    live: bool = False
    taken: bool = False


class Deliveries(RuleBasedStateMachine):
    """Two workers at one store; each step between claim, passing on and the note of its end is a step of its own."""

    flights = Bundle("flights")

    def __init__(self, workers: list[Decisions], store: DecisionStore) -> None:
        super().__init__()
        self._workers = workers
        self._store = store
        self._site = f"site-{next(_numbers)}"
        self._known: dict[Key, Known] = {}
        self._received: dict[Key, int] = {}
        self._life = 0

    def _of(self, identifier: str) -> tuple[Key, Known]:
        key = (self._site, identifier)
        return key, self._known.setdefault(key, Known())

    @rule(target=flights, identifier=IDENTIFIERS, worker=WORKERS)
    def arrives(self, identifier: str, worker: int) -> Flight:
        """A copy comes: it is ours, under way elsewhere, or a duplicate."""
        key, known = self._of(identifier)
        entry = Entry(decision(next(_numbers), client_key=self._site), key)
        [claim] = self._workers[worker].record([entry])
        if known.taken:
            assert claim is Claim.TAKEN
            assert self._received[key] > 0
        elif known.holder and known.live:
            assert claim is Claim.BUSY
        else:
            assert claim is Claim.OURS
            known.holder, known.live = entry.decision.decision, True
            return Flight(key, entry, self._life)
        return Flight(key, entry, -1)

    @rule(flight=flights, status=STATUSES)
    def is_passed_on(self, flight: Flight, status: int) -> None:
        """The upstream has it or has not; nobody has noted that yet."""
        if flight.life == self._life and not flight.status:
            flight.status = status
            if 200 <= status < 300:
                self._received[flight.key] = self._received.get(flight.key, 0) + 1

    @rule(some=st.lists(consumes(flights), min_size=1, max_size=3, unique_by=id), worker=WORKERS)
    def ends(self, some: list[Flight], worker: int) -> None:
        """What came of several is noted in one batch, whoever was first."""
        passed = [flight for flight in some if flight.life == self._life and flight.status]
        batch: list[Item] = [flight.outcome for flight in passed]
        self._workers[worker].record(batch)
        for flight in passed:
            known = self._known[flight.key]
            if flight.outcome.taken:
                known.taken = True
            elif known.holder == flight.entry.decision.decision and not known.taken:
                known.holder = ""

    @rule(flight=consumes(flights), worker=WORKERS)
    def is_withdrawn(self, flight: Flight, worker: int) -> None:
        """Whoever waited for the record was answered 503: what was claimed for him is free again."""
        if flight.life != self._life or flight.status:
            return
        self._workers[worker].record([Amended(flight.entry, "unrecordable", 503)])
        known = self._known[flight.key]
        if known.holder == flight.entry.decision.decision and not known.taken:
            known.holder = ""

    @rule()
    def all_die(self) -> None:
        """Killed between any two steps: what was under way is forgotten, what was written stays."""
        self._life += 1

    @rule()
    def claims_run_out(self) -> None:
        """Ten seconds pass."""
        self._store.foreign("UPDATE deliveries SET claimed_until = 1 WHERE taken_at IS NULL")
        for known in self._known.values():
            known.live = False

    @invariant()
    def is_as_known(self) -> None:
        """What is taken and what is under way is told as it is."""
        for key, known in self._known.items():
            assert self._workers[0].taken(*key) is known.taken
            assert self._workers[1].busy(*key) is bool(known.holder and known.live and not known.taken)


def test_a_webhook_is_passed_on_at_least_once_and_not_after_that_is_noted(kept: DecisionStore) -> None:
    """Duplicates, lost copies, copies out of order and deaths between any two steps lead to nothing else."""
    workers = [kept.open(), kept.open()]
    run_state_machine_as_test(
        lambda: Deliveries(workers, kept),  # type: ignore[arg-type]
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
