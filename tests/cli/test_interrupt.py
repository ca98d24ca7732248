"""Ctrl-C at any moment ends a command with status 130 or in order, and never with a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.commands import ended, free_port
from support.house import APP_KEY, BASE_URL
from tenure.store.masters import new_master_key

THIN = "import sys; before = set(sys.modules); import tenure.__main__; print(*set(sys.modules) - before)"


def _children(parent: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_the_entry_point_imports_nothing_of_ours_or_of_others() -> None:
    """What is imported before Ctrl-C is heard is the entry point itself and the standard library's signals."""
    ran = subprocess.run([sys.executable, "-c", THIN], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) <= {"tenure", "tenure.__main__", "signal", "enum", "types", "functools",
                                       "collections", "operator", "keyword", "reprlib", "_collections", "_functools",
                                       "_operator", "itertools"}  # fmt: skip


@pytest.mark.parametrize("after", [0.1, 0.25, 0.5])
def test_a_command_interrupted_among_its_imports_is_status_130(tmp_path: Path, after: float) -> None:
    """Ctrl-C in the first moments: 130 and not a word, whether the imports are done by then or not."""
    command = [sys.executable, "-c", "import tenure.__main__ as m; print(flush=True); m.main()", "simulate", "keys",
               "--key-port", str(free_port())]  # fmt: skip
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ended(started) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "\n"
        time.sleep(after)  # the moment is the case itself: there is no sign to wait for in the midst of an import
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert err == ""
    assert child.returncode == (0 if "ending" in out else 130)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
@pytest.mark.parametrize("after", [0.0, 0.2, 1.0])
def test_workers_interrupted_while_they_start_say_nothing(tmp_path: Path, after: float) -> None:
    """Ctrl-C in a terminal goes to parent and workers at once: all end, without a traceback of workers that start."""
    settings = {"TENURE_APP_KEY": APP_KEY, "TENURE_BASE_URL": BASE_URL, "TENURE_MASTER_KEY": new_master_key()}
    started = subprocess.Popen(
        [sys.executable, "-m", "tenure", "serve", "--port", "0", "--internal-port", "0", "--workers", "2"],
        cwd=tmp_path, env=os.environ | settings, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with ended(started) as child:
        assert child.stderr is not None
        assert '"serving"' in child.stderr.readline()
        while len(_children(child.pid)) < 3:  # two workers, and what multiprocessing keeps beside them
            time.sleep(0.005)
        time.sleep(after)
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert "Traceback" not in err
    assert child.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the service is found in /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP], ids=["told to end", "terminal closed"])
def test_a_demo_that_is_kept_leaves_nothing_behind(tmp_path: Path, sent: signal.Signals) -> None:
    """Ended from outside, `demo --keep` takes its service and its folder along."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tenure", "demo", "--keep"],
        cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with ended(started) as child:
        assert child.stdout is not None
        assert any("Look into it" in line for line in child.stdout)
        services = _children(child.pid)
        child.send_signal(sent)
        assert child.wait(60) == 128 + sent
    assert services
    assert not [service for service in services if Path(f"/proc/{service}").exists()]
    assert not list(tmp_path.iterdir())
