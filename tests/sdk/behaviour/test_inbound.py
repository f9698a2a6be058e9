"""What people did elsewhere: told once, and there for rules at once."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused


@pytest.fixture
def person(courier: Courier, user_id: str) -> str:
    courier.profiles.replace(user_id, profile={"name": "Ada"})
    return user_id


def track(courier: Courier, user_id: str, event: str, **properties: Any) -> None:
    message_id = uuid4().hex
    answer = courier.inbound.track_event(
        event=event, message_id=message_id, properties=properties, type="track", user_id=user_id
    )
    assert answer.message_id == message_id


def members(courier: Courier, audience_id: str) -> list[str]:
    found = pages(lambda cursor: courier.audiences.list_members(audience_id, cursor=cursor))
    return [row.member_id for page in found for row in page.items]


def audience(courier: Courier, operator: str, path: str, value: str) -> str:
    audience_id = f"audience-{uuid4().hex}"
    rule: Any = {"operator": operator, "path": path, "value": value}
    courier.audiences.update(audience_id, filter={"operator": "AND", "filters": [rule]})
    return audience_id


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ("Order Placed {mark}", "$events.Order Placed {mark}"),
        ("order.placed {mark}", '$events["order.placed {mark}"]'),
        ('said "hi" {mark}', '$events["said \\"hi\\" {mark}"]'),
    ],
)
def test_who_did_it_is_in_the_audience_at_once(courier: Courier, person: str, event: str, path: str) -> None:
    event, path = (it.replace("{mark}", person) for it in (event, path))
    ever = audience(courier, "EXISTS", f"{path}.first_at", "true")
    often = audience(courier, "GTE", f"{path}.count", "2")
    lately = audience(courier, "WITHIN_LAST", f"{path}.last_at", "P30D")
    early = audience(courier, "IS_BEFORE", f"{path}.last_at", "2020-01-01")
    assert [members(courier, it) for it in (ever, often, lately, early)] == [[], [], [], []]
    track(courier, person, event, total=3)
    assert [members(courier, it) for it in (ever, often, lately, early)] == [[person], [], [person], []]
    track(courier, person, event)
    assert [members(courier, it) for it in (ever, often, lately, early)] == [[person], [person], [person], []]
    made_later = audience(courier, "EQ", f"{path}.count", "2")
    assert members(courier, made_later) == [person]
    courier.profiles.delete(person)
    assert members(courier, often) == [], "whoever has no profile is in no audience"


def test_what_is_tracked_is_no_attribute_of_the_profile(courier: Courier, person: str) -> None:
    track(courier, person, "seen")
    assert courier.profiles.retrieve(person).profile == {"name": "Ada"}


def test_a_profile_cannot_feign_what_was_tracked(courier: Courier, wire: httpx.Client, person: str) -> None:
    often = audience(courier, "GTE", f"$events.{person}.count", "1")
    wire.put(f"/profiles/{person}", json={"profile": {"$events": {person: {"count": 9}}}})
    assert members(courier, often) == []


def test_a_message_is_told_once(courier: Courier, wire: httpx.Client, person: str) -> None:
    body = {"type": "track", "messageId": person, "event": person, "userId": person, "properties": {}}
    often = audience(courier, "GTE", f"$events.{person}.count", "2")
    assert wire.post("/inbound/courier", json=body).status_code == 202
    for again in (body, body | {"event": "other"}, body | {"type": "identify", "traits": {"name": "Eve"}}):
        refusal = wire.post("/inbound/courier", json=again)
        assert_refused(refusal, 409, "/messageId")
        assert refusal.headers["x-should-retry"] == "false"
    assert members(courier, often) == []
    assert courier.profiles.retrieve(person).profile == {"name": "Ada"}
    # What was refused was not told.
    other = body | {"messageId": f"{person}-2"}
    assert_refused(wire.post("/inbound/courier", json=other | {"event": ""}), 400, "/event")
    assert wire.post("/inbound/courier", json=other).status_code == 202
    assert members(courier, often) == [person]


def test_what_nobody_did_can_be_told(wire: httpx.Client) -> None:
    body = {"type": "track", "messageId": uuid4().hex, "event": "e", "properties": {"a": 1}}
    assert wire.post("/inbound/courier", json=body).status_code == 202
    assert_refused(wire.post("/inbound/courier", json=body), 409)


def test_traits_are_merged_into_the_profile(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    for number, traits in enumerate([{"name": "Ada", "a": {"b": 1, "c": 2}}, {"a": {"c": None, "d": 3}}]):
        body = {"type": "identify", "messageId": f"{user_id}-{number}", "userId": user_id, "traits": traits}
        assert wire.post("/inbound/courier", json=body).status_code == 202
    assert courier.profiles.retrieve(user_id).profile == {"name": "Ada", "a": {"b": 1, "d": 3}}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": None}, "/type"),
        ({"type": "group"}, "/type"),
        ({"messageId": None}, "/messageId"),
        ({"messageId": ""}, "/messageId"),
        ({"messageId": "x" * 513}, "/messageId"),
        ({"event": None}, "/event"),
        ({"event": 7}, "/event"),
        ({"event": "x" * 257}, "/event"),
        ({"userId": 7}, "/userId"),
        ({"userId": ""}, "/userId"),
        ({"properties": []}, "/properties"),
        ({"properties": {"x": "x" * 70_000}}, "/properties"),
        ({"type": "identify", "userId": None, "traits": {}}, "/userId"),
        ({"type": "identify", "properties": None}, "/traits"),
        ({"type": "identify", "traits": "x"}, "/traits"),
    ],
)
def test_what_cannot_be_told_is_refused(wire: httpx.Client, user_id: str, change: Any, path: str) -> None:
    body = {"type": "track", "messageId": user_id, "event": "e", "userId": user_id, "properties": {}} | change
    before = wire.get("/audiences").headers["muster-position"]
    assert_refused(wire.post("/inbound/courier", json=body), 400, path)
    assert wire.get("/audiences").headers["muster-position"] == before
