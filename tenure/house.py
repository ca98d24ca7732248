"""The parts of one worker: opened together, started and stopped together, each thread with connections of its own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import aiohttp
import structlog

from tenure.api.audit import Audit
from tenure.api.head import RefusedHeadError
from tenure.api.install_keys import InstallKeys
from tenure.api.webhooks import Upstream
from tenure.decision_stores import decision_desk_of, decision_reads_of, sweeper_of
from tenure.domain.decisions import FailedToken
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant
from tenure.housekeeping import Housekeeping
from tenure.keydesk import keys_of, worker_keys
from tenure.projections import tenants
from tenure.projections.clock import ClockWatch
from tenure.settings import Settings
from tenure.store.connection import UntrustedStoreError
from tenure.store.install_keys import VouchedKeys
from tenure.store.lane import Lane
from tenure.store.pace import Pace
from tenure.store.signed_head import HeadRefusedError, Heads, HeadSigner, SignedHead, does_not_extend
from tenure.store.sweeper import Retention
from tenure.store.vault import KEPT_S
from tenure.store.veil import Veil
from tenure.stores import Log, database_errors, events_of, log_of, missing_standbys

HEAD_S = 5.0

log = structlog.get_logger()


def retention(settings: Settings) -> Retention:
    """How long decisions are kept, and in how many bytes."""
    return Retention(settings.decisions_days, settings.decisions_mb * 1024 * 1024)


def _nearly_full(used: int, quota: int) -> None:
    log.warning("the decision log is nearly full", used_bytes=used, quota_bytes=quota, setting="DECISIONS_MB")


class House:
    """The parts of one worker, made and ended with it."""

    def __init__(self, settings: Settings) -> None:
        self.keys = worker_keys(settings)
        self.events = events_of(settings)
        self.contexts = self.keys.contexts(self.events.contexts)
        self._app_key = settings.app_key
        self._store = settings
        self.vault = self.keys.vault
        self.install_keys = InstallKeys(
            settings.install_keys_url, VouchedKeys(self.events.key_store, self.vault, settings.app_key)
        )
        self.upstream = Upstream(settings.upstream_url) if settings.upstream_url else None
        pace = Pace()
        veil, self.marks = (
            Veil(vault, settings.app_key, account_ids=settings.store_account_ids)
            for vault in (self.keys.veiling, self.vault)
        )
        self.decisions = decision_desk_of(settings, veil, self.marks, pace)
        watched = log_of(settings)
        self._watch, self._doubted = ClockWatch(watched), False
        self._shown_watch: ClockWatch | None = None
        self.keeper = sweeper_of(settings, retention(settings), _nearly_full, self._believed, pace)
        signer = HeadSigner(keys_of(settings), settings.master(), settings.app_key)
        signed = log_of(settings)
        self._heads: Lane[None, str | HeadRefusedError] = Lane(_head_signer(signer, signed), name="head")
        self._housekeeping = Housekeeping(settings)
        self._refreshing: asyncio.Task[None] | None = None
        self.audit_log = log_of(settings)
        self.audit_reads = decision_reads_of(settings)
        self._readers = (self.audit_log, self.audit_reads, self.events)
        self.audit: Audit | None = None
        self.check_dummy: Callable[[], None] = lambda: None
        self._writers = (signer, signed, watched)

    async def failures(self, address: str) -> int:
        """`signing.Failures`."""
        return await self.decisions.failures(self.marks.mark(address))

    def failed(self, address: str) -> None:
        """`signing.Failures`."""
        self.decisions.post(FailedToken(self.marks.mark(address), time.time()))

    async def signed_head(self) -> str:
        """The head's signed text, RefusedHeadError, or OursError if the log does not answer."""
        try:
            async with asyncio.timeout(HEAD_S):
                found = await self._heads.submit(None)
        except TimeoutError:
            raise OursError(Reason.STORE_UNAVAILABLE, "the log did not answer in time") from None
        if isinstance(found, HeadRefusedError):
            raise RefusedHeadError(str(found))
        return found

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(KEPT_S)
            # while the keys do not answer, whoever needs one asks again, and is refused
            with suppress(OursError):
                await self.keys.refresh()

    async def problems(self) -> list[str]:
        """`app.Readiness`: the store answers, the projection is at the head (both move in one transaction), that
        head can be signed, and the master key is in force: a worker left on one that was retired opens nothing.
        """
        found = list[str]()
        try:
            last, wrong = await self.keys.condition()
            found += wrong or self._dummy_problems()
            found += await self.events.ask(lambda log: _not_ready(log, last))
        except OursError:
            found.append("the store does not answer")
        return found

    def _dummy_problems(self) -> list[str]:
        try:
            self.check_dummy()
        except UntrustedStoreError as error:
            return [str(error)]
        return []

    async def notices(self) -> list[str]:
        """What an operator should look at, though calls are answered."""
        try:
            found: list[str] = await self.events.ask(self._noticed)
        except OursError:
            return []
        return found

    def _noticed(self, log: Log) -> list[str]:
        # on the thread and the connection of the other questions, so it has a watch of its own
        self._shown_watch = self._shown_watch or ClockWatch(log)
        problem = self._shown_watch.problem()
        doubt = f"{problem}: nobody is erased and no decision removed for its age" if problem else ""
        return list(filter(None, (doubt, missing_standbys(self._store, log))))

    def _believed(self) -> bool:
        unknown: tuple[type[Exception], ...] = (*database_errors(), OSError)
        try:
            problem = self._watch.problem()
        except unknown:
            return False  # nothing is known of the log: what cannot be undone waits
        if problem and not self._doubted:
            log.error("the clock is in doubt", why=problem, held="erasures, removal of old decisions")
        self._doubted = bool(problem)
        return not problem

    async def position(self) -> int:
        """The position of the log's last event."""
        return int(await self.events.ask(lambda log: log.head()[0]))

    async def find(self, name: str) -> list[Tenant]:
        """The tenants of a name, of this app; of one that is the only one, the key is at hand."""
        found: list[Tenant] = await self.events.ask(lambda log: tenants.find(log.connection, name))
        ours = [tenant for tenant in found if tenant.app_key == self._app_key]
        if len(ours) == 1:
            await self.keys.bring(ours[0])
        return ours

    async def start(self) -> None:
        """Opens the ways out."""
        session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            connector=aiohttp.TCPConnector(limit=256),
        )
        self.keeper.start()
        self.install_keys.session = session
        if self.upstream is not None:
            self.upstream.session = session
        self._refreshing = asyncio.create_task(self._refresh())
        self._housekeeping.start()

    async def stop(self) -> None:
        """Writes what is queued and closes everything."""
        if self.install_keys.session is not None:
            await self.install_keys.session.close()
        if self.audit is not None:
            self.audit.close()
        if self._refreshing is not None:
            self._refreshing.cancel()
        await asyncio.to_thread(self._housekeeping.stop)
        for lane in (self.decisions, self._heads):
            lane.close()
        self.keeper.close()
        for part in (*self._readers, *self._writers, self.keys):
            part.close()


def _not_ready(log: Log, last: SignedHead | None) -> list[str]:
    position, _ = log.head()
    row = log.connection.execute("SELECT max(position) FROM events").fetchone()
    found = [] if (row[0] or 0) == position else ["the log's head is not at its last event"]
    unsigned = does_not_extend(log, last.position, last.hash) if last is not None else ""
    return [*found, f"{unsigned} (tenure log verify)"] if unsigned else found


def _head_signer(signer: HeadSigner, log: Heads) -> Callable[[Sequence[None]], list[str | HeadRefusedError]]:
    def sign(batch: Sequence[None]) -> list[str | HeadRefusedError]:
        # one signature answers all who wait
        found: str | HeadRefusedError
        try:
            found = signer.sign(log).note
        except HeadRefusedError as error:
            found = error
        return [found] * len(batch)

    return sign
