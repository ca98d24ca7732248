"""What of a person lies in the decision log, and how: the caller's address sealed, the account as a keyed hash.

Both are made under one data key of the decision log's own (that of a client key no tenant can have), in the writer's
thread and only for decisions that are kept as rows. A data key a tenant would cost a row of `keys.db` for every
stranger who calls; one key for the log costs 8 us a row. The price: forgetting a tenant does not by itself make the
addresses of its decisions unreadable; they go with the decisions' own retention, or by `Decisions.forget`.
A sealed address opens only in its own decision. The mark is the same for the same address, for exact filters.
"""

from tenure.domain.decisions import Decision, Facts
from tenure.domain.ports import Vault
from tenure.domain.swift import altering

DECISIONS = " decisions"  # no client key has a space
_altered = altering(Facts)


class Veil:
    """Veils the facts of one app's decisions. One thread at a time, as its vault."""

    def __init__(self, vault: Vault, app_key: str, *, account_ids: bool = False) -> None:
        self._vault = vault
        self._app_key = app_key
        self._account_ids = account_ids
        self._marks: dict[str, str] = {}
        vault.ensure_key(app_key, DECISIONS)

    def veil(self, decision: Decision) -> Facts:
        """The facts as they are stored; they come with address and account in the clear."""
        facts = decision.facts
        return _altered(
            facts,
            address=self._seal(decision.decision, facts.address) if facts.address else "",
            address_mark=self.mark(facts.address) if facts.address else "",
            account=facts.account if self._account_ids or not facts.account else self.mark(facts.account),
        )

    def mark(self, text: str) -> str:
        """A keyed hash of an address or account id, 16 hex digits."""
        found = self._marks.get(text)
        if found is None:
            found = self._vault.fingerprint(self._app_key, DECISIONS, text.encode())
            if len(self._marks) >= 4096:
                self._marks.clear()
            self._marks[text] = found
        return found

    def address_of(self, decision: str, sealed: str) -> str:
        """The address that was sealed in a decision."""
        return self._vault.open(self._app_key, DECISIONS, 0, f"address {decision}", sealed).decode()

    def _seal(self, decision: str, address: str) -> str:
        return self._vault.seal(self._app_key, DECISIONS, 0, f"address {decision}", address.encode())
