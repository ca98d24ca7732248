"""`tenure export`: the log or a filter of it as a file, with a manifest that says what is in it and what it hashes to.

Every stored column of each event is in it, and nothing else: whoever has the whole log as NDJSON can follow its chain
(`tenure log verify --export`).

The head is read first and nothing behind it is exported, so that the manifest's head is that of what was written. That
it was exported, and by whom, is an event of the operators' stream.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer

from tenure import operators
from tenure.api.formats import lines
from tenure.cli.archive import archive
from tenure.cli.audit import Json, not_empty, only
from tenure.cli.output import emit, guarded, moment, new_file, settings_of, undone
from tenure.domain import questions
from tenure.projections.archive import Archive
from tenure.settings import StoreSettings
from tenure.store.codec import STORED
from tenure.stores import log_of


class Format(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    CSV = "csv"
    CLOUDEVENTS = "cloudevents"


class _Written:
    """Counts and hashes what passes through."""

    def __init__(self) -> None:
        self.count, self.first, self.last = 0, 0, 0
        self.digest = hashlib.sha256()
        self.app_key = ""

    def items(self, room: Archive, chosen: questions.EventFilter, after: int, head: int) -> Iterator[dict[str, Any]]:
        for item in takewhile(lambda item: item["position"] <= head, room.stored(chosen, after)):
            self.count += 1
            self.first, self.last = self.first or item["position"], item["position"]
            self.app_key = item["app_key"]
            yield item

    def bytes(self, texts: Iterable[str]) -> Iterator[bytes]:
        for text in texts:
            raw = text.encode()
            self.digest.update(raw)
            yield raw


def export(
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.NDJSON,
    out: Annotated[Path | None, typer.Option("--out", help="A new file; beside it FILE.manifest.json.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", callback=not_empty, help="Only this tenant's.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only this type.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    kid: Annotated[str | None, typer.Option(help="Only what this install key proved.")] = None,
    after: Annotated[int, typer.Option(help="Only later positions.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """The log as a file with a manifest. Example: tenure export --format csv --since 28d --out events.csv"""
    written = _Written()
    with archive() as room:
        chosen = questions.EventFilter(
            client_key=only(room.find(tenant), tenant).client_key if tenant else None, type=kind,
            since=moment(since) if since is not None else None,
            until=moment(until) if until is not None else None, kid=kid,
        )  # fmt: skip
        position, digest = room.events.head()
        texts = lines(form.value, written.items(room, chosen, after, position), STORED)
        spool = _write(out, written.bytes(texts))
    asked = {name: value for name, value in asdict(chosen).items() if value is not None}
    by, origin = operators.who()
    manifest = {
        "format": form.value,
        "filter": asked | ({"after": after} if after else {}),
        "first": written.first,
        "last": written.last,
        "count": written.count,
        "head": {"position": position, "hash": digest},
        "digest": f"sha256:{written.digest.hexdigest()}",
        "made_at": datetime.now(UTC).strftime(questions.STORED),
        "by": by,
        "origin": origin,
    }
    with undone(*([out] if out is not None else [])):
        note_export(written.app_key, manifest)
    if out is None or spool is not None:
        assert spool is not None  # noqa: S101 (for the type checker: there is one just where there is no file)
        # told first, then given away
        shutil.copyfileobj(spool, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        typer.echo(orjson.dumps(manifest).decode(), err=True)
        return
    _write(out.with_name(f"{out.name}.manifest.json"), [orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n"])
    emit(manifest, as_json)


def _write(out: Path | None, pieces: Iterable[bytes]) -> IO[bytes] | None:
    """The pieces in a new file, or in one without a name, to be read from its beginning."""
    if out is None:
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (it is given on)
        spool.writelines(pieces)
        spool.seek(0)
        return spool
    new_file(out, pieces)
    return None


def note_export(app_key: str, manifest: dict[str, Any]) -> None:
    """Appends that something was exported, with these of the manifest's members."""
    if not app_key:
        return  # nothing was exported, and whose nothing cannot be said
    told = {name: manifest[name] for name in ("format", "filter", "first", "last", "count", "digest")}
    with guarded():
        log = log_of(settings_of(StoreSettings), read_only=False)
        try:
            operators.note(log, app_key, "exported", **told)
        finally:
            log.close()
