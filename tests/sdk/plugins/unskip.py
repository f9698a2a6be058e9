"""Lets the SDK's generated API tests run: each is marked as skipped for want of a mock server."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.own_markers[:] = [mark for mark in item.own_markers if not _waits_for_mock_server(mark)]


def _waits_for_mock_server(mark: pytest.Mark) -> bool:
    return mark.name == "skip" and mark.kwargs.get("reason") == "Mock server tests are disabled"
