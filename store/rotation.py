"""How a master key is replaced by another, under load, each step repeatable after a crash.

The new master comes in (`incoming`): from that moment every new key is wrapped for it too. Then every other key is, in
small transactions. Then it is `current` and the old one `former`; both open everything, until the former is retired:
its wraps are destroyed, and it opens nothing any more. The log is not touched.
"""

from collections.abc import Callable, Sequence

from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import WRAPPED, KeyRing, Wrapped, box_context, check_master, wrap_context
from tenure.store.masters import DEPOSITED, DIRECT, MasterKey, new_deposit_box

BATCH = 500


class Rotation:
    """The rotation of one key ring's master."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._after = ""

    def is_open(self, new: MasterKey) -> bool:
        """Whether the new master has come in but is not current yet."""
        return self._ring.masters().get(new.id) == "incoming"

    def begin(self, new: MasterKey) -> None:
        """The new master comes in: from now on every new key is wrapped for it too. Can be done again."""
        with self._ring.transaction():
            states = self._ring.masters()
            check_master(states, self._ring.master.id)
            if states.get(new.id) == "former" or new.id == self._ring.master.id:
                raise UntrustedStoreError("that file holds the master key that is to be replaced; name a new file")
            if new.id in states:
                return
            if "former" in states.values():
                raise UntrustedStoreError("the last rotation is not over; run: tenure keys retire, then rotate again")
            for abandoned in (name for name, state in states.items() if state == "incoming"):
                self._ring.execute("DELETE FROM wrapped_keys WHERE master_id = ?", (abandoned,))
                self._ring.execute("DELETE FROM master_keys WHERE master_id = ?", (abandoned,))
            self._set_boxes(self._ring.master, new)

    def _set_boxes(self, old: MasterKey, new: MasterKey) -> None:
        self._ring.add_master(new.id, "incoming")
        for owner, other in ((old, new), (new, old)):
            box = new_deposit_box()
            self._ring.execute(
                "UPDATE master_keys SET deposit_private = ?, deposit_public = ? WHERE master_id = ?",
                (owner.wrap(box.private, box_context(owner.id, "private")),
                 other.wrap(box.public, box_context(owner.id, "public")), owner.id),
            )  # fmt: skip

    def rewrap_some(self, new: MasterKey) -> int:
        """Wraps up to BATCH more keys for the new master; how many, 0 when all are."""
        with self._ring.transaction():
            # on from where the last batch ended; then once more from the beginning, whatever came in between
            rows = self._unwrapped(new)
            if not rows and self._after:
                self._after = ""
                rows = self._unwrapped(new)
            self._wrap(rows, new)
        self._after = rows[-1][0] if rows else ""
        return len(rows)

    def _unwrapped(self, new: MasterKey) -> list[Wrapped]:
        found: list[Wrapped] = self._ring.execute(
            f"{WRAPPED} WHERE key_id > ? AND NOT EXISTS (SELECT 1 FROM wrapped_keys AS other "
            "WHERE other.key_id = made.key_id AND other.master_id = ?) ORDER BY key_id LIMIT ?",
            (self._ring.master.id, self._after, new.id, BATCH),
        ).fetchall()
        return found

    def _wrap(self, rows: Sequence[Wrapped], master: MasterKey) -> None:
        wraps = list[tuple[str, str, bytes]]()
        for row in rows:
            key_id, purpose, app_key, client_key, _ = row
            context = wrap_context(purpose, app_key, client_key, key_id)
            wraps.append((key_id, master.id, DIRECT + master.wrap(self._ring.opened(row), context)))
        self._ring.keep(wraps)

    def finish(self, new: MasterKey) -> bool:
        """The new master is current, the old one former; False if that was so already."""
        with self._ring.transaction():
            if self._ring.masters().get(new.id) != "incoming":
                return False
            self._ring.execute("UPDATE master_keys SET state = 'former' WHERE state = 'current'")
            self._ring.execute("UPDATE master_keys SET state = 'current' WHERE master_id = ?", (new.id,))
            return True

    def retire(self, note: Callable[[str], None] = lambda _: None) -> tuple[str, int] | None:
        """Destroys what the former master wrapped: its id and how many wraps; None if there is no former one. `note`
        is told the id; nothing is destroyed if it fails.

        To be run under the current one; UntrustedStoreError if a key would be lost. Call `clean` after it.
        """
        with self._ring.transaction():
            former = self._retirable()
            if former is None:
                return None
            self._take_deposits()
            gone = self._ring.execute("DELETE FROM wrapped_keys WHERE master_id = ?", (former,)).rowcount
            self._ring.execute("DELETE FROM master_keys WHERE master_id = ?", (former,))
            self._ring.must_clean()
            note(former)
            return former, int(gone)

    def _retirable(self) -> str | None:
        states = self._ring.masters()
        if states.get(self._ring.master.id) != "current":
            raise UntrustedStoreError("the master key configured is not the current one; set the new one first")
        former = next((name for name, state in states.items() if state == "former"), None)
        if former is None:
            return None
        (lost,) = self._ring.execute(
            "SELECT count(*) FROM data_keys WHERE NOT EXISTS (SELECT 1 FROM wrapped_keys "
            "WHERE wrapped_keys.key_id = data_keys.key_id AND master_id = ?)", (self._ring.master.id,)
        ).fetchone()  # fmt: skip
        if lost:
            raise UntrustedStoreError(f"{lost} keys are wrapped by the old master key only; rotate again first")
        return former

    def _take_deposits(self) -> None:
        # the next rotation makes new boxes
        rows = self._ring.execute(
            f"{WRAPPED} WHERE EXISTS (SELECT 1 FROM wrapped_keys AS left_here WHERE left_here.key_id = made.key_id "
            "AND left_here.master_id = ? AND substr(left_here.wrapped, 1, 1) = ?)",
            (self._ring.master.id, self._ring.master.id, DEPOSITED),
        ).fetchall()
        self._wrap(rows, self._ring.master)
