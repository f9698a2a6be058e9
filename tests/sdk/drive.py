"""Starts the server on an empty data directory, runs both sets of tests, stops it, and counts."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
SUITE = TARGET / "sdk-suite"
SERVER_LOG = TARGET / "sdk-server.log"

# A new area adds its files of the official suite here, and its rows to plugins/world.py.
SUITE_FILES = [
    "tests/api_resources/test_profiles.py",
    "tests/api_resources/profiles/test_lists.py",
    "tests/api_resources/test_lists.py",
    "tests/api_resources/lists/test_subscriptions.py",
    "tests/api_resources/test_audiences.py",
    "tests/api_resources/test_tenants.py",
    "tests/api_resources/tenants/preferences/test_items.py",
    "tests/api_resources/users/test_tenants.py",
    "tests/api_resources/users/test_preferences.py",
    "tests/api_resources/users/test_tokens.py",
    "tests/api_resources/test_workspace_preferences.py",
    "tests/api_resources/workspace_preferences/test_topics.py",
    "tests/api_resources/test_brands.py",
    "tests/api_resources/test_auth.py",
    "tests/api_resources/test_audit_events.py",
    "tests/api_resources/test_send.py",
    "tests/api_resources/test_messages.py",
    "tests/api_resources/test_bulk.py",
    "tests/api_resources/test_requests.py",
    "tests/api_resources/test_inbound.py",
    "tests/api_resources/tenants/test_templates.py",
    "tests/api_resources/tenants/templates/test_versions.py",
]

API_KEY = "My API Key"  # The official suite has it written into its code.
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

Tally = dict[str, Counter[str]]


class Fault(Exception):
    """What went wrong outside any single test. Counts as one failure."""


def main() -> None:
    binary = find_binary()
    print(f"sdk: testing {binary}", flush=True)
    tally: Tally = {}
    try:
        with tempfile.TemporaryDirectory(prefix="muster-sdk-") as scratch:
            with serving(binary, Path(scratch)) as base_url:
                tally |= run_pytest(base_url, SUITE, ["-n0", "-p", "unskip", "-p", "world", *SUITE_FILES])
                tally |= run_pytest(base_url, HERE, ["behaviour"])
    except Fault as fault:
        print(f"sdk: {fault}")
        tally["fault"] = Counter(failed=1)
    report(tally)


def find_binary() -> Path:
    if chosen := os.environ.get("MUSTER_BIN"):
        built = [Path(chosen).resolve()]
    else:
        built = [TARGET / profile / "muster" for profile in ("release", "debug")]
    found = [binary for binary in built if binary.is_file()]
    if not found:
        sys.exit("sdk: no muster binary: run `cargo build` or set MUSTER_BIN")
    # The newer one: a release build from last week says nothing about today's code.
    return max(found, key=lambda binary: binary.stat().st_mtime)


@contextmanager
def serving(binary: Path, scratch: Path) -> Iterator[str]:
    """Serves until the block ends. A server that does not stop as it should fails the run."""
    with SERVER_LOG.open("wb") as log:
        server = subprocess.Popen(
            [binary, "serve", "--data-dir", scratch / "data", "--listen", "127.0.0.1:0"],
            env=os.environ | {"MUSTER_API_KEY": API_KEY},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            base_url = announced_url(server)
            threading.Thread(target=shutil.copyfileobj, args=(server.stdout, log), daemon=True).start()
            await_ready(server, base_url)
            yield base_url
            server.send_signal(signal.SIGTERM)
            if code := server.wait(STOP_SECONDS_MAX):
                raise Fault(f"the server ended with {code} on SIGTERM, see {SERVER_LOG}")
        finally:
            server.kill()
            server.wait()
    if b"panicked at" in SERVER_LOG.read_bytes():
        raise Fault(f"the server panicked, see {SERVER_LOG}")


def announced_url(server: subprocess.Popen[bytes]) -> str:
    # Killing a silent server ends its output, and with it the loop.
    watchdog = threading.Timer(START_SECONDS_MAX, server.kill)
    watchdog.start()
    try:
        for line in server.stdout:
            if url := re.search(rb"http://127\.0\.0\.1:\d+", line):
                return url[0].decode()
    finally:
        watchdog.cancel()
    raise Fault(f"the server printed no base URL, see {SERVER_LOG}")


def await_ready(server: subprocess.Popen[bytes], base_url: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base_url}/readyz", timeout=5):
                return
        except URLError:
            pass
        try:
            server.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            pass
    raise Fault(f"the server did not become ready, see {SERVER_LOG}")


def run_pytest(base_url: str, folder: Path, arguments: list[str]) -> Tally:
    results = TARGET / f"{folder.name}-results.xml"
    results.unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "expected"]
    outcome = subprocess.run(
        [*pytest, f"--junitxml={results}", "-o", "junit_family=xunit1", *arguments],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(HERE / "plugins"), "TEST_API_BASE_URL": base_url, "NO_PROXY": "127.0.0.1"},
    )
    if outcome.returncode not in (0, 1):
        raise Fault(f"pytest in {folder} ended with {outcome.returncode}")
    return read_tally(results)


def read_tally(results: Path) -> Tally:
    tally: Tally = {}
    for case in ElementTree.parse(results).iter("testcase"):
        tally.setdefault(case.get("file", "?"), Counter())[outcome_of(case)] += 1
    return tally


def outcome_of(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    # A test that was skipped for any other reason has shown nothing.
    return "expected" if skipped.get("type") == "pytest.xfail" else "failed"


def report(tally: Tally) -> None:
    print(f"\n{'file':<52}{'passed':>8}{'failed':>8}{'expected':>10}")
    for file, counts in tally.items():
        print(f"{file:<52}{counts['passed']:>8}{counts['failed']:>8}{counts['expected']:>10}")
    total = sum(tally.values(), Counter())
    print(f"{total['passed']} passed, {total['failed']} failed")
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
