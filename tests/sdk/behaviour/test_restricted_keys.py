"""A key that is restricted to a tenant: what is beyond is to it as if it were not there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused
from routes import Route, all_routes, answer, key_client
from sending import sent


TEMPLATE = {
    "template": {
        "content": {"title": "Welcome", "body": "Text"},
        "routing": {"method": "single", "channels": ["inbox"]},
    },
    "published": True,
}


@dataclass
class World:
    """Two tenants that have nothing to do with each other, and one below the first."""

    ours: str
    below: str
    other: str
    ada: str
    kid: str
    eve: str
    topic: str
    client: httpx.Client
    messages: dict[str, str]


@pytest.fixture(scope="module")
def world(wire: httpx.Client, courier: Courier) -> Iterator[World]:
    run = uuid4().hex
    ours, below, other = (f"{name}-{run}" for name in ("ours", "below", "other"))
    ada, kid, eve = (f"{name}-{run}" for name in ("ada", "kid", "eve"))
    above = f"above-{run}"
    courier.tenants.update(above, name="Above", user_profile={"from": "above"})
    courier.tenants.update(ours, name="Ours", parent_tenant_id=above)
    courier.tenants.update(below, name="Below", parent_tenant_id=ours)
    courier.tenants.update(other, name="Other")
    section = courier.workspace_preferences.create(name="Section").id
    topics = courier.workspace_preferences.topics
    topic = topics.create(section_id=section, name="News", default_status="OPTED_IN").id
    for user, tenants in ((ada, [ours, other]), (kid, [below]), (eve, [other])):
        row = {
            "user_id": user,
            "profile": {"email": f"{user}@example.com"},
            "tenants": tenants,
            "lists": [f"{tenant}.news" for tenant in tenants],
            "preferences": [{"topic_id": topic, "status": "OPTED_OUT"}]
            + [{"topic_id": topic, "tenant_id": tenant, "status": "OPTED_IN"} for tenant in tenants],
            "tokens": [{"token": f"token-{user}", "provider_key": "apn"}],
        }
        wire.post("/v1/users:batch", json={"users": [row]}).raise_for_status()
    messages = {}
    for user, tenant in ((ada, ours), (kid, below), (eve, other)):
        wire.put(f"/tenants/{tenant}/templates/welcome", json=TEMPLATE).raise_for_status()
        to = {"user_id": user, "tenant_id": tenant}
        messages[user] = sent(courier, wire, to, template="welcome").id
    with key_client(wire, tenant_id=ours) as client:
        yield World(ours, below, other, ada, kid, eve, topic, client, messages)


def ids(world: World, user: str, tenant: str) -> dict[str, str]:
    return {
        "user_id": user,
        "recipient_id": user,
        "tenant_id": tenant,
        "list_id": f"{tenant}.news",
        "topic_id": world.topic,
        "token": f"token-{user}",
        "message_id": world.messages.get(user, "nothing"),
        "template_id": "welcome",
        "version": "published",
    }


BODIES: dict[str, Any] = {
    "PUT /profiles/{user_id}": {"profile": {"n": 1}},
    "POST /profiles/{user_id}": {"profile": {"n": 1}},
    "PATCH /profiles/{user_id}": {"patch": []},
    "PUT /tenants/{tenant_id}": {"name": "Renamed"},
    "PUT /lists/{list_id}": {"name": "News"},
    "PUT /preferences/{recipient_id}": {},
    "PATCH /preferences/{recipient_id}": {},
    "PUT /users/{user_id}/tokens/{token}": {"provider_key": "apn"},
    "PATCH /users/{user_id}/tokens/{token}": {"patch": []},
    "PUT /users/{user_id}/preferences/{topic_id}": {"topic": {"status": "OPTED_IN"}},
    "PUT /users/{user_id}/preferences": {"topics": []},
    "POST /users/{user_id}/preferences": {"topics": [{"topic_id": "x", "status": "OPTED_IN"}]},
    "PUT /tenants/{tenant_id}/default_preferences/items/{topic_id}": {"status": "OPTED_IN"},
    "PUT /users/{user_id}/tenants": {"tenants": []},
    "POST /profiles/{user_id}/lists": {"lists": []},
    "POST /lists/{list_id}/subscriptions": {"recipients": []},
    "PUT /tenants/{tenant_id}/templates/{template_id}": TEMPLATE,
    "POST /tenants/{tenant_id}/templates/{template_id}/publish": {},
    "POST /v1/users/{user_id}/inbox/marks": {"mark": "read", "all": True},
    "PUT /v1/users/{user_id}/quiet-hours": {"time_zone": "UTC", "from": "22:00", "to": "07:00"},
}


def ask(client: httpx.Client, route: Route, of: dict[str, str]) -> httpx.Response:
    body = BODIES.get(str(route)) if route.method != "GET" else None
    more: dict[str, Any] = {"json": body} if body is not None else {}
    if "/inbox" in route.path:
        # An inbox holds what came from all tenants: which part is meant has to be said.
        more["params"] = {"tenant_id": of["tenant_id"]}
    return answer(client, route, of, **more)


def names_somebody(route: Route) -> bool:
    return any(route.names(name) for name in ("user_id", "recipient_id", "tenant_id", "list_id"))


def head(client: httpx.Client) -> int:
    """The last event but for those that note, in their own time, that a key was used."""
    newest = client.get("/v1/events", params={"order": "desc", "limit": 10}).json()["items"]
    return next(it["position"] for it in newest if it["type"] != "key.used")


def test_what_reaches_further_is_refused(wire: httpx.Client, world: World) -> None:
    refused = [route for route in all_routes(wire) if route.restricted == "refused"]
    assert len(refused) > 30
    before = head(wire)
    of = ids(world, world.ada, world.ours) | {
        name: "x" for name in ("audience_id", "section_id", "brand_id", "key_id", "audit_event_id", "webhook_id", "job_id", "request_id")
    }
    for route in refused:
        response = answer(world.client, route, of)
        assert_refused(response, 403)
        assert response.json()["code"] == "key_restricted", str(route)
    assert head(wire) == before


def test_what_is_beyond_is_as_what_nobody_has_heard_of(wire: httpx.Client, world: World) -> None:
    """Every route that names somebody, in every way in which that can lie beyond."""
    nobody = f"nobody-{uuid4().hex}"
    before = head(wire)
    looked_at = 0
    for route in all_routes(wire):
        if route.restricted != "within" or not names_somebody(route):
            continue
        beyond = [(world.eve, world.other)]
        if route.names("user_id") and (route.names("tenant_id") or route.names("list_id")):
            beyond += [(world.ada, world.other), (world.eve, world.ours)]
        for user, tenant in beyond:
            known = ask(world.client, route, ids(world, user, tenant))
            unknown = ask(world.client, route, ids(world, nobody, nobody))
            assert_refused(known, 404)
            told = [{k: v for k, v in it.json().items() if k != "request_id"} for it in (known, unknown)]
            if (user, tenant) == (world.eve, world.other):
                assert told[0] == told[1], str(route)
            looked_at += 1
    assert looked_at > 45
    assert head(wire) == before, "nothing was written"


def test_what_is_within_is_reached(wire: httpx.Client, world: World) -> None:
    row = {
        "user_id": world.kid,
        "profile": {"email": f"{world.kid}@example.com"},
        "lists": [f"{world.below}.news"],
        "preferences": [{"topic_id": world.topic, "status": "OPTED_OUT"}],
        "recipient_preferences": {"categories": {"news": {"status": "OPTED_IN"}}},
        "quiet_hours": {"time_zone": "UTC", "from": "22:00", "to": "07:00"},
        "tokens": [{"token": f"token-{world.kid}", "provider_key": "apn"}],
    }
    for route in all_routes(wire):
        deletes = route.method == "DELETE" and route.path in (
            "/tenants/{tenant_id}",
            "/users/{user_id}/tenants/{tenant_id}",
        )
        if route.restricted != "within" or not names_somebody(route) or deletes:
            continue
        if str(route) in ("PUT /tenants/{tenant_id}", "PUT /lists/{list_id}/restore"):
            continue
        # Whatever the routes before took away is there again.
        wire.put(f"/lists/{world.below}.news", json={"name": "News"}).raise_for_status()
        wire.post("/v1/users:batch", json={"users": [row]}).raise_for_status()
        wire.put(f"/tenants/{world.below}/default_preferences/items/{world.topic}", json={"status": "OPTED_IN"})
        wire.put(f"/tenants/{world.below}/templates/welcome", json=TEMPLATE).raise_for_status()
        response = ask(world.client, route, ids(world, world.kid, world.below))
        assert response.status_code < 300, f"{route}: {response.status_code}"
    wire.post("/v1/users:batch", json={"users": [row]}).raise_for_status()


def test_the_context_is_within_too(world: World) -> None:
    for path in ("preferences", f"preferences/{world.topic}"):
        path = f"/users/{world.ada}/{path}"
        assert world.client.get(path, params={"tenant_id": world.ours}).status_code == 200
        assert_refused(world.client.get(path, params={"tenant_id": world.other}), 404)
    path = f"/v1/users/{world.ada}/effective-profile"
    assert_refused(world.client.get(path, params={"tenant_id": world.other}), 404)
    assert world.client.get(path, params={"tenant_id": world.ours}).status_code == 200


def test_pages_and_counts_show_what_is_within(world: World) -> None:
    within = sorted([world.ada, world.kid])
    profiles = world.client.get("/profiles").json()
    assert ([it["user_id"] for it in profiles["items"]], profiles["count"]) == (within, 2)
    for query, expected in (
        ({}, within),
        ({"q": "ada"}, [world.ada]),
        ({"attribute.email": f"{world.ada}@example.com"}, [world.ada]),
    ):
        users = world.client.get("/v1/users", params=query).json()
        assert ([it["user_id"] for it in users["items"]], users["count"]) == (expected, len(expected))
    assert world.client.get("/v1/users", params={"q": world.eve}).json()["count"] == 0
    page = world.client.get("/v1/users", params={"limit": 1}).json()
    rest = world.client.get("/v1/users", params={"limit": 1, "cursor": page["paging"]["cursor"]}).json()
    assert [it["user_id"] for it in page["items"] + rest["items"]] == within
    assert rest["paging"]["more"] is False
    lists = world.client.get("/lists").json()["items"]
    assert {it["id"] for it in lists} >= {f"{world.ours}.news"}
    assert all(it["id"].startswith((f"{world.ours}.", f"{world.below}.")) for it in lists)
    tenants = world.client.get("/tenants").json()["items"]
    assert {it["id"] for it in tenants} == {world.ours, world.below}
    assert [it["parent_tenant_id"] for it in tenants if it["id"] == world.ours] == [None]
    assert world.client.get(f"/tenants/{world.ours}").json()["parent_tenant_id"] is None
    assert_refused(world.client.get("/tenants", params={"parent_tenant_id": world.other}), 404)


def test_everything_about_a_user_is_what_is_within(world: World) -> None:
    shown = world.client.get(f"/v1/users/{world.ada}").json()
    assert world.other not in str(shown)
    assert [it["tenant_id"] for it in shown["tenants"]] == [world.ours]
    assert shown["counts"]["tenants"] == 1 and shown["audiences"] == []
    for path in ("tenants", "preferences"):
        assert world.other not in world.client.get(f"/users/{world.ada}/{path}").text
    assert world.other not in world.client.get(f"/profiles/{world.ada}/lists").text
    effective = world.client.get(f"/v1/users/{world.ada}/effective-profile", params={"tenant_id": world.ours}).text
    assert "above-" not in effective, "what is inherited does not say from whom"


def test_sets_are_within(world: World) -> None:
    def query(body: Any) -> httpx.Response:
        return world.client.post("/v1/members/query", json=body)

    everybody = query({"tenant": world.ours, "descendants": True}).json()
    assert everybody["count"] == 2
    assert query({"list": f"{world.below}.*"}).status_code == 200
    for beyond in (
        {"tenant": world.other},
        {"list": f"{world.other}.news"},
        {"list": "*.news"},
        {"audience": "any"},
        {"union": [{"tenant": world.ours}, {"list": f"{world.other}.news"}]},
    ):
        assert_refused(query(beyond), 404)


def test_the_feed_shows_what_is_within(wire: httpx.Client, world: World) -> None:
    seen, cursor = [], None
    while True:
        page = world.client.get(
            "/v1/events", params={"limit": 1_000} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += page["items"]
        cursor = page["paging"]["cursor"]
        if not cursor:
            break
    assert {it for event in seen for it in event["subjects"]} == {world.ada, world.kid}
    assert world.other not in str(seen) and world.eve not in str(seen)
    types = {event["type"] for event in seen}
    assert {"profile.updated", "tenant.member_added", "list.member_added", "preference.set"} <= types
    assert not any(it.startswith(("key.", "section.", "topic.", "brand.", "audience.")) for it in types)
    beyond = wire.get("/v1/events", params={"subject": world.eve, "limit": 1}).json()["items"][0]
    assert_refused(world.client.get(f"/v1/events/{beyond['position']}"), 404)
    assert world.client.get(f"/v1/events/{seen[0]['position']}").status_code == 200
    nobody = world.client.get("/v1/events", params={"subject": f"nobody-{uuid4().hex}"}).json()
    for query in ({"subject": world.eve}, {"stream": f"tenant-{world.other}"}, {"stream": f"list-{world.other}.news"}):
        assert world.client.get("/v1/events", params=query).json() == nobody, query
    assert {event["actor"]["id"] for event in seen} <= {"operator", key_id(world)}
    updated = [it for it in seen if it["stream"] == f"tenant-{world.ours}" and "parent_tenant_id" in it["data"]]
    assert updated and all(it["data"]["parent_tenant_id"] is None for it in updated)
    assert "above-" not in str(seen)


def key_id(world: World) -> str:
    """The id by which the key's own writes are known."""
    world.client.put(f"/lists/{world.ours}.own", json={"name": "Own"}).raise_for_status()
    newest = world.client.get("/v1/events", params={"stream": f"list-{world.ours}.own", "order": "desc"}).json()
    return newest["items"][0]["actor"]["id"]


