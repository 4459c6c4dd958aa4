"""`starlingd demo` as a person runs it: a process of its own."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson

STARLINGD = Path(sys.executable).parent / "starlingd"
SMALL = ("--accounts", "2000", "--rate", "5")
PATIENCE = 180


def demo(*arguments: str) -> subprocess.Popen[str]:
    whole = [STARLINGD, "demo", *SMALL, *arguments]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_run(process: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for the page's address, then for the first run; return it."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{found[0]}/api/v1/runs/latest", timeout=5) as answer:
                return orjson.loads(answer.read())
        except urllib.error.HTTPError:
            time.sleep(0.2)
    raise TimeoutError("the demo gave no run")


def test_the_demo_ends_by_itself_with_runs_a_summary_and_a_picture(tmp_path: Path) -> None:
    svg = tmp_path / "demo.svg"
    process = demo("--for", "25s", "--port", "0", "--speed", "240", "--picture", str(svg))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err == ""
    assert "The page is on http://127.0.0.1:" in out
    said = re.search(r"(\d+) runs in \d+ s: ([\d,]+) events folded, ([\d,]+) attributions published", out)
    assert said is not None
    assert int(said[1]) > 0
    assert "A panel of the 100 most visible accounts would give the head" in out
    assert svg.read_text().startswith("<svg")


def test_an_interrupt_ends_the_demo_cleanly_and_the_api_has_served() -> None:
    process = demo("--port", "0")
    try:
        run = until_run(process)
        assert run["lens"] == "all"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = demo("--port", port)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert f"127.0.0.1:{port} is taken" in err


def test_a_picture_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    process = demo("--picture", str(tmp_path / "absent" / "demo.svg"))
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert "there is no directory" in err
