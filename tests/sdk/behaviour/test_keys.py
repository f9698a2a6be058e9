"""API keys: making, ending and replacing them, and what each may do."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from refusals import assert_refused
from routes import all_routes, answer, key_client, new_key, scopes, with_credential


def nobody() -> dict[str, str]:
    """Ids that nobody has, for every place in a path."""
    names = ("user_id", "recipient_id", "list_id", "audience_id", "tenant_id", "section_id", "topic_id")
    ids = {name: f"nobody-{uuid4().hex}" for name in (*names, "brand_id", "token", "key_id", "audit_event_id", "webhook_id")}
    return ids | {"position": "1"}


def test_every_route_asks_for_its_scope_and_for_no_other(wire: httpx.Client) -> None:
    routes = all_routes(wire)
    assert len(routes) > 90
    every = scopes(wire)
    assert len(every) > 20
    looked_at = 0
    for scope in every:
        with key_client(wire, scope) as client:
            for route in routes:
                response = answer(client, route, nobody())
                allowed = route.scope == scope
                looked_at += 1
                if allowed:
                    assert response.status_code not in (401, 403), f"{route} with {scope}: {response.text}"
                else:
                    assert_refused(response, 403)
                    assert response.json()["code"] == "scope_missing", f"{route} with {scope}"
                    assert route.scope in response.json()["message"]
    assert looked_at == len(every) * len(routes)


def test_no_route_answers_without_a_good_credential(wire: httpx.Client) -> None:
    good = new_key(wire)["key"]
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    for authorization in (None, "", "Bearer", f"Bearer {changed}", f"Basic {good}", good, f"Bearer  {changed}"):
        headers = {} if authorization is None else {"Authorization": authorization}
        with httpx.Client(base_url=wire.base_url, headers=headers) as client:
            for route in all_routes(wire):
                assert_refused(answer(client, route, nobody()), 401)
    for public in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"):
        assert httpx.get(f"{wire.base_url}{public}").status_code == 200


def test_a_key_is_shown_once_and_works_until_it_is_revoked(wire: httpx.Client) -> None:
    made = new_key(wire, "profiles:read", "lists:read")
    assert made["key"].startswith(made["prefix"]) and len(made["key"]) > 40
    shown = wire.get(f"/v1/keys/{made['id']}").json()
    assert "key" not in shown and shown["scopes"] == ["lists:read", "profiles:read"]
    listed, cursor = [], None
    while True:
        page = wire.get("/v1/keys", params={"limit": 50} | ({"cursor": cursor} if cursor else {})).json()
        listed += page["items"]
        cursor = page["paging"]["cursor"]
        if not cursor:
            break
    assert made["id"] in [it["id"] for it in listed]
    assert made["key"] not in str(listed)
    with with_credential(wire, made["key"]) as client:
        assert client.get("/profiles").status_code == 200
        assert wire.get(f"/v1/keys/{made['id']}").json()["last_used_at"] is not None
        assert wire.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert_refused(client.get("/profiles"), 401)
    assert_refused(wire.delete(f"/v1/keys/{made['id']}"), 404)
    assert wire.get(f"/v1/keys/{made['id']}").json()["revoked_at"] is not None


def test_a_key_is_replaced_by_one_that_is_good_for_the_same(wire: httpx.Client) -> None:
    old = new_key(wire, "profiles:read")
    new = wire.post(f"/v1/keys/{old['id']}/rotate", json={"grace": "1 hour"}).json()
    assert new["scopes"] == old["scopes"] and new["id"] != old["id"]
    for key in (old, new):
        with with_credential(wire, key["key"]) as client:
            assert client.get("/profiles").status_code == 200
    assert wire.get(f"/v1/keys/{old['id']}").json()["expires_at"] is not None
    newest = wire.post(f"/v1/keys/{new['id']}/rotate").json()
    for key, status in ((new, 401), (newest, 200)):
        with with_credential(wire, key["key"]) as client:
            assert client.get("/profiles").status_code == status
    assert_refused(wire.post(f"/v1/keys/{new['id']}/rotate"), 404)
    assert_refused(wire.post(f"/v1/keys/{newest['id']}/rotate", json={"grace": "1 year"}), 400, "/grace")


def test_a_key_opens_nothing_once_it_has_expired(wire: httpx.Client) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=2)
    made = new_key(wire, "profiles:read", expires_at=ends.isoformat())
    with with_credential(wire, made["key"]) as client:
        assert client.get("/profiles").status_code == 200
        while datetime.now(UTC) < ends:
            # It never ends early; a request that began before the end may be answered after it.
            began = datetime.now(UTC)
            response = client.get("/profiles")
            assert response.status_code == 200 or datetime.now(UTC) >= ends, began
        assert_refused(client.get("/profiles"), 401)
    assert wire.get(f"/v1/keys/{made['id']}").json()["revoked_at"] is None


def test_nobody_gives_away_more_than_they_have(wire: httpx.Client) -> None:
    strong = new_key(wire, "admin")
    with key_client(wire, "keys:write", "keys:read", "profiles:read") as client:
        assert client.post("/v1/keys", json={"name": "k", "scopes": ["profiles:read"]}).status_code == 201
        for wider in (["profiles:write"], ["admin"], ["profiles:read", "lists:read"]):
            assert_refused(client.post("/v1/keys", json={"name": "k", "scopes": wider}), 403, "/scopes")
        assert_refused(client.post(f"/v1/keys/{strong['id']}/rotate"), 403)
        assert_refused(client.delete(f"/v1/keys/{strong['id']}"), 403)
        assert_refused(client.delete("/v1/keys/unknown"), 404)
        weak = new_key(wire, "profiles:read")
        assert client.delete(f"/v1/keys/{weak['id']}").status_code == 204
    with with_credential(wire, strong["key"]) as client:
        assert client.get("/profiles").status_code == 200


@pytest.mark.parametrize(
    "scope", ["*", "profiles", "profiles:*", "*:read", "PROFILES:READ", "profiles:read ", "", "profiles:read,lists:read"]
)
def test_a_word_that_is_no_scope_is_refused(wire: httpx.Client, scope: str) -> None:
    assert_refused(wire.post("/v1/keys", json={"name": "k", "scopes": [scope]}), 400, "/scopes/0")


def test_what_is_wrong_with_a_key_is_said(wire: httpx.Client) -> None:
    for body, status, path in (
        ({"scopes": ["admin"]}, 400, "/name"),
        ({"name": "k"}, 400, "/scopes"),
        ({"name": "k", "scopes": []}, 400, "/scopes"),
        ({"name": "k", "scopes": "admin"}, 400, "/scopes"),
        ({"name": "k", "scopes": ["admin"], "tenant_id": "nobody"}, 404, "/tenant_id"),
        ({"name": "k", "scopes": ["admin"], "expires_at": "2020-01-01"}, 400, "/expires_at"),
        ({"name": "k", "scopes": ["admin"], "expires_at": "soon"}, 400, "/expires_at"),
        ({"name": "k" * 2_000, "scopes": ["admin"]}, 400, "/name"),
    ):
        assert_refused(wire.post("/v1/keys", json=body), status, path)


def test_headers_of_which_there_are_two_are_refused(wire: httpx.Client, user_id: str) -> None:
    good = wire.headers["Authorization"]
    for name, values in (
        ("Authorization", (good, good)),
        ("Idempotency-Key", ("a", "b")),
        ("Muster-Actor", ("a", "b")),
    ):
        headers = [(name, value) for value in values]
        if name != "Authorization":
            headers.append(("Authorization", good))
        with httpx.Client(base_url=wire.base_url, headers=headers) as client:
            assert_refused(client.post(f"/profiles/{user_id}", json={"profile": {}}), 400, f"/{name.lower()}")
