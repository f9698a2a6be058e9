"""The inbox of a person: what came, what was read, and what comes."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused
from routes import key_client, with_credential
from sending import inbox, sent

ROUTING = {"method": "all", "channels": ["inbox"]}


@pytest.fixture
def person(courier: Courier, user_id: str) -> str:
    courier.profiles.replace(user_id, profile={"name": "Ada"})
    return user_id


def told(courier: Courier, wire: httpx.Client, user_id: str, title: str, **more: Any) -> str:
    content = {"title": title, "body": "Text"}
    return sent(courier, wire, {"user_id": user_id}, content=content, routing=ROUTING, **more).id


def titles(wire: httpx.Client, user_id: str, **query: Any) -> list[str]:
    return [it["title"] for it in inbox(wire, user_id, **query)["items"]]


def unread(wire: httpx.Client, user_id: str, **query: Any) -> int:
    count = wire.get(f"/v1/users/{user_id}/inbox/unread", params=query).json()["unread"]
    assert inbox(wire, user_id, **query)["unread"] == count
    return count


def mark(wire: httpx.Client, user_id: str, name: str, *ids: str, **query: Any) -> int:
    body: Any = {"mark": name} | ({"message_ids": ids} if ids else {"all": True})
    response = wire.post(f"/v1/users/{user_id}/inbox/marks", json=body, params=query)
    assert response.status_code == 200, response.text
    return response.json()["changed"]


def test_what_came_is_there_as_it_was_told(courier: Courier, wire: httpx.Client, person: str) -> None:
    elements = [
        {"type": "meta", "title": "For {{profile.name}}"},
        {"type": "text", "content": "Hello"},
        {"type": "image", "src": "https://example.com/a.png"},
        {"type": "action", "content": "Go", "href": "https://example.com/"},
    ]
    content = {"version": "2022-01-01", "elements": elements}
    message = sent(courier, wire, {"user_id": person}, content=content, routing=ROUTING, data={"n": 1})
    [item] = inbox(wire, person)["items"]
    assert (item["message_id"], item["title"], item["image"]) == (message.id, "For Ada", "https://example.com/a.png")
    assert item["body"].startswith("Hello")
    assert item["actions"] == [{"content": "Go", "href": "https://example.com/"}]
    assert item["data"] == {"n": 1}
    assert [item[it] for it in ("opened_at", "read_at", "archived_at", "clicked_at")] == [None] * 4
    assert wire.get(f"/v1/users/{person}/inbox/messages/{message.id}").json() == item
    assert_refused(wire.get(f"/v1/users/{person}/inbox/messages/nothing"), 404)
    assert_refused(wire.get(f"/v1/users/other-{person}/inbox/messages/{message.id}"), 404)


def test_marks_are_made_once_and_taken_back(courier: Courier, wire: httpx.Client, person: str) -> None:
    one, two, three = (told(courier, wire, person, title) for title in ("one", "two", "three"))
    assert titles(wire, person) == ["three", "two", "one"]
    assert unread(wire, person) == 3
    assert [mark(wire, person, "read", one, two) for _ in range(2)] == [2, 0]
    assert unread(wire, person) == 1
    assert titles(wire, person, read=True) == ["two", "one"]
    assert titles(wire, person, read=False) == ["three"]
    assert mark(wire, person, "unread", one) == 1
    assert mark(wire, person, "archived", three, "nothing") == 1
    assert (titles(wire, person), titles(wire, person, archived=True)) == (["two", "one"], ["three"])
    assert unread(wire, person) == 1, "what is archived is not counted"
    assert mark(wire, person, "unarchived", three) == 1
    assert (unread(wire, person), mark(wire, person, "read"), unread(wire, person)) == (2, 2, 0)
    assert mark(wire, f"other-{person}", "read", one) == 0


def test_an_inbox_is_paged_newest_first(courier: Courier, wire: httpx.Client, person: str) -> None:
    for number in range(5):
        told(courier, wire, person, str(number))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = inbox(wire, person, limit=2, cursor=cursor)
        seen += [it["title"] for it in page["items"]]
        told(courier, wire, person, "late")
        cursor = page["paging"]["cursor"]
    assert seen == ["4", "3", "2", "1", "0"]


def test_a_tenant_has_its_own_part(courier: Courier, wire: httpx.Client, person: str) -> None:
    tenant = f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant, name="Tenant")
    told(courier, wire, person, "here", context={"tenant_id": tenant})
    told(courier, wire, person, "there")
    assert titles(wire, person) == ["there", "here"]
    assert (titles(wire, person, tenant_id=tenant), unread(wire, person, tenant_id=tenant)) == (["here"], 1)
    assert mark(wire, person, "read", tenant_id=tenant) == 1
    assert titles(wire, person, read=False) == ["there"]


def test_who_reaches_one_tenant_reaches_that_part_alone(courier: Courier, wire: httpx.Client, person: str) -> None:
    ours, theirs = (f"{name}-{uuid4().hex}" for name in ("ours", "theirs"))
    for tenant in (ours, theirs):
        courier.tenants.update(tenant, name="Tenant")
        courier.users.tenants.add_single(tenant, user_id=person)
    own, other = (told(courier, wire, person, it, context={"tenant_id": it}) for it in (ours, theirs))
    alone = told(courier, wire, person, "alone")
    scope = f"user_id:{person}:{ours} inbox:read:messages inbox:write:events"
    body = {"scope": scope, "expires_in": "1h"}
    token = wire.post("/auth/issue-token", json=body).json()["token"]
    path = f"/v1/users/{person}/inbox"
    for client in (with_credential(wire, token), key_client(wire, tenant_id=ours)):
        with client:
            assert titles(client, person, tenant_id=ours) == [ours]
            assert_refused(client.get(path), 403)
            assert client.get(f"{path}/messages/{own}", params={"tenant_id": ours}).status_code == 200
            for message_id in (other, alone):
                assert_refused(client.get(f"{path}/messages/{message_id}", params={"tenant_id": ours}), 404)
            assert client.get(path, params={"tenant_id": theirs}).status_code in (403, 404)
            mark(client, person, "read", own, other, alone, tenant_id=ours)
            mark(client, person, "clicked", tenant_id=ours)
    assert titles(wire, person, read=False) == ["alone", theirs]


Event = dict[str, str]


def events(response: httpx.Response) -> Iterator[Event]:
    event: Event = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        else:
            if "event" in event:
                yield event
            event = {}


def test_the_stream_tells_what_comes_and_goes_on_where_it_ended(
    courier: Courier, wire: httpx.Client, person: str
) -> None:
    told(courier, wire, person, "before")
    path = f"/v1/users/{person}/inbox/stream"
    with wire.stream("GET", path) as response:
        assert response.headers["content-type"] == "text/event-stream"
        stream = events(response)
        first = next(stream)
        assert (first["event"], json.loads(first["data"])) == ("unread", {"unread": 1})
        message_id = told(courier, wire, person, "new")
        came = next(stream)
        item = json.loads(came["data"])
        assert (came["event"], item["message_id"], came["id"]) == ("message", message_id, str(item["position"]))
        assert json.loads(next(stream)["data"]) == {"unread": 2}
        mark(wire, person, "read", message_id)
        assert json.loads(next(stream)["data"]) == {"unread": 1}
    missed = [told(courier, wire, person, title) for title in ("missed", "missed too")]
    with wire.stream("GET", path, headers={"Last-Event-ID": came["id"]}) as response:
        stream = events(response)
        assert [json.loads(next(stream)["data"])["message_id"] for _ in missed] == missed


def test_a_token_reaches_the_inbox_of_its_user_alone(courier: Courier, wire: httpx.Client, person: str) -> None:
    message_id = told(courier, wire, person, "one")
    other = f"other-{person}"
    courier.profiles.replace(other, profile={"name": "Eve"})
    told(courier, wire, other, "secret")

    def client(scope: str) -> httpx.Client:
        body = {"scope": f"user_id:{person} {scope}", "expires_in": "1h"}
        return with_credential(wire, wire.post("/auth/issue-token", json=body).json()["token"])

    paths = ("", "/unread", "/stream", f"/messages/{message_id}")
    marks = {"mark": "read", "all": True}
    with client("inbox:read:messages inbox:write:events") as both:
        assert titles(both, person) == ["one"]
        with both.stream("GET", f"/v1/users/{person}/inbox/stream") as response:
            assert response.status_code == 200
        assert mark(both, person, "read") == 1
        for path in paths:
            assert_refused(both.get(f"/v1/users/{other}/inbox{path}"), 403)
        assert_refused(both.post(f"/v1/users/{other}/inbox/marks", json=marks), 403)
        assert_refused(both.get(f"/messages/{message_id}"), 403)
    with client("inbox:read:messages") as reader:
        assert titles(reader, person) == ["one"]
        assert_refused(reader.post(f"/v1/users/{person}/inbox/marks", json=marks), 403)
    with client("inbox:write:events") as writer:
        assert_refused(writer.get(f"/v1/users/{person}/inbox"), 403)
        assert mark(writer, person, "unread") == 1
    assert unread(wire, other) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/mark"),
        ({"mark": "eaten", "all": True}, "/mark"),
        ({"mark": ["read"], "all": True}, "/mark"),
        ({"mark": "read"}, "/message_ids"),
        ({"mark": "read", "all": False}, "/message_ids"),
        ({"mark": "read", "all": "yes"}, "/all"),
        ({"mark": "read", "message_ids": "x"}, "/message_ids"),
        ({"mark": "read", "message_ids": [7]}, "/message_ids/0"),
        ({"mark": "read", "message_ids": ["x"] * 1001}, "/message_ids"),
    ],
)
def test_what_is_no_mark_is_refused(wire: httpx.Client, user_id: str, body: Any, path: str) -> None:
    assert_refused(wire.post(f"/v1/users/{user_id}/inbox/marks", json=body), 400, path)


def test_what_cannot_be_asked_is_refused_and_nobody_has_an_empty_inbox(wire: httpx.Client, user_id: str) -> None:
    for query in ({"limit": 0}, {"limit": -1}, {"cursor": "x"}, {"read": "maybe"}, {"archived": "1"}, {"tenant_id": "x" * 513}):
        assert_refused(wire.get(f"/v1/users/{user_id}/inbox", params=query), 400)
    assert inbox(wire, user_id) == {"items": [], "unread": 0, "paging": {"more": False, "cursor": None}}
