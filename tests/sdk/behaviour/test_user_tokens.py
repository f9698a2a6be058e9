"""Tokens with which people reach what is theirs."""

import base64
import json
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused
from routes import all_routes, answer, key_client, new_key, with_credential

GRANTS = [
    "read:user-tokens",
    "write:user-tokens",
    "read:preferences",
    "write:preferences",
    "read:brands",
    "write:brands",
    "inbox:read:messages",
    "inbox:write:events",
]


def issue(wire: httpx.Client, scope: str, expires_in: object = "1 hour") -> str:
    response = wire.post("/auth/issue-token", json={"scope": scope, "expires_in": expires_in})
    assert response.status_code == 200, response.text
    return response.json()["token"]


def claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_token_of_the_sdk_carries_its_scope(courier: Courier, user_id: str) -> None:
    scope = f"user_id:{user_id} write:user-tokens inbox:read:messages inbox:write:events"
    token = courier.auth.issue_token(scope=scope, expires_in="2.5 hrs").token
    said = claims(token)
    assert said["scope"] == scope
    assert said["exp"] - said["iat"] == 9_000


def test_each_grant_allows_its_routes_and_no_others(wire: httpx.Client, user_id: str) -> None:
    routes = all_routes(wire)
    ids = {name: "x" for name in ("list_id", "audience_id", "tenant_id", "section_id", "topic_id", "brand_id")}
    ids |= {"token": "x", "position": "1", "key_id": "x", "audit_event_id": "1", "webhook_id": "x"}
    ids |= {name: "x" for name in ("job_id", "message_id", "request_id", "template_id", "version")}
    allowed = 0
    for grant in GRANTS:
        with with_credential(wire, issue(wire, f"user_id:{user_id} {grant}")) as client:
            for route in routes:
                own = ids | {"user_id": user_id, "recipient_id": user_id}
                response = answer(client, route, own)
                if route.grant == grant:
                    assert response.status_code not in (401, 403), f"{route} with {grant}: {response.status_code}"
                    allowed += 1
                else:
                    assert_refused(response, 403)
                if route.names("user_id"):
                    other = ids | {"user_id": f"other-{user_id}"}
                    assert_refused(answer(client, route, other), 403)
    assert allowed == sum(route.grant is not None for route in routes)


def test_a_user_writes_their_own_and_nobody_elses(wire: httpx.Client, user_id: str) -> None:
    with with_credential(wire, issue(wire, f"user_id:{user_id} write:user-tokens read:user-tokens")) as client:
        path = f"/users/{user_id}/tokens/abc"
        assert client.put(path, json={"provider_key": "apn"}).status_code == 204
        assert client.get(path).json()["token"] == "abc"
        assert client.delete(path).status_code == 204
        assert_refused(client.put("/users/somebody/tokens/abc", json={"provider_key": "apn"}), 403)
    events = wire.get("/v1/events", params={"subject": user_id, "type": "token.added"}).json()["items"]
    assert events[0]["actor"] == {"id": "environment", "name": "MUSTER_API_KEY", "on_behalf_of": "user token"}


def test_a_token_holds_in_the_tenants_that_it_names(wire: httpx.Client, courier: Courier, user_id: str) -> None:
    for tenant in ("acme", "ajax"):
        courier.tenants.update(tenant, name=tenant)
    path = f"/users/{user_id}/preferences"
    for scope in (f"user_id:{user_id}:acme read:preferences", f"user_id:{user_id} tenant_id:acme read:preferences"):
        with with_credential(wire, issue(wire, scope)) as client:
            assert_refused(client.get(path), 403)
            assert client.get(path, params={"tenant_id": "acme"}).status_code == 200
            assert_refused(client.get(path, params={"tenant_id": "ajax"}), 403)


def test_a_token_that_names_no_tenant_holds_where_its_user_is_a_member(
    wire: httpx.Client, courier: Courier, user_id: str
) -> None:
    for tenant in ("acme", "ajax"):
        courier.tenants.update(tenant, name=tenant)
    courier.users.tenants.add_single("acme", user_id=user_id)
    path = f"/users/{user_id}/preferences"
    with with_credential(wire, issue(wire, f"user_id:{user_id} read:preferences")) as client:
        assert client.get(path).status_code == 200
        assert client.get(path, params={"tenant_id": "acme"}).status_code == 200
        assert_refused(client.get(path, params={"tenant_id": "ajax"}), 403)


