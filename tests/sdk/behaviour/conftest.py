"""A strict client of the server under test, and ids that no other test uses."""

import os
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from courier import Courier

BASE_URL = os.environ["TEST_API_BASE_URL"]
API_KEY = "My API Key"


@pytest.fixture(scope="session")
def courier() -> Iterator[Courier]:
    """Refuses any answer that is not of the documented shape, and never tries a call again."""
    with Courier(
        base_url=BASE_URL, api_key=API_KEY, max_retries=0, _strict_response_validation=True
    ) as courier:
        yield courier


@pytest.fixture(scope="session")
def wire() -> Iterator[httpx.Client]:
    """For what the SDK would not send."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    with httpx.Client(base_url=BASE_URL, headers=headers, timeout=60) as wire:
        yield wire


@pytest.fixture
def user_id() -> str:
    return f"user-{uuid4().hex}"


@pytest.fixture
def list_id() -> str:
    return f"list-{uuid4().hex}"
