"""Is the log what it was? The chain, the heads signed earlier, the projections and the decisions, each held to the log.

Works on whatever there is: a store that `serve` refuses, a backup without keys, an export. What is wrong with the log
itself is a first bad position; everything else is a problem in words. Nothing is changed: with the master key at hand
the head is said as signed text, but which head was signed last is for `serve` to remember.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from pysqlite3 import DatabaseError

from tenure.counting import DECISIONS, span_of
from tenure.decision_stores import decisions_are_there, digests_of, place_of
from tenure.domain.chain import GENESIS, Walk, follow
from tenure.domain.checkpoint import Checkpoint, Verifier, read, verify
from tenure.domain.events import OPERATOR, OPERATORS, Event, Operated
from tenure.projections.fold import Folded
from tenure.projections.fsck import differences
from tenure.settings import KeySettings, SettingsError
from tenure.store.connection import UntrustedStoreError, check_permissions
from tenure.store.decision_digest import Span
from tenure.store.evidence import UnreadableError, exported_rows
from tenure.store.folding import BrokenChainError
from tenure.store.masters import MasterKey
from tenure.store.signed_head import HeadRefusedError, SignedHead, does_not_extend, last_signed, said
from tenure.stores import Log, damage, database_errors, log_of, schema_problems, sentence_of


@dataclass(slots=True)
class Findings:
    """What was found. `head` is the signed head's text, if there is one; `end` says of an export what vouches for its
    last event being the last one.
    """

    walk: Walk = field(default_factory=lambda: Walk(wanted={0: GENESIS}))
    problems: list[str] = field(default_factory=list)
    head: str | None = None
    app_key: str = ""
    end: str = ""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.walk.bad and not self.problems

    @property
    def wrong(self) -> list[str]:
        """All that is wrong, in words: where the chain breaks first, then the rest."""
        return ([self.walk.why] if self.walk.bad else []) + self.problems


def kept_head(found: Findings, note: str, verifier: Verifier | None) -> Checkpoint | None:
    """The head of a kept text. That it is signed by another key, or that no key is known, is a problem."""
    try:
        checkpoint = read(note)
    except ValueError as error:
        found.problems.append(f"the kept head cannot be read: {error}")
        return None
    if verifier is None:
        found.problems.append("the kept head's signature was not checked: give the log's public key (--key)")
        return checkpoint
    try:
        return verify(note, verifier)
    except ValueError as error:
        found.problems.append(f"the kept head is not one of this log's: {error}")
        return checkpoint


def hold_to(walk: Walk, heads: list[tuple[int, str, str]]) -> None:
    """Holds the chain to heads (position, hash, what it is), lowest first."""
    for position, digest, name in sorted(heads):
        if position > walk.position and not walk.bad:
            walk.fail(walk.position + 1, f"the log ends at position {walk.position}; {name} is of position {position}")
        elif position <= walk.position and walk.wanted.get(position) != digest:
            earlier = position if not walk.bad else min(position, walk.bad)
            walk.bad, walk.why = earlier, f"the event at position {position} is not the one of {name}"


def verify_export(path: Path, note: str | None, verifier: Verifier | None) -> Findings:
    """Checks an export, against a head kept elsewhere if one is given."""
    found = Findings()
    kept = kept_head(found, note, verifier) if note is not None else None
    manifest = _manifest(found, path)
    heads = [(kept.position, kept.hash, "the kept head")] if kept else []
    heads += [(manifest.position, manifest.hash, "its manifest")] if manifest else []
    _follow(found, exported_rows(path), {position for position, _, _ in heads})
    if manifest is not None and manifest.count != found.walk.events:
        found.problems.append(f"the manifest speaks of {manifest.count} events, the file holds {found.walk.events}")
    hold_to(found.walk, heads)
    found.end = _vouching(kept, manifest)
    found.head = note
    return found


@dataclass(frozen=True, slots=True)
class _Manifest:
    count: int
    position: int
    hash: str


def _manifest(found: Findings, export: Path) -> _Manifest | None:
    path = export.with_name(f"{export.name}.manifest.json")
    try:
        told = orjson.loads(path.read_bytes())
        made = _Manifest(int(told["count"]), int(told["head"]["position"]), str(told["head"]["hash"]))
        if told["filter"] or told["format"] != "ndjson":
            found.problems.append("the manifest says that it is no export of the whole log as ndjson")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        found.problems.append(f"{path} is no manifest of an export")
        return None
    return made


def _vouching(kept: Checkpoint | None, manifest: _Manifest | None) -> str:
    if kept is not None:
        return f"the kept head vouches for the events up to position {kept.position}, nothing for those behind it"
    if manifest is not None:
        return "its manifest, which is not signed, speaks of the same last event; a kept head would prove it (--head)"
    return "nothing vouches for the end: events cut off there leave no trace; give a kept head (--head)"


def _follow(found: Findings, rows: Iterator[tuple[bytes, ...]], wanted: set[int]) -> None:
    try:
        follow(found.walk, rows, wanted)
    except UnreadableError as error:
        found.walk.fail(found.walk.position + 1, str(error))
    except damage() as error:
        found.walk.fail(found.walk.position + 1, f"the store is damaged: {sentence_of(error)}")


def verify_live(settings: KeySettings, note: str | None, verifier: Verifier | None) -> Findings:
    """Checks the store as it lies there, in one snapshot."""
    found = Findings()
    for path in settings.files():
        try:
            check_permissions(path)
        except UntrustedStoreError as error:
            found.problems.append(str(error))
    last = _last_signed(found, settings.beside("keys"))
    _compare_keys(found, last, verifier, note)
    kept = kept_head(found, note, verifier or (last.verifier if last else None)) if note is not None else None
    heads = [(last.position, last.hash, "the head signed last")] if last else []
    heads += [(kept.position, kept.hash, "the kept head")] if kept else []
    with _snapshot(settings) as log:
        _follow(found, log.stored_rows(), {position for position, _, _ in heads})
        _hold_to_own_head(found, log)
        hold_to(found.walk, heads)
        try:
            _besides(found, log, settings)
        except damage() as error:
            found.problems.append(f"the store cannot be read whole: {sentence_of(error)}")
        except BrokenChainError as error:
            found.walk.fail(error.position, f"the chain does not hold at position {error.position}")
        except Exception as error:
            if isinstance(error, database_errors()):
                raise  # the database went away: nothing is known of the log
            found.problems.append(f"the log cannot be folded: {type(error).__name__}")
        found.head = last.note or None if last else None
        if found.ok and found.app_key:
            _say(found, log, settings)
    return found


@contextmanager
def _snapshot(settings: KeySettings) -> Iterator[Log]:
    log = log_of(settings)
    try:
        log.snapshot()
        yield log
    finally:
        log.close()


def _last_signed(found: Findings, keys: Path) -> SignedHead | None:
    try:
        return last_signed(keys)
    except FileNotFoundError:
        return None
    except DatabaseError as error:
        found.problems.append(f"{keys} cannot be read: {error}")
    except UntrustedStoreError as error:
        found.problems.append(str(error))
    return None


def _compare_keys(found: Findings, last: SignedHead | None, given: Verifier | None, note: str | None) -> None:
    if given is None:
        return
    if last is not None and last.verifier != given:
        found.problems.append(f"the key given is not the one this log's heads are signed by ({last.verifier.text()})")
    elif last is None and note is None:
        found.problems.append("no head was ever signed here, so that the key given has nothing to hold for")


def _hold_to_own_head(found: Findings, log: Log) -> None:
    walk = found.walk
    unreadable: tuple[type[Exception], ...] = (*damage(), TypeError)
    try:
        position, digest = log.head()
    except unreadable:
        found.problems.append("the log's head cannot be read")
        return
    if walk.bad or (position, digest) == (walk.position, walk.hash):
        return
    first = min(position, walk.position) + 1 if position != walk.position else position
    walk.fail(first, f"the log's head is at position {position}, its last event at {walk.position}")


def _noting_spans(events: Iterator[Event], spans: list[Operated]) -> Iterator[Event]:
    for event in events:
        if event.client_key == OPERATORS and event.type == OPERATOR + DECISIONS and isinstance(event.data, Operated):
            spans.append(event.data)
        yield event


def _besides(found: Findings, log: Log, settings: KeySettings) -> None:
    try:
        found.problems += schema_problems(settings, log)
    except UntrustedStoreError as error:
        found.problems.append(str(error))
    found.problems += [f"the file is not sound: {one}" for one in log.damage()]
    row = log.connection.execute("SELECT app_key FROM events ORDER BY position DESC LIMIT 1").fetchone()
    found.app_key = row[0] if row else ""
    spans: list[Operated] = []
    seen = Folded()
    found.problems += differences(log.connection, _noting_spans(log.by_tenant(), spans), seen)
    if seen.events != found.walk.events:
        found.problems.append(f"the table holds {found.walk.events} events, its index {seen.events}")
    _hold_decisions(found, [span_of(data.particulars) for data in spans], settings)


def _hold_decisions(found: Findings, counted: list[Span], settings: KeySettings) -> None:
    if not counted:
        return
    if not decisions_are_there(settings):
        found.problems.append(f"{place_of(settings)} is not there, but the log has counted decisions")
        return
    digests = digests_of(settings)
    try:
        found.problems += list(filter(None, (digests.problem(span) for span in counted)))
    finally:
        digests.close()


def _say(found: Findings, log: Log, settings: KeySettings) -> None:
    master = _master(settings)
    if master is None or not settings.beside("keys").exists():
        return
    try:
        found.head = said(settings.beside("keys"), master, log)
    except HeadRefusedError as error:
        found.problems += filter(None, (_why_refused(found.walk, settings, str(error)),))
    except UntrustedStoreError as error:
        found.problems.append(str(error))


def _why_refused(walk: Walk, settings: KeySettings, why: str) -> str:
    # whoever serves may have gone on and signed while this was reading its snapshot: that head is held to the log as it
    # is now
    try:
        last = last_signed(settings.beside("keys"))
    except UntrustedStoreError as error:
        return str(error)
    if last is None or last.position <= walk.position:
        return why
    with _snapshot(settings) as now:
        return does_not_extend(now, last.position, last.hash) or does_not_extend(now, walk.position, walk.hash)


def _master(settings: KeySettings) -> MasterKey | None:
    try:
        return settings.master()
    except SettingsError:
        return None
