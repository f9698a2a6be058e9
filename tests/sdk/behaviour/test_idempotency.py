"""Requests that take effect once, however often they are sent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused
from routes import all_routes
from sending import CONTENT, send


@pytest.fixture
def topic_path(courier: Courier) -> str:
    section = courier.workspace_preferences.create(name="Section").id
    return f"/preferences/sections/{section}/topics"


def body_of(route: str, topic: str) -> Any:
    return {
        "/profiles/{user_id}": {"profile": {"n": 1}},
        "/profiles/{user_id}/lists": {"lists": [{"listId": f"list-{uuid4().hex}"}]},
        "/lists/{list_id}/subscriptions": {"recipients": [{"recipientId": f"user-{uuid4().hex}"}]},
        "/users/{user_id}/preferences": {"topics": [{"topic_id": topic, "status": "OPTED_OUT"}]},
        "/preferences/sections": {"name": "Section"},
        "/preferences/sections/{section_id}/topics": {"name": "News", "default_status": "OPTED_IN"},
        "/preferences/publish": {"heading": "Choose"},
        "/brands": {"name": "Brand", "settings": {}},
        "/v1/users:batch": {"users": [{"user_id": f"user-{uuid4().hex}", "profile": {"n": 1}}, {}]},
        "/v1/keys": {"name": "Key", "scopes": ["profiles:read"]},
        "/v1/keys/{key_id}/rotate": {"grace": "1 hour"},
        "/v1/webhooks": {"url": "https://nowhere.invalid/", "types": ["list.restored"]},
        "/v1/webhooks/{webhook_id}/redeliver": {"from": 1},
        "/send": {"message": {"to": {"email": "a@example.com"}, "content": CONTENT}},
        "/bulk": {"message": {"event": "news", "content": CONTENT}},
        "/bulk/{job_id}": {"users": [{"recipient": f"user-{uuid4().hex}"}]},
        "/tenants/{tenant_id}/templates/{template_id}/publish": {},
        "/v1/templates": {"template": {"content": CONTENT}},
        "/v1/templates/{template_id}/publish": {},
        "/v1/users/{user_id}/inbox/marks": {"mark": "read", "all": True},
    }.get(route)


# They change nothing, or nothing that is kept.
WITHOUT_EFFECT = {
    "/v1/audiences/backtest",
    "/v1/audiences/preview",
    "/v1/audiences/{audience_id}/diff",
    "/v1/members/query",
    "/v1/resolve",
    "/auth/issue-token",
    "/preferences/sections/{section_id}/topics/{topic_id}/digest/release",
    # What is told there has an id of its own, and is refused the second time.
    "/inbound/courier",
}


def test_every_post_takes_effect_once(wire: httpx.Client, courier: Courier, topic_path: str) -> None:
    topic = wire.post(topic_path, json={"name": "T", "default_status": "OPTED_IN"}).json()["id"]
    section = topic_path.split("/")[3]
    key_id = wire.post("/v1/keys", json={"name": "old", "scopes": ["admin"]}).json()["id"]
    webhook = wire.post("/v1/webhooks", json=body_of("/v1/webhooks", topic)).json()["id"]
    posts = [it for it in all_routes(wire) if it.method == "POST" and it.path not in WITHOUT_EFFECT]
    assert len(posts) == 25
    tenant = f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant, name="Tenant")
    template = {"template": {"content": CONTENT}}
    wire.put(f"/tenants/{tenant}/templates/{tenant}", json=template).raise_for_status()
    wire.put(f"/v1/templates/{tenant}", json=template).raise_for_status()
    for route in posts:
        ids = {"user_id": f"user-{uuid4().hex}", "list_id": f"list-{uuid4().hex}"}
        fixed = {"section_id": section, "key_id": key_id, "tenant_id": tenant, "webhook_id": webhook, "template_id": tenant}
        if route.names("message_id"):
            fixed["message_id"] = send(courier, {"email": "a@example.com"}, delay={"duration": 3_600_000})
        if route.names("job_id"):
            fixed["job_id"] = wire.post("/bulk", json=body_of("/bulk", topic)).json()["jobId"]
        path = route.with_ids(ids | fixed)
        body, key = body_of(route.path, topic), {"Idempotency-Key": uuid4().hex}
        if route.path == "/v1/users/{user_id}/erase":
            wire.put(f"/profiles/{ids['user_id']}", json={"profile": {"n": 1}}).raise_for_status()
        first = wire.post(path, json=body, headers=key)
        assert first.status_code < 300, f"{route}: {first.text}"
        assert "idempotent-replayed" not in first.headers
        position = first.headers["muster-position"]
        answer = first.json() if first.content else None
        if answer is not None:
            # The key itself is shown once and kept nowhere, and so is a secret.
            answer.pop("key", None)
            answer.pop("secret", None)
            if "erase" in path:
                # Of an answer about somebody who is erased it is known only that there was one.
                answer = {"erased": True}
        for again_body in (body, {"other": "body"}, None):
            content = {"json": again_body} if again_body is not None else {}
            again = wire.post(path, headers=key, **content)
            assert again.status_code == first.status_code, str(route)
            assert (again.json() if again.content else None) == answer, str(route)
            assert again.headers["idempotent-replayed"] == "true"
        newest = wire.get("/v1/events", params={"order": "desc", "limit": 1, "type": "request.answered"})
        answered = str(newest.json()["items"][0]["position"])
        # What erases somebody is written after its answer.
        assert answered == position or "erase" in path and int(answered) + 1 == int(position), str(route)
        other = wire.post(path, json=body_of(route.path, topic), headers={"Idempotency-Key": uuid4().hex})
        # What is gone, or was replaced, is not there a second time.
        ends = ("/v1/keys/{key_id}/rotate", "/v1/users/{user_id}/erase", "/messages/{message_id}/cancel")
        if route.path not in ends:
            assert other.status_code == first.status_code and "idempotent-replayed" not in other.headers


def test_a_key_belongs_to_its_path(wire: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    users = [f"user-{uuid4().hex}" for _ in range(2)]
    for user in users:
        response = wire.post(f"/profiles/{user}", json={"profile": {"n": user}}, headers=key)
        assert "idempotent-replayed" not in response.headers
    assert [wire.get(f"/profiles/{it}").json()["profile"]["n"] for it in users] == users


def test_a_key_belongs_to_its_context(wire: httpx.Client, courier: Courier, topic_path: str, user_id: str) -> None:
    topic = wire.post(topic_path, json={"name": "T", "default_status": "OPTED_IN"}).json()["id"]
    key, path = {"Idempotency-Key": uuid4().hex}, f"/users/{user_id}/preferences"
    body = {"topics": [{"topic_id": topic, "status": "OPTED_OUT"}]}
    for tenant in ("acme", "ajax"):
        courier.tenants.update(tenant, name=tenant)
        courier.users.tenants.add_single(tenant, user_id=user_id)
    contexts: list[dict[str, str]] = [{}, {"tenant_id": "acme"}, {"tenant_id": "ajax"}]
    for context in contexts:
        response = wire.post(path, params=context, json=body, headers=key)
        assert response.status_code == 200 and "idempotent-replayed" not in response.headers, context
    for context in contexts:
        assert "idempotent-replayed" in wire.post(path, params=context, json=body, headers=key).headers, context


def test_duplicates_at_the_same_time_take_effect_once(wire: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid4().hex}

    def create(_: int) -> httpx.Response:
        return wire.post("/brands", json={"name": "Brand", "settings": {}}, headers=key)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(64)))
    assert {it.status_code for it in answers} == {200}
    assert len({it.json()["id"] for it in answers}) == 1
    assert sum("idempotent-replayed" not in it.headers for it in answers) == 1


def test_what_was_refused_is_decided_anew(wire: httpx.Client) -> None:
    brand, key = f"brand-{uuid4().hex}", {"Idempotency-Key": uuid4().hex}
    body = {"id": brand, "name": "Brand", "settings": {}}
    wire.post("/brands", json=body).raise_for_status()
    assert_refused(wire.post("/brands", json=body, headers=key), 409)
    wire.delete(f"/brands/{brand}").raise_for_status()
    assert wire.post("/brands", json=body, headers=key).status_code == 200


def test_a_no_op_is_kept_too(wire: httpx.Client, user_id: str) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    wire.post(f"/profiles/{user_id}", json={"profile": {"n": 1}}).raise_for_status()
    assert wire.post(f"/profiles/{user_id}", json={"profile": {"n": 1}}, headers=key).status_code == 200
    again = wire.post(f"/profiles/{user_id}", json={"profile": {"n": 2}}, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert wire.get(f"/profiles/{user_id}").json()["profile"] == {"n": 1}


@pytest.mark.parametrize("expiration", ["1785312000", "never", "", "2020-01-01", "9999999999999999999", "4102444800000"])
def test_an_expiration_is_moved_into_its_bounds(wire: httpx.Client, user_id: str, expiration: str) -> None:
    headers = {"Idempotency-Key": uuid4().hex, "x-idempotency-expiration": expiration}
    for _ in range(2):
        response = wire.post(f"/profiles/{user_id}", json={"profile": {}}, headers=headers)
        assert response.status_code == 200
    assert response.headers["idempotent-replayed"] == "true"
    query = {"type": "request.answered", "order": "desc", "limit": 1}
    data = wire.get("/v1/events", params=query).json()["items"][0]["data"]
    kept = data["expires_at"] / 1e9 - time()
    # The last of them is a time in 2100; the one before is none at all.
    expected = 365 * 86_400 if expiration == "4102444800000" else 86_400
    assert abs(kept - expected) < 60


@pytest.mark.parametrize("key", ["", "x" * 256, "\xe9"])
def test_a_key_that_is_none_is_refused(wire: httpx.Client, user_id: str, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    response = wire.post(f"/profiles/{user_id}", json={"profile": {}}, headers=headers)
    assert_refused(response, 400, "/idempotency-key")


def test_reads_and_other_methods_take_no_notice(wire: httpx.Client, user_id: str) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    calls: list[Callable[[], httpx.Response]] = [
        lambda: wire.put(f"/profiles/{user_id}", json={"profile": {"n": 1}}, headers=key),
        lambda: wire.get(f"/profiles/{user_id}", headers=key),
        lambda: wire.delete(f"/profiles/{user_id}", headers=key),
    ]
    for call in calls:
        assert "idempotent-replayed" not in call().headers
        assert "idempotent-replayed" not in call().headers
