"""Everything about one person, and many people at once."""

import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused


@pytest.fixture
def topic_id(courier: Courier) -> str:
    section = courier.workspace_preferences.create(name="Section").id
    topics = courier.workspace_preferences.topics
    return topics.create(section_id=section, name="News", default_status="OPTED_IN").id


def batch(wire: httpx.Client, *users: Any) -> Any:
    response = wire.post("/v1/users:batch", json={"users": list(users)})
    assert response.status_code == 200, response.text
    return response.json()


def full(user_id: str, topic_id: str) -> Any:
    return {
        "user_id": user_id,
        "profile": {"email": f"{user_id}@example.com", "deep": {"a": [1, 2.50]}},
        "lists": [
            {"list_id": f"a.{user_id}"},
            {"list_id": f"b.{user_id}", "preferences": {"categories": {"c": {"status": "OPTED_IN"}}}},
        ],
        "tenants": [
            {"tenant_id": f"a-{user_id}"},
            {"tenant_id": f"b-{user_id}", "profile": {"role": "admin"}},
        ],
        "preferences": [
            {
                "topic_id": topic_id,
                "status": "OPTED_OUT",
                "has_custom_routing": True,
                "custom_routing": ["email", "sms"],
                "rules": [{"start": "2026-01-01T00:00:00.000000000Z", "until": "2100-01-01T00:00:00.000000000Z"}],
            },
            {"topic_id": topic_id, "tenant_id": f"a-{user_id}", "status": "OPTED_IN"},
        ],
        "recipient_preferences": {"notifications": {"n": {"status": "OPTED_OUT"}}},
        "quiet_hours": {
            "time_zone": "Europe/Berlin",
            "days": ["monday", "friday"],
            "from": "22:00",
            "to": "07:00",
        },
        "tokens": [
            {"token": "t", "provider_key": "apn", "status": "active", "expiry_date": False},
            {
                "token": "u",
                "provider_key": "expo",
                "status": "failed",
                "status_reason": "gone",
                "device": {"platform": "ios"},
                "expiry_date": "2100-01-01T00:00:00.000Z",
            },
        ],
    }


def row(wire: httpx.Client, user_id: str) -> Any:
    cursor = None
    while True:
        query = {"limit": 1_000} | ({"cursor": cursor} if cursor else {})
        page = wire.get("/v1/users:batch", params=query).json()
        for user in page["items"]:
            if user["user_id"] == user_id:
                return user
        cursor = page["paging"]["cursor"]
        if not cursor:
            return None


def test_a_user_comes_back_as_written(wire: httpx.Client, topic_id: str, user_id: str) -> None:
    user = full(user_id, topic_id)
    assert batch(wire, user) == {"accepted": 1, "errors": []}
    assert row(wire, user_id) == user
    before = wire.get("/healthz").headers["muster-position"]
    assert batch(wire, user) == {"accepted": 1, "errors": []}
    assert wire.get("/healthz").headers["muster-position"] == before, "written again"


