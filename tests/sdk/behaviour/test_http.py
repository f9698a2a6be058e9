"""What holds for every route: status codes, headers, positions, and refusals of broken requests."""

from collections.abc import Callable

import httpx
import pytest
from conftest import BASE_URL
from courier import Courier
from refusals import assert_refused, refused

BODY_BYTES_MAX = 6 * 1024 * 1024


def position(response: httpx.Response) -> int:
    return int(response.headers["muster-position"])


# Answers


def test_every_call_answers_with_its_status_and_a_position(
    courier: Courier, user_id: str, list_id: str
) -> None:
    profiles = courier.profiles.with_raw_response
    lists = courier.lists.with_raw_response
    subscriptions = courier.lists.subscriptions.with_raw_response
    profile_lists = courier.profiles.lists.with_raw_response
    someone = [{"recipient_id": user_id}]
    writes: list[tuple[int, Callable[[], object]]] = [
        (200, lambda: profiles.create(user_id, profile={"n": 1})),
        (200, lambda: profiles.replace(user_id, profile={"n": 2})),
        (204, lambda: profiles.update(user_id, patch=[{"op": "remove", "path": "/n"}])),
        (204, lambda: profiles.delete(user_id)),
        (204, lambda: lists.update(list_id, name="News")),
        (204, lambda: lists.delete(list_id)),
        (204, lambda: lists.restore(list_id)),
        (204, lambda: subscriptions.add(list_id, recipients=someone)),
        (204, lambda: subscriptions.unsubscribe_user(user_id, list_id=list_id)),
        (204, lambda: subscriptions.subscribe(list_id, recipients=someone)),
        (200, lambda: profile_lists.delete(user_id)),
        (204, lambda: subscriptions.subscribe_user(user_id, list_id=list_id)),
        (200, lambda: profile_lists.subscribe(user_id, lists=[{"list_id": f"{list_id}.b"}])),
    ]
    reads: list[Callable[[], object]] = [
        lambda: profiles.retrieve(user_id),
        lambda: lists.retrieve(list_id),
        lambda: lists.list(),
        lambda: subscriptions.list(list_id),
        lambda: profile_lists.retrieve(user_id),
    ]
    before = 0
    for status, call in writes:
        response = call().http_response
        assert response.status_code == status, response.request
        assert position(response) > before, response.request
        before = position(response)
    for call in reads:
        response = call().http_response
        assert response.status_code == 200, response.request
        # An older SDK reads JSON only when the header is exactly this.
        assert response.headers["content-type"] == "application/json"
        assert position(response) == before, response.request


def test_what_changes_nothing_does_not_move_the_position(
    courier: Courier, user_id: str, list_id: str
) -> None:
    courier.profiles.create(user_id, profile={"n": 1})
    courier.lists.update(list_id, name="News")
    before = courier.lists.with_raw_response.retrieve(list_id)
    courier.profiles.create(user_id, profile={})
    courier.profiles.create(user_id, profile={"n": 1})
    courier.profiles.update(user_id, patch=[])
    courier.profiles.delete(f"{user_id}-absent")
    courier.lists.update(list_id, name="News")
    courier.lists.restore(list_id)
    courier.lists.subscriptions.unsubscribe_user(user_id, list_id=list_id)
    with refused(404):
        courier.lists.delete(f"{list_id}.absent")
    with refused(400):
        courier.profiles.update(user_id, patch=[{"op": "explode", "path": "/n"}])
    after = courier.lists.with_raw_response.retrieve(list_id)
    assert position(after.http_response) == position(before.http_response)


def test_a_body_may_be_missing_where_none_is_needed(wire: httpx.Client, user_id: str, list_id: str) -> None:
    url = f"/lists/{list_id}/subscriptions/{user_id}"
    for content in (b"", b"{}", b'{"preferences": null, "unknown": 1}'):
        assert wire.put(url, content=content).status_code == 204
    for content in (b"", b"{}"):
        assert wire.put(f"/lists/{list_id}/restore", content=content).status_code == 204
    assert wire.request("DELETE", url, content=b"{}").status_code == 204


# Requests that cannot be understood


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}{}", b"not json", b'{"profile": {"a": 01}}', b'{"profile": {"a": "\xff"}}', b"[" * 100_000],
    ids=lambda content: repr(content[:24]),
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_that_is_not_json_is_refused(
    wire: httpx.Client, user_id: str, method: str, content: bytes
) -> None:
    assert_refused(wire.request(method, f"/profiles/{user_id}", content=content), 400)
    assert_refused(wire.get(f"/profiles/{user_id}"), 404)


def test_a_body_above_6_mib_is_refused(wire: httpx.Client, user_id: str) -> None:
    content = b'{"profile": {}}'.ljust(BODY_BYTES_MAX + 1)
    assert_refused(wire.put(f"/profiles/{user_id}", content=content), 413)
    assert_refused(wire.get(f"/profiles/{user_id}"), 404)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("url", ["/_stainless_unknown_path", "/profiles/a/b", "/lists/a/b/c/d", "/profile/a"])
def test_an_unknown_route_is_not_found(wire: httpx.Client, method: str, url: str) -> None:
    assert_refused(wire.request(method, url), 404)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("/profiles/u", {"GET", "POST", "PUT", "PATCH", "DELETE"}),
        ("/profiles/u/lists", {"GET", "POST", "DELETE"}),
        ("/lists", {"GET"}),
        ("/lists/l", {"GET", "PUT", "DELETE"}),
        ("/lists/l/restore", {"PUT"}),
        ("/lists/l/subscriptions", {"GET", "POST", "PUT"}),
        ("/lists/l/subscriptions/u", {"PUT", "DELETE"}),
    ],
)
def test_a_known_route_says_which_methods_it_has(wire: httpx.Client, url: str, allowed: set[str]) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} - allowed:
        response = wire.request(method, url)
        assert_refused(response, 405)
        allow = {name.strip() for name in response.headers["allow"].split(",")}
        assert allow - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Bearer my api key", "My API Key", "Basic TXkgQVBJIEtleQ=="],
)
def test_a_request_without_the_key_is_refused(user_id: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{BASE_URL}/profiles/{user_id}"
    assert_refused(httpx.put(url, headers=headers, json={"profile": {"a": 1}}), 401)
    assert_refused(httpx.get(url, headers=headers), 401)
