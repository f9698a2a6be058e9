"""What every refusal must look like, whoever sent the request."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from courier import APIStatusError


@contextmanager
def refused(status: int, path: str | None = None) -> Iterator[None]:
    """The SDK call in the block is refused; `path` points to the field at fault."""
    with pytest.raises(APIStatusError) as caught:
        yield
    assert_refused(caught.value.response, status, path)


def assert_refused(response: httpx.Response, status: int, path: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["muster-position"]) >= 0
    body = response.json()
    types = {401: "authentication_error", 403: "authorization_error", 429: "rate_limit_error"}
    assert body["type"] == types.get(status, "invalid_request_error")
    for member in ("message", "code", "request_id"):
        assert isinstance(body[member], str) and body[member], body
    if path is not None:
        assert f"{body.get('path')}/".startswith(f"{path}/"), body