def test_everything_about_a_user_is_shown_with_counts(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    rule: Any = {"operator": "EQ", "path": "email", "value": f"{user_id}@example.com"}
    audience = f"audience-{user_id}"
    courier.audiences.update(audience, name="One", filter={"operator": "AND", "filters": [rule]})
    batch(wire, full(user_id, topic_id))
    shown = wire.get(f"/v1/users/{user_id}").json()
    assert shown["profile"] == full(user_id, topic_id)["profile"]
    assert [it["token"] for it in shown["tokens"]] == ["t", "u"]
    assert [it["id"] for it in shown["lists"]] == [f"a.{user_id}", f"b.{user_id}"]
    assert [it["tenant_id"] for it in shown["tenants"]] == [f"a-{user_id}", f"b-{user_id}"]
    assert [it["audience_id"] for it in shown["audiences"]] == [audience]
    assert [it["status"] for it in shown["preferences"]] == ["OPTED_OUT", "OPTED_IN"]
    assert shown["counts"] == {"tokens": 2, "lists": 2, "audiences": 1, "tenants": 2, "preferences": 2}


def test_a_deletion_removes_everything_and_says_what(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    batch(wire, full(user_id, topic_id))
    courier.lists.delete(f"b.{user_id}")
    removed = wire.delete(f"/v1/users/{user_id}").json()["removed"]
    assert removed == {
        "profile": True,
        "tokens": ["t", "u"],
        "lists": [f"a.{user_id}", f"b.{user_id}"],
        "audiences": [],
        "tenants": [f"a-{user_id}", f"b-{user_id}"],
        "preferences": [
            {"topic_id": topic_id, "tenant_id": None},
            {"topic_id": topic_id, "tenant_id": f"a-{user_id}"},
        ],
        "recipient_preferences": True,
        "quiet_hours": True,
        "inbox": False,
        "tracked_events": False,
    }
    assert_refused(wire.get(f"/v1/users/{user_id}"), 404)
    assert_refused(wire.get(f"/profiles/{user_id}"), 404)
    courier.lists.restore(f"b.{user_id}")
    assert courier.lists.subscriptions.list(f"b.{user_id}").items == []
    again = wire.delete(f"/v1/users/{user_id}")
    assert again.status_code == 200 and not any(again.json()["removed"].values())


def test_a_deletion_is_one_command(wire: httpx.Client, topic_id: str, user_id: str) -> None:
    batch(wire, full(user_id, topic_id))
    wire.delete(f"/v1/users/{user_id}")
    query = {"subject": user_id, "order": "desc", "limit": 11}
    events = wire.get("/v1/events", params=query).json()["items"]
    assert {event["command_id"] for event in events} == {events[0]["command_id"]}
    assert events[-1]["type"] == "profile.deleted", "audiences are left before lists and tenants are"


def test_rows_are_written_or_refused_one_by_one(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    tenants = [f"{user_id}-{number}" for number in range(1_001)]
    answer = batch(
        wire,
        {"user_id": f"{user_id}-0", "profile": {"a": 1}, "lists": ["news"], "tenants": [user_id]},
        {"profile": {}},
        {"user_id": f"{user_id}-1", "profile": []},
        {"user_id": f"{user_id}-2", "lists": [{"list_id": "bad list"}]},
        {"user_id": f"{user_id}-3", "profile": {"a": 1}, "preferences": [{"topic_id": "none", "status": "OPTED_IN"}]},
        {"user_id": f"{user_id}-4", "tokens": [{"token": "a", "provider_key": "x"}]},
        {"user_id": f"{user_id}-5", "tenants": tenants[:500]},
        {"user_id": f"{user_id}-5", "profile": {"a": 1}, "tenants": tenants[500:]},
        {"user_id": f"{user_id}-6", "profile": {"a": "x" * 300_000}},
        7,
        {"user_id": f"{user_id}-7", "profile": {"a": 1}},
    )
    assert answer["accepted"] == 3
    told = [(error["index"], error["code"], error["path"]) for error in answer["errors"]]
    assert told == [
        (1, "missing_field", "/users/1/user_id"),
        (2, "invalid_field", "/users/2/profile"),
        (3, "invalid_id", "/users/3/lists/0/list_id"),
        (4, "topic_not_found", "/users/4/preferences/0"),
        (5, "invalid_field", "/users/5/tokens/0/provider_key"),
        (7, "limit_reached", "/users/7"),
        (8, "profile_too_large", "/users/8/profile"),
        (9, "invalid_field", "/users/9"),
    ]
    for number, known in [(0, True), (3, False), (6, False), (7, True)]:
        found = wire.get(f"/v1/users/{user_id}-{number}").status_code
        assert found == (200 if known else 404), number
    # A row that is refused leaves nothing behind, nor takes anything from the rows before it.
    kept = wire.get(f"/v1/users/{user_id}-5").json()
    assert (kept["profile"], kept["counts"]["tenants"]) == (None, 500)


def test_an_export_is_restored_whatever_has_become_of_its_topics(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    row = {
        "user_id": user_id,
        "profile": {},
        "preferences": [
            {"topic_id": "gone", "status": "OPTED_OUT", "digest_schedule_id": "gone"},
            {"topic_id": topic_id, "status": "OPTED_OUT"},
        ],
        "tokens": [{"token": "a", "provider_key": "apn", "expiry_date": "2020-01-01T00:00:00.000Z"}],
    }
    assert batch(wire, row)["accepted"] == 0
    response = wire.post("/v1/users:batch", json={"users": [row], "restore": True})
    assert response.json() == {"accepted": 1, "errors": []}
    shown = wire.get(f"/v1/users/{user_id}").json()
    assert shown["profile"] == {} and shown["tokens"] == []
    assert {it["topic_id"]: it["status"] for it in shown["preferences"]} == {
        "gone": "OPTED_OUT",
        topic_id: "OPTED_OUT",
    }
    assert shown["preferences"][0]["digest_schedule_id"] == "gone"


def test_what_is_too_much_for_one_row_is_exported_in_several(
    wire: httpx.Client, user_id: str
) -> None:
    tenants = [{"tenant_id": f"{user_id}-{n}", "profile": {"a": "x" * 60_000}} for n in range(100)]
    for start in range(0, 100, 50):
        assert batch(wire, {"user_id": user_id, "tenants": tenants[start : start + 50]})["accepted"] == 1
    rows, cursor = [], None
    while True:
        query = {"limit": 1_000} | ({"cursor": cursor} if cursor else {})
        page = wire.get("/v1/users:batch", params=query).json()
        rows += [row for row in page["items"] if row["user_id"] == user_id]
        cursor = page["paging"]["cursor"]
        if not cursor:
            break
    assert len(rows) > 1
    assert sorted(it["tenant_id"] for row in rows for it in row["tenants"]) == sorted(
        it["tenant_id"] for it in tenants
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/users"),
        ({"users": {}}, "/users"),
        ({"users": [{"user_id": str(n)} for n in range(1_001)]}, "/users"),
    ],
)
def test_a_bad_batch_is_refused(wire: httpx.Client, body: Any, path: str) -> None:
    assert_refused(wire.post("/v1/users:batch", json=body), 400, path)


def test_users_are_found_by_what_they_begin_with_and_by_attributes(
    courier: Courier, wire: httpx.Client, user_id: str
) -> None:
    mark = uuid4().hex
    named = [f"{user_id}-{letter}" for letter in "abc"]
    for name in named:
        courier.profiles.replace(name, profile={"email": f"{name}@x", "mark": mark})
    courier.users.tenants.add_single("t", user_id=f"{user_id}-d")

    def found(**query: Any) -> Any:
        page = wire.get("/v1/users", params=query).json()
        return [row["user_id"] for row in page["items"]], page["count"], page["paging"]["more"]

    assert found(q=user_id.upper()) == ([*named, f"{user_id}-d"], 4, False)
    assert found(q=f"{user_id}-a@") == (named[:1], 1, False)
    assert found(**{"attribute.mark": mark}) == (named, 3, False)
    assert found(**{"attribute.mark": mark, "limit": 2}) == (named[:2], 3, True)
    assert_refused(wire.get("/v1/users", params={"cursor": "x"}), 400, "/cursor")
    assert_refused(wire.get("/v1/users", params={"limit": 0}), 400, "/limit")
    seen, cursor = 0, None
    while True:
        page = wire.get("/v1/users", params={"limit": 1_000} | ({"cursor": cursor} if cursor else {})).json()
        seen += len(page["items"])
        cursor = page["paging"]["cursor"]
        if not cursor:
            break
    assert seen == page["count"]


def rows(wire: httpx.Client, user_id: str, limit: int) -> Iterator[Any]:
    """All rows of one person, whatever the page."""
    cursor = None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        response = wire.get("/v1/users:batch", params=query)
        assert len(response.content) < 6 * 1024 * 1024
        page = response.json()
        assert len(page["items"]) <= limit
        for user in page["items"]:
            assert len(json.dumps(user)) < 2 * 1024 * 1024
            if user["user_id"] == user_id:
                yield user
        cursor = page["paging"]["cursor"]
        if not cursor:
            return


def test_what_is_too_much_for_one_row_goes_on_in_the_next(
    wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    token = {"provider_key": "apn", "status": "active", "expiry_date": False}
    for hundred in range(4):
        tokens = [
            token | {"token": f"t{hundred}{number:02}", "properties": {"p": "x" * 15_000}}
            for number in range(25)
        ]
        tenants = [
            {"tenant_id": f"{hundred}{number:02}-{user_id}", "profile": {"p": "x" * 60_000}}
            for number in range(25)
        ]
        user = {"user_id": user_id, "profile": {"big": "x" * 200_000}, "tokens": tokens}
        batch(wire, user, {"user_id": user_id, "tenants": tenants})
    choices = [
        {"topic_id": topic_id, "tenant_id": f"{number:05}", "status": "OPTED_OUT"}
        for number in range(2_000)
    ]
    batch(wire, {"user_id": user_id, "preferences": choices})
    found = list(rows(wire, user_id, 1_000))
    assert len(found) > 5
    whole = together(found)
    lengths = {name: len(value) for name, value in whole.items() if isinstance(value, list)}
    assert lengths == {"tokens": 100, "tenants": 100, "preferences": 2_000}
    assert together(rows(wire, user_id, 1)) == whole
    other = f"copy-{user_id}"
    for row in found:
        assert batch(wire, row | {"user_id": other}) == {"accepted": 1, "errors": []}
    assert together(rows(wire, other, 1_000)) == whole | {"user_id": other}


def together(rows: Iterable[Any]) -> Any:
    """The rows of one person as if they were one."""
    whole: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            whole[name] = whole.get(name, []) + value if isinstance(value, list) else value
    return whole


def test_a_batch_into_large_profiles_does_not_hold_up_others(wire: httpx.Client, user_id: str) -> None:
    batch(wire, {"user_id": user_id, "profile": {"big": "x" * 250_000}})
    before = int(wire.get("/healthz").headers["muster-position"])
    answer = batch(wire, *({"user_id": user_id, "profile": {"n": number}} for number in range(100)))
    assert answer == {"accepted": 100, "errors": []}
    assert int(wire.get("/healthz").headers["muster-position"]) == before + 100
    assert wire.get(f"/profiles/{user_id}").json()["profile"]["n"] == 99


def test_the_sources_of_a_profile_are_bounded(wire: httpx.Client, user_id: str) -> None:
    long = "k" * 100_000
    profile = {long: {str(number): number for number in range(1_000)}, "plain": 1}
    batch(wire, {"user_id": user_id, "profile": profile})
    response = wire.get(f"/v1/users/{user_id}/effective-profile")
    assert len(response.content) < 8 * 1024 * 1024
    shown = response.json()
    assert shown["profile"] == profile
    assert shown["sources_incomplete"] is True
    batch(wire, {"user_id": user_id, "profile": {long: None}})
    shown = wire.get(f"/v1/users/{user_id}/effective-profile").json()
    assert shown["sources"] == {"/plain": {"layer": "profile"}}
    assert "sources_incomplete" not in shown


def test_who_says_nothing_stays_unknown(wire: httpx.Client, user_id: str) -> None:
    before = wire.get("/healthz").headers["muster-position"]
    batch(wire, {"user_id": user_id, "recipient_preferences": {}})
    assert wire.get("/healthz").headers["muster-position"] == before
    batch(wire, {"user_id": user_id, "recipient_preferences": {"notifications": {"n": {"status": "OPTED_IN"}}}})
    batch(wire, {"user_id": user_id, "recipient_preferences": {}})
    assert wire.get(f"/preferences/{user_id}").json() == {}
