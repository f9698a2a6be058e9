"""The dry run: what would become of a message, for whom, and why."""

from typing import Any

import httpx
import pytest
from courier import Courier
from refusals import assert_refused
from sending import CONTENT, done, explained


def resolved(wire: httpx.Client, message: Any, **query: Any) -> Any:
    response = wire.post("/v1/resolve", json={"message": message}, params=query)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def mixed(courier: Courier, list_id: str) -> str:
    """A list of people for whom different things come of a message."""
    profiles: list[dict[str, Any] | None] = [
        {"email": "a@example.com", "name": "Ada"},
        {"email": "b@example.com"},
        {"phone_number": "+15550100", "name": "Cid"},
        {"name": "Dan"},
        None,
        {"email": "", "name": "Eve"},
        {"email": 7, "name": "Fay"},
        {"firebaseToken": ["t", "u"], "name": "Gus"},
    ]
    for number, profile in enumerate(profiles):
        user_id = f"{number}-{list_id}"
        if profile is not None:
            courier.profiles.replace(user_id, profile=profile)
        courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    return list_id


@pytest.mark.parametrize("routing", [None, {"method": "all", "channels": ["push", "inbox", {"channels": ["sms", "email"]}]}])
def test_it_says_what_will_come_of_it_and_does_nothing(
    courier: Courier, wire: httpx.Client, mixed: str, routing: Any
) -> None:
    content = {"title": "t", "body": "{{profile.name}}"}
    message: Any = {"to": [{"list_id": mixed}], "content": content} | ({"routing": routing} if routing else {})
    before = wire.get("/audiences").headers["muster-position"]
    foreseen = resolved(wire, message)
    assert wire.get("/audiences").headers["muster-position"] == before
    request_id = courier.send.message(message=message).request_id
    request = done(wire, request_id)
    assert foreseen["people"] == request["people"] == len(foreseen["items"]) == 8
    counts: dict[tuple[str, str | None], int] = {}
    for it in foreseen["counts"]:
        key = (it["status"], it["reason"])
        counts[key] = counts.get(key, 0) + it["count"]
    assert counts == {(it["status"], it["reason"]): it["count"] for it in request["counts"]}
    assert len(counts) > 1
    for item in foreseen["items"]:
        real = explained(wire, request_id, item["user_id"])
        for member in ("status", "reason", "because", "tenant_id", "channels", "recipient"):
            assert item[member] == real[member], item


def test_who_is_not_known_yet_is_counted_first(wire: httpx.Client, user_id: str) -> None:
    to = [{"email": "x@example.com"}, {"user_id": user_id, "phone_number": "+15550100"}, {"user_id": user_id}]
    foreseen = resolved(wire, {"to": to, "content": CONTENT})
    assert foreseen["people"] == 2
    assert [(it["user_id"], it["recipient"], it["status"]) for it in foreseen["items"]] == [
        (None, 0, "SENT"),
        (None, 1, "SENT"),
    ]
    assert wire.get(f"/v1/users/{user_id}").status_code == 404


def test_people_are_paged(wire: httpx.Client, mixed: str) -> None:
    message = {"to": {"list_id": mixed}, "content": CONTENT}
    whole = resolved(wire, message)
    seen = []
    cursor: str | None = ""
    while cursor is not None:
        page = resolved(wire, message, limit=3, cursor=cursor)
        assert (page["people"], page["counts"]) == (whole["people"], whole["counts"])
        seen += page["items"]
        cursor = page["paging"]["cursor"]
    assert seen == whole["items"]
    for query in ({"limit": 0}, {"limit": "x"}, {"cursor": "garbage"}):
        assert_refused(wire.post("/v1/resolve", json={"message": message}, params=query), 400)


def test_recipients_that_lead_to_nobody_are_told(courier: Courier, wire: httpx.Client, list_id: str) -> None:
    courier.lists.update(list_id, name="Empty")
    to = [{"list_id": list_id}, {"list_pattern": f"{list_id}.*"}]
    foreseen = resolved(wire, {"to": to, "content": CONTENT})
    assert (foreseen["people"], foreseen["items"]) == (0, [])
    assert [it["problem"] for it in foreseen["problems"]] == ["empty", "not_there"]