def test_a_list_belongs_to_the_tenant_with_the_longest_id_that_fits(wire: httpx.Client, courier: Courier) -> None:
    """Tenants whose ids have dots in them do not open each other's lists."""
    outer = f"t-{uuid4().hex}"
    inner = f"{outer}.eu"
    for tenant in (outer, inner):
        courier.tenants.update(tenant, name="Tenant")
    for name in (f"{outer}.news", f"{inner}.news"):
        courier.lists.update(name, name="News")
    with key_client(wire, tenant_id=outer) as client:
        assert client.get(f"/lists/{outer}.news").status_code == 200
        assert_refused(client.get(f"/lists/{inner}.news"), 404)
        assert [it["id"] for it in client.get("/lists").json()["items"]] == [f"{outer}.news"]
        assert_refused(client.post("/v1/members/query", json={"list": f"{outer}.*"}), 404)
    with key_client(wire, tenant_id=inner) as client:
        assert client.get(f"/lists/{inner}.news").status_code == 200
        assert_refused(client.get(f"/lists/{outer}.news"), 404)


def test_a_list_counts_those_who_are_within(wire: httpx.Client, world: World) -> None:
    name = f"{world.ours}.counted"
    wire.put(f"/lists/{name}", json={"name": "Counted"}).raise_for_status()
    everybody = [{"recipientId": it} for it in (world.ada, world.kid, world.eve)]
    wire.put(f"/lists/{name}/subscriptions", json={"recipients": everybody}).raise_for_status()
    assert wire.get(f"/lists/{name}").json()["subscriber_count"] == 3
    page = world.client.get("/lists").json()["items"]
    own = world.client.get(f"/profiles/{world.ada}/lists").json()["results"]
    counts = [it["subscriber_count"] for it in page + own if it["id"] == name]
    counts.append(world.client.get(f"/lists/{name}").json()["subscriber_count"])
    assert counts == [2, 2, 2]


