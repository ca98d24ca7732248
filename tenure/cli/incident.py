"""`tenure incident`: a case as one redacted file, and looking into such a file without a database or any key."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tenure import __version__
from tenure.api.console.render import standalone
from tenure.cli.archive import archive
from tenure.cli.audit import Json, TenantName, only
from tenure.cli.export import note_export
from tenure.cli.investigate import tell_diagnosis, tell_explanation
from tenure.cli.output import emit, fail, moment, new_file, paragraph, settings_of, table
from tenure.cli.output import plain as plain_text
from tenure.cli.timeline import tell as tell_timeline
from tenure.domain.decisions import Decision, Wanted
from tenure.domain.questions import STORED
from tenure.domain.tenant import fold_stream
from tenure.keydesk import head_signed_last
from tenure.projections.archive import CALLS_READ
from tenure.projections.case import STARTED, Case
from tenure.projections.diagnosis import diagnose
from tenure.projections.explain import Explanation, Known, explain
from tenure.projections.incident import cannot_show, plain, redacted
from tenure.projections.settings import policy_of
from tenure.projections.shown import event_fields, explanation_fields
from tenure.projections.timeline import timeline
from tenure.projections.timeline_svg import picture
from tenure.settings import StoreSettings
from tenure.store.case_file import NotAnIncidentError, Unpacked, packed, unpacked

incident_app = typer.Typer(no_args_is_help=True, help="A case as one file. Example: tenure incident open FILE")


@incident_app.command("pack")
def incident_pack(
    name: TenantName,
    out: Annotated[Path, typer.Option("--out", help="A new file; gzipped if it ends in .gz.")],
    since: Annotated[str, typer.Option(help="From this time on: ISO 8601 with zone, or an age such as 12h.")] = "12h",
    until: Annotated[str | None, typer.Option(help="Up to this time (default: now).")] = None,
    as_json: Json = False,
) -> None:
    """A case as one redacted file, for a ticket. Example: tenure incident pack acme.atlassian.net --out case.json.gz"""
    begins, ends = moment(since), moment(until) if until else datetime.now(UTC).strftime(STORED)
    with archive() as room:
        tenant = only(room.find(name), name)
        case = room.case(tenant.client_key, begins, ends)
        head, head_hash = room.events.head()
        total = room.decisions.total(Wanted(client_key=tenant.client_key, since=begins, until=ends))
        oldest = room.decisions.oldest()
    told = list(cannot_show(total.counted, total.kept, len(case.calls), CALLS_READ, oldest, begins))
    manifest: dict[str, Any] = {
        "tenure": __version__,
        "made_at": datetime.now(UTC).strftime(STORED),
        "client_key": tenant.client_key,
        "base_url": tenant.base_url,
        "since": begins,
        "until": ends,
        "events": len(case.history),
        "calls": len(case.calls),
        "head": {"position": head, "hash": head_hash},
        "signed_head": _signed_head(),
    }
    case = redacted(case)
    content = {"manifest": manifest, "cannot_show": told, "case": plain(case), "diagnosis": asdict(diagnose(case))}
    raw, digest = packed(out.name, content)
    new_file(out, [raw])
    positions = [event.position for event in case.history] or [0]
    note_export(tenant.app_key, {
        "format": "incident", "filter": {"client_key": tenant.client_key, "since": begins, "until": ends},
        "first": positions[0], "last": positions[-1], "count": len(case.history), "digest": digest,
    })  # fmt: skip
    shown = {"file": str(out), "bytes": len(raw), **manifest, "cannot_show": told}
    if as_json:
        emit(shown, True)
        return
    typer.echo(f"{out}: {len(raw)} bytes, {len(case.history)} events, {len(case.calls)} calls. It cannot show:")
    _tell_list(told)


def _signed_head() -> str:
    try:
        found = head_signed_last(settings_of(StoreSettings))
    except FileNotFoundError:
        return ""
    return found.note if found else ""


def _tell_list(sentences: list[str] | tuple[str, ...]) -> None:
    for one in sentences:
        paragraph(one, "  - ", "    ")


@incident_app.command("open")
def incident_open(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tenure incident pack` wrote.")],
    decision: Annotated[str | None, typer.Option("--decision", help="Explain this one of its decisions.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with all of it to this new file.")] = None,
    as_json: Json = False,
) -> None:
    """Look into an incident file, anywhere. Example: tenure incident open case.json.gz --html case.html"""
    try:
        found = unpacked(file)
    except NotAnIncidentError as error:
        raise fail(f"{file} is no incident file: {error}", 1) from None
    except OSError as error:
        raise fail(f"{file} cannot be read ({error.strerror})", 1) from None
    case = _case(found)
    if decision is not None:
        _tell_decision(found, case, decision, as_json)
    else:
        _tell(found, case, html, as_json)
    if not found.intact:
        raise fail(f"{file} was changed after it was packed: its digest is not that of its content", 1)


def _case(found: Unpacked) -> Case:
    return Case(
        found.name, found.since, found.until, fold_stream(found.history), found.history, found.calls,
        found.last_accepted, found.siblings, found.elsewhere, found.others, found.around,
    )  # fmt: skip


def _explained(case: Case, call: Decision) -> Explanation:
    deciding: dict[str, Any] = {}
    for event in case.around:
        told = getattr(event.data, "particulars", {}) if event.type == STARTED else {}
        if told.get("settings") == call.facts.settings:
            deciding = told.get("deciding") or {}
    policy = policy_of(deciding) if deciding else None
    return explain(Known(call, case.history, case.siblings, policy, str(deciding.get("base_path", ""))))


def _tell_decision(found: Unpacked, case: Case, decision: str, as_json: bool) -> None:
    call = next((call for call in found.calls if call.decision == decision), None)
    if call is None:
        raise fail(f"there is no decision {decision} in this file", 1)
    tell_explanation(call, _explained(case, call), as_json)


def _tell(found: Unpacked, case: Case, html: Path | None, as_json: bool) -> None:
    life, diagnosis = timeline(case), diagnose(case)
    integrity = "Its digest holds." if found.intact else "NOT as it was packed: its digest does not hold."
    if html is not None:
        calls = [explanation_fields(call, _explained(case, call)) for call in case.calls]
        rows = [call | {"explained": _explained(case, made)} for call, made in zip(calls, case.calls, strict=True)]
        page = standalone(
            "incident_file.html", life=life, svg=picture(life), diagnosis=diagnosis, calls=rows,
            history=[event_fields(event) for event in case.history], cannot_show=found.cannot_show,
            manifest=list(_manifest(found).items()), signed_head=_head_lines(found), integrity=integrity,
        )  # fmt: skip
        new_file(html, [page.encode()])
        if not as_json:
            return
    if as_json:
        emit({
            "intact": found.intact, "manifest": found.manifest, "cannot_show": list(found.cannot_show),
            "diagnosis": asdict(diagnosis), "timeline": asdict(life),
        }, True)  # fmt: skip
        return
    typer.echo(integrity)
    emit(_manifest(found), False)
    for line in _head_lines(found):
        typer.echo(f"  {plain_text(line)}".rstrip())
    typer.echo("\nwhat this file cannot show")
    _tell_list(found.cannot_show)
    typer.echo("")
    tell_timeline(life)
    typer.echo("")
    tell_diagnosis(diagnosis)
    typer.echo("\ncalls (explained with --decision)")
    rows = [{"at": call.at, "kind": call.kind, "answer": call.reason or str(call.status), "decision": call.decision}
            for call in case.calls]  # fmt: skip
    table(rows, ("at", "kind", "answer", "decision"), False)


def _manifest(found: Unpacked) -> dict[str, str]:
    return {name: _word(value) for name, value in found.manifest.items() if name != "signed_head"}


def _head_lines(found: Unpacked) -> list[str]:
    return str(found.manifest.get("signed_head", "")).splitlines()[:20]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