def test_that_a_token_was_issued_is_told_and_not_for_whom(wire: httpx.Client, user_id: str) -> None:
    made = new_key(wire, "user-tokens:issue", "preferences:read")
    with with_credential(wire, made["key"]) as key:
        token = issue(key, f"user_id:{user_id} user_id:other read:preferences", "1h")
    event = wire.get("/v1/events", params={"type": "key.user_token_issued", "order": "desc"}).json()["items"][0]
    said = claims(token)
    assert event["data"]["token"] == said["jti"] and event["data"]["users"] == 2
    assert event["data"]["grants"] == ["read:preferences"] and event["actor"]["id"] == made["id"]
    assert user_id not in str(event) and token not in str(event)
    newest = wire.get("/audit-events").json()["results"][0]
    assert newest["type"] == "key.issued", "there are far too many tokens to stand among the acts of operators"


def test_a_brand_is_granted_by_itself(wire: httpx.Client, courier: Courier) -> None:
    one, other = (courier.brands.create(name="Brand", settings={}).id for _ in range(2))
    with with_credential(wire, issue(wire, f"user_id:u read:brands:{one}")) as client:
        assert client.get(f"/brands/{one}").status_code == 200
        assert_refused(client.get(f"/brands/{other}"), 403)
        assert_refused(client.get("/brands"), 403)


def test_a_token_ends_with_the_key_that_had_it_issued(wire: httpx.Client, user_id: str) -> None:
    made = new_key(wire, "user-tokens:issue", "preferences:read")
    with with_credential(wire, made["key"]) as key:
        token = issue(key, f"user_id:{user_id} read:preferences")
    with with_credential(wire, token) as client:
        path = f"/users/{user_id}/preferences"
        assert client.get(path).status_code == 200
        wire.post(f"/v1/keys/{made['id']}/rotate").raise_for_status()
        assert_refused(client.get(path), 401)


def test_no_key_grants_what_it_has_not(wire: httpx.Client, courier: Courier, user_id: str) -> None:
    with key_client(wire, "user-tokens:issue", "preferences:read") as client:
        ask = {"scope": f"user_id:{user_id} write:preferences", "expires_in": "1h"}
        assert_refused(client.post("/auth/issue-token", json=ask), 403, "/scope")
    tenant = f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant, name="Tenant")
    courier.users.tenants.add_single(tenant, user_id=user_id)
    with key_client(wire, tenant_id=tenant) as client:
        token = issue(client, f"user_id:{user_id} read:preferences")
        ask = {"scope": "user_id:somebody read:preferences", "expires_in": "1h"}
        assert_refused(client.post("/auth/issue-token", json=ask), 404, "/scope")
    with with_credential(wire, token) as client:
        path = f"/users/{user_id}/preferences"
        assert client.get(path, params={"tenant_id": tenant}).status_code == 200
        assert_refused(client.get(path, params={"tenant_id": "somewhere"}), 403)


def test_what_was_not_issued_here_is_no_token(wire: httpx.Client, user_id: str) -> None:
    token = issue(wire, f"user_id:{user_id} read:preferences")
    header, payload, signature = token.split(".")
    no_algorithm = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    wider = claims(token) | {"scope": "user_id:somebody read:preferences"}
    wider_payload = base64.urlsafe_b64encode(json.dumps(wider).encode()).rstrip(b"=").decode()
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for forged in (
        f"{no_algorithm}.{payload}.",
        f"{no_algorithm}.{payload}.{signature}",
        f"{header}.{wider_payload}.{signature}",
        f"{header}.{payload}.{flipped}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{token}.x",
        token + "A",
    ):
        with with_credential(wire, forged) as client:
            assert_refused(client.get(f"/users/{user_id}/preferences"), 401)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"expires_in": "1h"}, "/scope"),
        ({"scope": "user_id:u read:preferences"}, "/expires_in"),
        ({"scope": "", "expires_in": "1h"}, "/scope"),
        ({"scope": "user_id:u read:everything", "expires_in": "1h"}, "/scope"),
        ({"scope": "user_id:u admin", "expires_in": "1h"}, "/scope"),
        ({"scope": "user_id:u read:preferences", "expires_in": "2 years"}, "/expires_in"),
        ({"scope": "user_id:u read:preferences", "expires_in": "0s"}, "/expires_in"),
        ({"scope": "user_id:u read:preferences", "expires_in": "soon"}, "/expires_in"),
        ({"scope": " ".join(f"user_id:{n}" for n in range(101)), "expires_in": "1h"}, "/scope"),
    ],
)
def test_what_cannot_be_issued_is_refused(wire: httpx.Client, body: dict[str, str], path: str) -> None:
    assert_refused(wire.post("/auth/issue-token", json=body), 400, path)