def test_a_key_ends_with_its_tenant(wire: httpx.Client, courier: Courier) -> None:
    """A tenant that is made again under the same id is not the one that the key was for."""
    tenant = f"ended-{uuid4().hex}"
    courier.tenants.update(tenant, name="Tenant")
    with key_client(wire, tenant_id=tenant) as client:
        assert client.get(f"/tenants/{tenant}").status_code == 200
        wire.delete(f"/tenants/{tenant}").raise_for_status()
        assert_refused(client.get(f"/tenants/{tenant}"), 401)
        courier.tenants.update(tenant, name="Somebody else")
        assert_refused(client.get(f"/tenants/{tenant}"), 401)


def test_nothing_is_moved_across_the_border(wire: httpx.Client, world: World) -> None:
    before = head(wire)
    client, ada = world.client, world.ada
    for response in (
        client.put(f"/users/{ada}/tenants", json={"tenants": [{"tenant_id": world.other}]}),
        client.put(f"/users/{world.eve}/tenants/{world.ours}", json={}),
        client.post(f"/profiles/{ada}/lists", json={"lists": [{"listId": f"{world.other}.news"}]}),
        client.post(f"/lists/{world.ours}.news/subscriptions", json={"recipients": [{"recipientId": world.eve}]}),
        client.put(f"/lists/{world.ours}.news/subscriptions/{world.eve}", json={}),
        client.put(f"/tenants/{world.below}", json={"name": "B", "parent_tenant_id": world.other}),
        client.put(f"/tenants/new-{uuid4().hex}", json={"name": "N", "parent_tenant_id": world.ours}),
    ):
        assert_refused(response, 404)
    assert_refused(client.delete(f"/tenants/{world.ours}"), 403)
    assert head(wire) == before
    for response in (
        client.put(f"/tenants/{world.below}", json={"name": "B"}),
        client.put(f"/tenants/{world.ours}", json={"name": "O", "parent_tenant_id": world.below}),
    ):
        assert_refused(response, 400, "/parent_tenant_id")
    assert head(wire) == before
    renamed = client.put(f"/tenants/{world.ours}", json={"name": "Ours again"})
    assert renamed.status_code == 200 and renamed.json()["parent_tenant_id"] is None
    assert wire.get(f"/tenants/{world.ours}").json()["parent_tenant_id"].startswith("above-")


def test_an_answer_is_not_given_to_somebody_else(wire: httpx.Client, world: World) -> None:
    """The same idempotency key of an unrestricted key is another request."""
    key, path = {"Idempotency-Key": uuid4().hex}, f"/users/{world.ada}/preferences"
    body = {"topics": [{"topic_id": world.topic, "status": "OPTED_IN"}]}
    assert wire.post(path, json=body, headers=key).status_code == 200
    again = world.client.post(path, json={"topics": []}, headers=key)
    assert_refused(again, 400)
