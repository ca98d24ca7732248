"""What sealing and hashing cost an event, in microseconds of processor time: `.venv/bin/python benchmarks/sealing.py`.

As an install does it: asking the file for the tenant's key, two sealed fields, a fingerprint, then the chain hash. The
goal is at most 40 us together. The least of many short rounds counts, so that what else the machine does counts little.
"""

import tempfile
import time
from pathlib import Path

from tenure.domain.chain import GENESIS, chain_hash
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.vault import Vault

EVENTS = 200
GOAL_US = 40.0


def measure(folder: Path) -> float:
    """Microseconds an event."""
    vault = Vault(KeyFile(folder / "keys.db"), GivenMaster(bytes(32)))
    tenants = [f"tenant-{number}" for number in range(100)]
    for tenant in tenants:
        vault.ensure_key("app", tenant)
        vault.fingerprint("app", tenant, b"")
    secret, personal, previous = b"s" * 64, b'{"accountId":"5b10a2844c20165700ede21g","description":""}', GENESIS
    began = time.process_time()
    for number in range(EVENTS):
        tenant = tenants[number % 100]
        vault.has_key("app", tenant)
        data = (
            vault.seal("app", tenant, number, "secret", secret)
            + vault.seal("app", tenant, number, "personal", personal)
            + vault.fingerprint("app", tenant, secret)
        )
        time_ = "2026-01-01T00:00:00.000000Z"
        columns = (number, number, "installed", "app", tenant, time_, '{"kind":"rs256"}', "{}", data, "f" * 64)
        previous = chain_hash(previous, columns)
    spent = time.process_time() - began
    vault.close()
    return spent / EVENTS * 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        found = min(measure(Path(name)) for _ in range(200))
    print(f"{found:.1f} us of CPU an event for sealing and hashing (goal: at most {GOAL_US:.0f})")
