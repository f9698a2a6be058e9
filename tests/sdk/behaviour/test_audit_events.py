"""Administrative acts, and on whose behalf."""

from uuid import uuid4

import httpx
from courier import Courier
from refusals import assert_refused
from routes import key_client, new_key


def test_administrative_acts_are_listed_newest_first(courier: Courier, wire: httpx.Client) -> None:
    key = new_key(wire, "profiles:read")
    brand = f"brand-{uuid4().hex}"
    courier.brands.create(id=brand, name="Brand", settings={})
    wire.put(f"/profiles/{brand}", json={"profile": {}}).raise_for_status()
    wire.delete(f"/v1/keys/{key['id']}").raise_for_status()
    events = courier.audit_events.list().results
    assert [(it.type, it.target) for it in events[:3]] == [
        ("key.revoked", f"key-{key['id']}"),
        ("brand.created", f"brand-{brand}"),
        ("key.issued", f"key-{key['id']}"),
    ]
    assert all(it.actor.id == "environment" and it.source == "MUSTER_API_KEY" for it in events[:3])
    for event in events[:3]:
        assert courier.audit_events.retrieve(event.audit_event_id) == event
    first = wire.get("/audit-events", params={"limit": 2}).json()
    rest = wire.get("/audit-events", params={"limit": 2, "cursor": first["paging"]["cursor"]}).json()
    shown = [it["auditEventId"] for it in first["results"] + rest["results"]]
    assert shown[:3] == [it.audit_event_id for it in events[:3]]


def test_what_is_no_administrative_act_is_not_there(wire: httpx.Client, user_id: str) -> None:
    written = wire.put(f"/profiles/{user_id}", json={"profile": {}})
    for other in (written.headers["muster-position"], "0", "01", "x", "-1", "99999999999999999999999"):
        assert_refused(wire.get(f"/audit-events/{other}"), 404)


def test_whom_a_key_acts_for_stands_with_every_event(wire: httpx.Client, user_id: str) -> None:
    path, actor = f"/profiles/{user_id}", {"Muster-Actor": "support: Grace"}
    wire.put(path, json={"profile": {"n": 1}}, headers=actor).raise_for_status()
    wire.put(path, json={"profile": {"n": 2}}).raise_for_status()
    events = wire.get("/v1/events", params={"subject": user_id}).json()["items"]
    assert [it["actor"]["on_behalf_of"] for it in events] == ["support: Grace"] * 2 + [None]
    with key_client(wire, "profiles:write") as client:
        client.put(path, json={"profile": {"n": 3}}, headers=actor).raise_for_status()
    last = wire.get("/v1/events", params={"subject": user_id, "order": "desc", "limit": 1}).json()["items"][0]
    assert (last["actor"]["name"], last["actor"]["on_behalf_of"]) == ("test", "support: Grace")
    for wrong in ("", "x" * 257, "a\tb"):
        headers = [(b"Muster-Actor", wrong.encode())]
        assert_refused(wire.put(path, json={"profile": {}}, headers=headers), 400, "/muster-actor")


def test_a_trace_names_the_request_where_nothing_else_does(wire: httpx.Client, user_id: str) -> None:
    trace = uuid4().hex
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    response = wire.put(f"/profiles/{user_id}", json={"profile": {}}, headers=headers)
    assert response.headers["x-request-id"] == trace
    events = wire.get("/v1/events", params={"correlation_id": trace}).json()["items"]
    assert {it["subjects"][0] for it in events} == {user_id}
    for wrong in (f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{trace}-00f067aa0ba902b7-01", trace, f"00-{trace.upper()}-00f067aa0ba902b7-01"):
        response = wire.get("/brands", headers={"traceparent": wrong})
        assert response.status_code == 200 and response.headers["x-request-id"] not in wrong
    both = headers | {"x-request-id": "mine"}
    assert wire.get("/brands", headers=both).headers["x-request-id"] == "mine"
