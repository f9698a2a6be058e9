"""Messages as they are found, told about, sent again and put away."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused, refused
from sending import awaited, done, explained, inbox, outcome, people, request, said, send, sent


@pytest.fixture
def person(courier: Courier, user_id: str) -> str:
    courier.profiles.replace(user_id, profile={"email": f"{user_id}@example.com"})
    return user_id


def ids(courier: Courier, **filters: Any) -> list[str]:
    found = pages(lambda cursor: courier.messages.list(cursor=cursor, **filters))
    return [it.id for page in found for it in page.results]


def test_messages_are_found_by_everything_that_is_known_of_them(
    courier: Courier, wire: httpx.Client, person: str, list_id: str
) -> None:
    mark = uuid4().hex
    tenant = f"tenant-{mark}"
    courier.tenants.update(tenant, name="Tenant")
    courier.lists.subscriptions.subscribe_user(person, list_id=list_id)
    metadata: Any = {"event": f"e-{mark}", "tags": [f"a-{mark}", f"b-{mark}"], "trace_id": f"t-{mark}"}
    to = {"user_id": person}
    first = sent(courier, wire, to, metadata=metadata, routing={"method": "all", "channels": ["inbox"]})
    unmapped = sent(courier, wire, to, template=f"n-{mark}", context={"tenant_id": tenant})
    request_id = send(courier, {"list_id": list_id})
    done(wire, request_id)
    [by_list] = courier.messages.list(list=list_id).results
    everything = [by_list.id, unmapped.id, first.id]
    assert ids(courier, recipient=person) == everything, "newest first"
    for filters, expected in [
        ({"event": f"e-{mark}"}, [first.id]),
        ({"tag": [f"a-{mark}"]}, [first.id]),
        ({"tags": f"b-{mark},nothing"}, [first.id]),
        ({"trace_id": f"t-{mark}"}, [first.id]),
        ({"trace_id": first.id}, [first.id]),
        ({"trace_id": request_id}, [by_list.id]),
        ({"message_id": first.id}, [first.id]),
        ({"notification": f"n-{mark}"}, [unmapped.id]),
        ({"tenant_id": tenant}, [unmapped.id]),
        ({"list": list_id}, [by_list.id]),
        ({"status": ["UNMAPPED"]}, [unmapped.id]),
        ({"status": ["DELIVERED", "SENT"]}, [by_list.id, first.id]),
        ({"status": ["CANCELED"]}, []),
        ({"provider": ["inbox"]}, [first.id]),
        ({"enqueued_after": str(first.enqueued - 1)}, everything),
        ({"enqueued_after": "2100-01-01T00:00:00Z"}, []),
        ({"archived": True}, []),
        ({"recipient": "nobody-at-all"}, []),
    ]:
        assert ids(courier, **{"recipient": person, **filters}) == expected, filters


def test_pages_hold_every_message_once_while_more_come(courier: Courier, wire: httpx.Client, list_id: str) -> None:
    subscribed: Any = [{"recipientId": f"{list_id}-{number}"} for number in range(23)]
    courier.lists.subscriptions.add(list_id, recipients=subscribed)
    request_id = send(courier, {"list_id": list_id})
    done(wire, request_id)
    seen: list[str] = []
    cursor = ""
    while True:
        query = {"limit": 10, "cursor": cursor, "list": list_id}
        page = wire.get("/messages", params=query).json()
        seen += [it["recipient"] for it in page["results"]]
        done(wire, send(courier, {"list_id": list_id}))
        if not page["paging"]["more"] or len(seen) >= 23:
            break
        cursor = page["paging"]["cursor"]
    assert len(seen) == len(set(seen)) == 23


def test_a_message_is_sent_again_as_another_to_the_same_person(
    courier: Courier, wire: httpx.Client, person: str, list_id: str
) -> None:
    courier.lists.subscriptions.subscribe_user(person, list_id=list_id)
    content = {"title": "t", "body": "{{a}} {{b}}"}
    to = {"list_id": list_id, "data": {"b": 2}}
    [first] = people(courier, wire, to, content=content, data={"a": 1, "b": 1}).values()
    again = courier.messages.resend(first.id).message_id
    assert again != first.id
    done(wire, again)
    assert courier.messages.retrieve(again).recipient == person
    assert said(courier, again).text == said(courier, first.id).text == "1 2"
    with refused(404):
        courier.messages.resend("nothing")


def test_a_request_that_is_archived_is_listed_only_for_who_asks(
    courier: Courier, wire: httpx.Client, person: str
) -> None:
    kept, archived = (sent(courier, wire, {"user_id": person}).id for _ in range(2))
    for _ in range(2):
        courier.requests.archive(archived)
    assert ids(courier, recipient=person) == [kept]
    assert ids(courier, recipient=person, archived=True) == [archived]
    assert courier.messages.retrieve(archived).status == "SENT"
    assert request(wire, archived)["archived"] is True
    with refused(404):
        courier.requests.archive("nothing")


def test_what_a_person_does_in_the_inbox_shows_on_the_message(
    courier: Courier, wire: httpx.Client, person: str
) -> None:
    message = sent(courier, wire, {"user_id": person}, routing={"method": "all", "channels": ["inbox"]})
    assert (message.status, message.delivered is not None) == ("DELIVERED", True)
    for mark, status in (("opened", "OPENED"), ("clicked", "CLICKED")):
        body = {"mark": mark, "message_ids": [message.id]}
        assert wire.post(f"/v1/users/{person}/inbox/marks", json=body).json() == {"changed": 1}
        assert courier.messages.retrieve(message.id).status == status
    history = [it["type"] for it in courier.messages.history(message.id).results]
    assert history[-2:] == ["OPENED", "CLICKED"]
    assert courier.messages.retrieve(message.id).clicked


def test_output_stays_what_it_was(courier: Courier, wire: httpx.Client, person: str) -> None:
    """The template, the profile and the brand change; what was told does not."""
    template = uuid4().hex
    body: Any = {"id": template, "published": True, "template": {"content": {"title": "t", "body": "{{profile.email}}"}}}
    assert wire.post("/v1/templates", json=body).status_code == 201
    message = sent(courier, wire, {"user_id": person}, template=template)
    body["template"]["content"]["body"] = "other"
    assert wire.put(f"/v1/templates/{template}", json=body).status_code == 200
    courier.profiles.replace(person, profile={"email": "new@example.com"})
    assert said(courier, message.id).text == f"{person}@example.com"
    assert wire.delete(f"/v1/templates/{template}").status_code == 204
    assert said(courier, message.id).text == f"{person}@example.com"


def test_a_message_to_many_is_called_back_as_a_whole(courier: Courier, wire: httpx.Client, list_id: str) -> None:
    users = [f"{list_id}-{name}" for name in "abc"]
    for user in users:
        courier.profiles.replace(user, profile={"email": f"{user}@example.com"})
        courier.lists.subscriptions.subscribe_user(user, list_id=list_id)
    request_id = send(courier, {"list_id": list_id}, delay={"duration": 3_600_000})
    whole = wire.post(f"/messages/{request_id}/cancel")
    assert whole.status_code == 200, whole.text
    assert whole.json()["canceled_at"]
    refusal = wire.post(f"/messages/{request_id}/cancel")
    assert_refused(refusal, 409)
    assert refusal.json()["id"] == request_id and refusal.text.count('"request_id"') == 1
    assert done(wire, request_id)["people"] in (0, 3)
    statuses = {it.status for it in courier.messages.list(trace_id=request_id).results}
    assert statuses == {"CANCELED"}, "what was called back is seen, too"


def test_who_is_erased_is_told_no_more(courier: Courier, wire: httpx.Client, person: str) -> None:
    to = {"user_id": person}
    routing = {"method": "all", "channels": ["email", "inbox"]}
    told = sent(courier, wire, to, routing=routing)
    waiting = send(courier, to, delay={"duration": 700}, routing=routing)
    assert wire.post(f"/v1/users/{person}/erase").status_code == 200
    done(wire, waiting)
    ended = courier.messages.retrieve(waiting)
    assert (ended.status, ended.reason) == ("UNDELIVERABLE", "FAILED")
    assert ended.recipient.startswith("erased:")
    assert inbox(wire, person)["items"] == []
    assert_refused(wire.get(f"/v1/users/{person}"), 404)
    assert courier.messages.content(told.id).results == []
    for path in (f"/messages/{told.id}", f"/messages/{told.id}/history", f"/messages/{waiting}/output"):
        assert person not in wire.get(path).text
    assert_refused(wire.post(f"/messages/{told.id}/resend"), 404)
    head = wire.get("/messages").headers["muster-position"]
    assert wire.get("/v1/users", params={"as_of": head}).status_code == 200, "the log can still be read"


def test_who_is_deleted_is_nobody_and_the_inbox_is_empty(courier: Courier, wire: httpx.Client, person: str) -> None:
    to = {"user_id": person}
    routing = {"method": "all", "channels": ["email", "inbox"]}
    sent(courier, wire, to, routing=routing)
    assert len(inbox(wire, person)["items"]) == 1
    waiting = send(courier, to, delay={"duration": 700}, routing=routing)
    assert wire.get(f"/v1/users/{person}").json()["user_id"] == person
    assert wire.delete(f"/v1/users/{person}").status_code == 200
    done(wire, waiting)
    assert outcome(courier.messages.retrieve(waiting)) == ("UNROUTABLE", "NO_CHANNELS", "nobody")
    assert inbox(wire, person)["items"] == []
    assert_refused(wire.get(f"/v1/users/{person}"), 404)


def test_what_is_asked_of_a_message_that_is_not_there_is_refused(wire: httpx.Client) -> None:
    for method, path in (
        ("GET", "/messages/x"),
        ("GET", "/messages/x/history"),
        ("GET", "/messages/x/output"),
        ("POST", "/messages/x/cancel"),
        ("POST", "/messages/x/resend"),
        ("PUT", "/requests/x/archive"),
        ("GET", "/v1/requests/x"),
        ("GET", "/v1/messages/x/explain"),
        ("GET", "/messages/1-00000000-000000000000000000000000"),
        ("GET", "/messages/" + "x" * 600),
    ):
        response = wire.request(method, path)
        assert_refused(response, 404)


def test_what_cannot_be_understood_narrows_nothing(wire: httpx.Client) -> None:
    whole = wire.get("/messages").json()
    for query in ({"cursor": "%00"}, {"limit": "-1"}, {"limit": "x"}, {"cursor": "AAAA"}, {"archived": "perhaps"}):
        response = wire.get("/messages", params=query)
        assert response.status_code == 200, response.text
        assert response.json()["results"][:1] == whole["results"][:1]
