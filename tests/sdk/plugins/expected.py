"""Marks the tests listed in expected_failures.txt: they must fail, and passing is a failure.

A line is the beginning of a node id, two spaces and the reason. Blank lines and comments are free.
"""

from pathlib import Path

import pytest

LIST = Path(__file__).parent.parent / "expected_failures.txt"


# First, so that a selection with -k does not make an entry look stale.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = {_file(item.nodeid) for item in items}
    for prefix, reason in _entries():
        matching = [item for item in items if item.nodeid.startswith(prefix)]
        if not matching and _file(prefix) in files:
            raise pytest.UsageError(f"{LIST.name}: no test begins with {prefix}")
        for item in matching:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _entries() -> list[tuple[str, str]]:
    lines = (line.strip() for line in LIST.read_text().splitlines())
    entries = [tuple(line.split("  ", 1)) for line in lines if line and not line.startswith("#")]
    if any(len(entry) < 2 for entry in entries):
        raise pytest.UsageError(f"{LIST.name}: a line needs a reason, two spaces after the node id")
    return entries
