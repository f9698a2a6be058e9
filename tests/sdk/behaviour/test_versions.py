"""Versions: nobody overwrites what they have not seen."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused


def fresh() -> str:
    return uuid4().hex


@pytest.fixture
def entities(courier: Courier, wire: httpx.Client) -> list[tuple[str, Any, Any]]:
    """The path of each kind of thing that has a version, and two bodies that it is put with."""
    user, tenant, section, topic = (f"{name}-{fresh()}" for name in ("user", "tenant", "section", "topic"))
    wire.put(f"/profiles/{user}", json={"profile": {}}).raise_for_status()
    courier.tenants.update(tenant, name="Tenant")
    wire.post("/preferences/sections", json={"id": section, "name": "S"}).raise_for_status()
    topics = f"/preferences/sections/{section}/topics"
    wire.post(topics, json={"id": topic, "name": "T", "default_status": "OPTED_IN"}).raise_for_status()
    brand = f"brand-{fresh()}"
    wire.post("/brands", json={"id": brand, "name": "B", "settings": {}}).raise_for_status()
    rule = {"operator": "AND", "filters": [{"operator": "EQ", "path": "n", "value": "1"}]}
    hours = {"time_zone": "UTC", "from": "22:00", "to": "07:00"}
    return [
        (f"/profiles/{user}-p", {"profile": {"n": 1}}, {"profile": {"n": 2}}),
        (f"/lists/list-{fresh()}", {"name": "A"}, {"name": "B"}),
        (f"/audiences/audience-{fresh()}", {"name": "A", "filter": rule}, {"name": "B"}),
        (f"/tenants/tenant-{fresh()}", {"name": "A"}, {"name": "B"}),
        (f"/users/{user}/tenants/{tenant}", {"profile": {"n": 1}}, {"profile": {"n": 2}}),
        (f"/preferences/sections/{section}", {"name": "A"}, {"name": "B"}),
        (
            f"{topics}/{topic}",
            {"name": "A", "default_status": "OPTED_IN"},
            {"name": "B", "default_status": "OPTED_IN"},
        ),
        (f"/brands/{brand}", {"name": "A", "settings": {}}, {"name": "B", "settings": {}}),
        (
            f"/users/{user}/tokens/abc",
            {"provider_key": "apn", "expiry_date": False},
            {"provider_key": "expo", "expiry_date": False},
        ),
        (f"/v1/users/{user}-q/quiet-hours", hours, hours | {"to": "08:00"}),
        (
            f"/preferences/{user}-r",
            {"categories": {"a": {"status": "OPTED_IN"}}},
            {"categories": {"a": {"status": "OPTED_OUT"}}},
        ),
    ]


def test_what_was_changed_meanwhile_is_not_overwritten(
    wire: httpx.Client, entities: list[tuple[str, Any, Any]]
) -> None:
    for path, one, other in entities:
        assert wire.put(path, json=one).status_code < 300, path
        tag = wire.get(path).headers["etag"]
        assert tag.startswith('"') and tag.endswith('"'), path
        assert wire.get(path).headers["etag"] == tag, "a read changes nothing"
        assert wire.put(path, json=other, headers={"If-Match": tag}).status_code < 300, path
        stale = wire.put(path, json=one, headers={"If-Match": tag})
        assert_refused(stale, 412)
        assert stale.headers["x-should-retry"] == "false"
        newer = wire.get(path).headers["etag"]
        assert stale.headers["etag"] == newer != tag, path
        assert wire.put(path, json=one, headers={"If-Match": f'"x", W/"1", {newer}'}).status_code < 300, path
        assert_refused(wire.put(path, json=other, headers={"If-Match": f"W/{newer}"}), 412)
        assert wire.put(path, json=other, headers={"If-Match": "*"}).status_code < 300, path


def test_a_write_says_which_version_it_left(wire: httpx.Client, entities: list[tuple[str, Any, Any]]) -> None:
    """So that whoever writes again need not look first."""
    for path, one, other in entities:
        left = wire.put(path, json=one).headers["etag"]
        assert left == wire.get(path).headers["etag"], path
        again = wire.put(path, json=other, headers={"If-Match": left})
        assert again.status_code < 300, f"{path}: {again.text}"
        assert_refused(wire.put(path, json=one, headers={"If-Match": left}), 412)
        assert again.headers["etag"] == wire.get(path).headers["etag"] != left, path


def test_what_is_there_is_not_made_again(wire: httpx.Client, entities: list[tuple[str, Any, Any]]) -> None:
    none = {"If-None-Match": "*"}
    before = 0
    for path, one, other in entities:
        made = wire.put(path, json=one, headers=none)
        if made.status_code >= 300:
            # Those are made by `POST`, and were.
            assert path.startswith(("/preferences/sections/", "/brands/")), f"{path}: {made.text}"
            assert_refused(made, 412)
            before += 1
            continue
        assert_refused(wire.put(path, json=other, headers=none), 412)
        if path.startswith("/preferences/user"):
            continue  # It cannot be deleted by itself.
        tag = {"If-Match": wire.get(path).headers["etag"]}
        assert_refused(wire.delete(path, headers={"If-Match": '"999"'}), 412)
        assert wire.delete(path, headers=tag).status_code == 204, path
        assert_refused(wire.put(path, json=one, headers=tag), 412)
        assert_refused(wire.put(path, json=one, headers={"If-Match": "*"}), 412)
        assert wire.put(path, json=one, headers=none).status_code < 300, path
    assert before == 3


def test_of_many_at_the_same_time_one_gets_through(wire: httpx.Client, user_id: str) -> None:
    path = f"/profiles/{user_id}"
    wire.put(path, json={"profile": {"n": 0}}).raise_for_status()
    tag = {"If-Match": wire.get(path).headers["etag"]}

    def put(number: int) -> int:
        return wire.put(path, json={"profile": {"n": number}}, headers=tag).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(put, range(1, 65)))
    assert statuses == [200] + [412] * 63


def test_a_condition_on_what_has_no_version_is_refused(wire: httpx.Client, user_id: str) -> None:
    for headers, path in (
        ({"If-Match": '"1"'}, "/if-match"),
        ({"If-None-Match": "*"}, "/if-none-match"),
    ):
        response = wire.put(f"/users/{user_id}/tokens", json={"tokens": []}, headers=headers)
        assert_refused(response, 400, path)
    profile = f"/profiles/{user_id}"
    for headers, path in (
        ({"If-Match": "1"}, "/if-match"),
        ({"If-Match": ""}, "/if-match"),
        ({"If-None-Match": '"1"'}, "/if-none-match"),
        ({"If-Match": ",".join(['"1"'] * 65)}, "/if-match"),
    ):
        assert_refused(wire.put(profile, json={"profile": {}}, headers=headers), 400, path)
    assert wire.get(profile).status_code == 404
