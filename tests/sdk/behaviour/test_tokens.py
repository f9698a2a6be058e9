"""Device tokens: registered, patched, expired and removed."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from courier import Courier
from refusals import assert_refused, refused


def expiry(wire: httpx.Client, user_id: str, token: str = "a") -> Any:
    return wire.get(f"/users/{user_id}/tokens/{token}").json()["expiry_date"]


def test_a_token_is_registered_and_registered_again(courier: Courier, user_id: str) -> None:
    tokens = courier.users.tokens
    tokens.add_single(
        "a:b/c",
        user_id=user_id,
        provider_key="apn",
        device={"platform": "ios", "model": None},
        tracking={"ip": "::1"},
        properties={"n": [1]},
        expiry_date="2100-01-01T00:00:00.000Z",
    )
    shown = tokens.retrieve("a:b/c", user_id=user_id)
    assert (shown.token, shown.provider_key, shown.status) == ("a:b/c", "apn", "active")
    assert (shown.device.to_dict(), shown.properties) == ({"platform": "ios"}, {"n": [1]})
    assert shown.expiry_date == "2100-01-01T00:00:00.000Z"
    tokens.add_single("a:b/c", user_id=user_id, provider_key="expo", expiry_date=False)
    [shown] = tokens.list(user_id).tokens
    assert (shown.provider_key, shown.device, shown.expiry_date) == ("expo", None, False)
    assert courier.profiles.retrieve(user_id).profile == {}


def test_a_token_lasts_sixty_days_by_itself(wire: httpx.Client, courier: Courier, user_id: str) -> None:
    courier.users.tokens.add_single("a", user_id=user_id, provider_key="apn")
    lasts = datetime.fromisoformat(expiry(wire, user_id)) - datetime.now(UTC)
    assert timedelta(days=59, hours=23) < lasts <= timedelta(days=60)


@pytest.mark.parametrize("wrapped", [True, False])
def test_many_are_registered_in_either_form_and_others_stay(
    courier: Courier, wire: httpx.Client, user_id: str, wrapped: bool
) -> None:
    courier.users.tokens.add_single("kept", user_id=user_id, provider_key="apn")
    tokens = [{"token": name, "provider_key": "onesignal"} for name in ("a", "b")]
    body: Any = {"tokens": tokens} if wrapped else tokens
    assert wire.put(f"/users/{user_id}/tokens", json=body).status_code == 204
    courier.users.tokens.add_multiple(user_id)
    assert [it.token for it in courier.users.tokens.list(user_id).tokens] == ["a", "b", "kept"]


def test_a_patch_changes_what_it_names(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    tokens = courier.users.tokens
    tokens.add_single("a", user_id=user_id, provider_key="apn", expiry_date=False)
    tokens.update(
        "a",
        user_id=user_id,
        patch=[
            {"op": "replace", "path": "/status", "value": "revoked"},
            {"op": "replace", "path": "/status_reason", "value": "lost"},
            {"op": "add", "path": "/device/platform", "value": "ios"},
        ][:2],
    )
    shown = tokens.retrieve("a", user_id=user_id)
    assert (shown.status, shown.status_reason, shown.expiry_date) == ("revoked", "lost", False)
    tokens.update("a", user_id=user_id, patch=[{"op": "replace", "path": "/expiry_date"}])
    assert isinstance(expiry(wire, user_id), str)
    for patch, path in [
        ([{"op": "replace", "path": "/status", "value": "on"}], "/patch/0"),
        ([{"op": "test", "path": "/status", "value": "revoked"}, {"op": "replace", "path": "/token", "value": "b"}], "/patch/1"),
        ([{"op": "remove", "path": "/provider_key"}], "/patch"),
        ([{"op": "replace", "path": "/expiry_date", "value": True}], "/patch"),
        ([{"op": "test", "path": "/status", "value": "active"}], "/patch/0"),
        ([{"op": "add", "path": "/device/platform", "value": "x"}], "/patch/0"),
        ([{"op": "grow", "path": "/status"}], "/patch/0"),
    ]:
        assert_refused(wire.patch(f"/users/{user_id}/tokens/a", json={"patch": patch}), 400, path)
    assert tokens.retrieve("a", user_id=user_id).status == "revoked"


def test_an_unknown_token_is_not_found_and_need_not_be_there_to_be_removed(
    courier: Courier, user_id: str
) -> None:
    tokens = courier.users.tokens
    with refused(404):
        tokens.retrieve("a", user_id=user_id)
    with refused(404):
        tokens.update("a", user_id=user_id, patch=[])
    tokens.delete("a", user_id=user_id)
    tokens.add_single("a", user_id=user_id, provider_key="apn")
    tokens.delete("a", user_id=user_id)
    assert tokens.list(user_id).tokens == []
    with refused(404):
        courier.profiles.retrieve(user_id)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/provider_key"),
        ({"provider_key": "gcm"}, "/provider_key"),
        ({"provider_key": "apn", "token": "other"}, "/token"),
        ({"provider_key": "apn", "expiry_date": "string"}, "/expiry_date"),
        ({"provider_key": "apn", "expiry_date": True}, "/expiry_date"),
        ({"provider_key": "apn", "expiry_date": "2020-01-01"}, "/expiry_date"),
        ({"provider_key": "apn", "status": "on"}, "/status"),
        ({"provider_key": "apn", "device": "phone"}, "/device"),
        ({"provider_key": "apn", "tracking": {"lat": 1.5}}, "/tracking/lat"),
        ({"provider_key": "apn", "properties": "x" * 20_000}, "/properties"),
    ],
)
def test_a_bad_token_is_refused(
    courier: Courier, wire: httpx.Client, user_id: str, body: Any, path: str
) -> None:
    assert_refused(wire.put(f"/users/{user_id}/tokens/a", json=body), 400, path)
    many = {"tokens": [{"token": "b", "provider_key": "apn"}, {"token": "a"} | body]}
    response = wire.put(f"/users/{user_id}/tokens", json=many)
    if body.get("token") is None:
        assert_refused(response, 400, f"/tokens/1{path}")
        assert courier.users.tokens.list(user_id).tokens == []


def test_there_can_be_a_hundred(wire: httpx.Client, user_id: str) -> None:
    tokens = [{"token": str(number), "provider_key": "apn"} for number in range(101)]
    path = f"/users/{user_id}/tokens"
    assert_refused(wire.put(path, json={"tokens": tokens}), 400, "/tokens")
    assert wire.put(path, json={"tokens": tokens[:100]}).status_code == 204
    refusal = wire.put(f"{path}/100", json={"provider_key": "apn"})
    assert_refused(refusal, 400)
    assert refusal.json()["code"] == "limit_reached"


def test_a_token_expires_by_itself(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    courier.users.tokens.add_single("a", user_id=user_id, provider_key="apn", expiry_date=at)
    assert courier.users.tokens.list(user_id).tokens
    deadline = time.monotonic() + 30
    # Nothing else is written: only the clock can let it go.
    while wire.get(f"/users/{user_id}/tokens/a").status_code == 200:
        assert time.monotonic() < deadline
    assert wire.get(f"/v1/users/{user_id}").status_code == 404
