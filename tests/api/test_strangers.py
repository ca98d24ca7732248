"""What a stranger sends costs next to nothing, and crowds nobody out."""

import asyncio
import time
import uuid
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import run
from support.house import House
from tenure.api.evidence import BLOT, clean
from tenure.api.turns import FullError, Turns
from tenure.domain.decisions import Amended, Decision, Entry, Wanted
from tenure.simulator import tokens
from tenure.simulator.keyhost import Answer
from tenure.store.decisions import SqliteDecisions, open_decisions

TOKEN = tokens.hs256({"iss": "a-tenant-of-some-length", "iat": 1, "exp": 2, "qsh": "0" * 64}, "s" * 64)


@pytest.mark.parametrize(
    "text", ["." + "ey" * 31000, ".eyey" * 12000, "eyJ" + "a" * 60000 + ".", "tnr_" * 15000, "%2" * 30000]
)
def test_blotting_takes_linear_time(text: str) -> None:
    """64 KiB made to look like the beginnings of tokens are gone through in milliseconds."""
    started = time.perf_counter()
    clean(text)
    assert time.perf_counter() - started < 0.1


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([".", "%2E", "%2e"]))
def test_tokens_are_blotted_out(before: str, after: str, dot: str) -> None:
    """A token in a text is not in what is kept of it, also with its dots escaped, whatever stands around it."""
    kept = clean(f"{before} {TOKEN.replace('.', dot)} {after}")
    assert BLOT in kept
    assert not any(part in kept for part in TOKEN.split("."))


def test_a_long_query_of_a_stranger_is_not_gone_through(signed: House) -> None:
    """A forged token with 60 KB of query takes about as long as one with none."""
    site = signed.installed()
    forged = site._token("/webhooks", "HS256", secret="x" * 64)
    with httpx.Client(headers={"Authorization": f"JWT {forged}"}, trust_env=False) as client:

        def took(query: str) -> float:
            answer = client.post(f"{signed.url}/webhooks{query}")
            assert (answer.status_code, signed.reason(answer)) == (401, "signature_bad")
            return float(signed.decision(answer)["took_ms"])

        long = "?" + "&".join(f"a{n}=%20b" for n in range(6000))
        assert min(took(long) for _ in range(5)) < min(took("") for _ in range(5)) + 15


def test_an_unproved_body_is_not_read_as_json(signed: House) -> None:
    """256 KB of JSON under a forged token hold nobody up: the body is parsed only when the signature holds."""
    site = signed.installed()
    forged = site.lifecycle_token("enabled", alg="HS256", secret="x" * 64)
    body = ("{" + ",".join(f'"{n}":[[[1]]]' for n in range(16000)) + ',"\\u0041":1}').encode()
    answer = httpx.post(f"{signed.url}/enabled", content=body, headers={"Authorization": f"JWT {forged}"})
    assert (answer.status_code, signed.reason(answer)) == (401, "signature_bad")
    assert signed.stored(answer).facts.body_client_key is None


def test_invented_kids_do_not_shut_out_an_honest_one(tmp_path: Path) -> None:
    """While one address has kids asked that nobody knows, another's new key is found within its own turn."""
    with House(tmp_path, {"TRUSTED_PROXIES": "127.0.0.0/8"}) as house:
        house.keys.unknown = Answer(404, b"", delay=0.1)
        done = Event()

        def flood() -> None:
            stranger = house.site()
            with httpx.Client(headers={"X-Forwarded-For": "203.0.113.9"}, trust_env=False) as client:
                while not done.is_set():
                    token = stranger.lifecycle_token("installed", alg="RS256", header={"kid": str(uuid.uuid4())})
                    client.post(f"{house.url}/installed", content=b"{}", headers={"Authorization": f"JWT {token}"})

        threads = [Thread(target=flood) for _ in range(24)]
        for thread in threads:
            thread.start()
        try:
            assert [house.site().install().status for _ in range(5)] == [204] * 5
        finally:
            done.set()
            for thread in threads:
                thread.join()


def test_turns_go_round_by_caller() -> None:
    """A caller with one who waits has its turn before the second of a caller with many; too many are turned away."""

    async def play() -> list[str]:
        turns, order, release = Turns(1, 3, 5), [], asyncio.Event()

        async def one(caller: str) -> None:
            async with turns.of(caller):
                order.append(caller)
                await release.wait()

        waiting = [asyncio.create_task(one("many")) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            await one("many")
        waiting.append(asyncio.create_task(one("honest")))
        gone = asyncio.create_task(one("left"))
        await asyncio.sleep(0)
        with pytest.raises(FullError):
            await one("one too many")
        gone.cancel()
        release.set()
        await asyncio.gather(*waiting)
        async with turns.of("after"):
            return order

    assert asyncio.run(play()) == ["many", "many", "honest", "many", "many"]


def test_a_tenants_own_refusals_have_room_of_their_own(tmp_path: Path) -> None:
    """A flood of unproved refusals takes no room from refusals whose signature held."""
    open_decisions(tmp_path / "decisions.db")
    log = SqliteDecisions(tmp_path / "decisions.db")
    log.record([Entry(_refused(n, f"reason{n % 8}", "")) for n in range(6000)])
    log.record([Entry(_refused(n, "qsh_mismatch", "tenant")) for n in range(6000, 6100)])
    assert log.total(Wanted(client_key="tenant")).kept == 100
    log.close()


def test_a_full_disk_fills_no_memory(tmp_path: Path) -> None:
    """What could not be written is remembered as a number only, and told as dropped when there is room again."""
    open_decisions(tmp_path / "decisions.db")
    log, other = SqliteDecisions(tmp_path / "decisions.db"), SqliteDecisions(tmp_path / "decisions.db")
    other._execute("BEGIN IMMEDIATE")
    for n in range(3):
        entry = Entry(_refused(n, "expired", ""))
        with pytest.raises(Exception, match="locked"):
            log.record([entry])
        with pytest.raises(Exception, match="locked"):
            log.record([Amended(entry, "unrecordable", 503)])
    assert not log._owed
    other._execute("ROLLBACK")
    log.flush()
    assert log._execute("SELECT sum(dropped) FROM totals").fetchone() == (3,)
    log.close()
    other.close()


@pytest.mark.parametrize("status", [600, 700, 999])
def test_an_upstream_status_beyond_http_is_502(signed: House, status: int) -> None:
    """An upstream that answers with a status that is none is answered 502, so that Jira tries again."""
    site = signed.installed()
    signed.receiver.script.append(status)
    assert site.webhook().status == 502


def test_an_erased_legacy_site_may_return(legacy: House) -> None:
    """An erased tenant is unknown: in legacy mode its unsigned install is a first one, behind its bare history."""
    site = legacy.site()
    assert site.legacy_install(False).status == 204
    told = {name: legacy.settings[name] for name in ("APP_KEY", "MASTER_KEY")}
    ran = run(legacy.folder, "erase", site.client_key, "--installed", "--yes", settings=told)
    assert ran.status == 0, ran
    assert site.legacy_install(False, True).status == 204
    assert [event.type for event in legacy.events(site.client_key)] == ["installed", "erased", "installed"]
    assert site.webhook().status == 200


def _refused(number: int, reason: str, client_key: str) -> Decision:
    return Decision(
        decision=f"{number:032x}", at="2026-01-01T00:00:00.000000Z", kind="webhook", verdict="refused", reason=reason,
        detail="", client_key=client_key, claimed_client_key="", method="POST", path="/webhooks", status=401,
        took_ms=1.0, read_position=0,
    )  # fmt: skip
