"""Brands, which tenants and the preference page use."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused, refused

SETTINGS: Any = {"colors": {"primary": "#123456"}}


def test_a_brand_is_created_read_replaced_and_deleted(courier: Courier) -> None:
    snippets: Any = {"items": [{"name": "a", "value": "b"}]}
    made = courier.brands.create(name="Acme", settings=SETTINGS, snippets=snippets)
    assert made.id.startswith("bnd_") and len(made.id) == 30
    assert made.settings.to_dict() == SETTINGS
    assert (made.snippets.to_dict(), made.created) == (snippets, made.updated)
    assert courier.brands.retrieve(made.id) == made
    after = courier.brands.update(made.id, name="Ajax")
    assert (after.name, after.settings, after.snippets) == ("Ajax", None, None)
    assert after.created == made.created and after.updated >= made.updated
    courier.brands.delete(made.id)
    for call in (courier.brands.retrieve, courier.brands.delete):
        with refused(404):
            call(made.id)
    with refused(404):
        courier.brands.update(made.id, name="a")


def test_brands_are_listed(courier: Courier) -> None:
    made = [courier.brands.create(name="a", settings={}).id for _ in range(3)]
    found = pages(lambda cursor: courier.brands.list(cursor=cursor))
    listed = [row.id for page in found for row in page.results]
    assert set(made) <= set(listed) and listed == sorted(listed)


def test_a_chosen_id_can_be_taken_once(wire: httpx.Client) -> None:
    brand = {"id": f"brand-{uuid4().hex}", "name": "a", "settings": {}}
    assert wire.post("/brands", json=brand).json()["id"] == brand["id"]
    taken = wire.post("/brands", json=brand)
    assert_refused(taken, 409, "/id")
    assert taken.headers["x-should-retry"] == "false"
    assert_refused(wire.post("/brands", json=brand | {"id": "default"}), 400, "/id")


def test_a_brand_in_use_stays(courier: Courier, wire: httpx.Client) -> None:
    brand, tenant = courier.brands.create(name="a", settings={}).id, f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant, name="a", brand_id=brand)
    refusal = wire.delete(f"/brands/{brand}")
    assert_refused(refusal, 409)
    assert refusal.headers["x-should-retry"] == "false"
    courier.tenants.update(tenant, name="a")
    courier.workspace_preferences.publish(brand_id=brand)
    assert_refused(wire.delete(f"/brands/{brand}"), 409)
    courier.workspace_preferences.publish()
    courier.brands.delete(brand)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/settings"),
        ({"settings": {}}, "/name"),
        ({"name": "a"}, "/settings"),
        ({"name": "a", "settings": 1}, "/settings"),
        ({"name": 1, "settings": {}}, "/name"),
        ({"name": "a", "settings": {}, "snippets": []}, "/snippets"),
        ({"name": "a", "settings": {}, "id": ""}, "/id"),
        ({"name": "a", "settings": {"colors": {"primary": 1}}}, "/settings/colors/primary"),
        ({"name": "a", "settings": {}, "snippets": {"items": [{"name": "a"}]}}, "/snippets/items/0/value"),
    ],
)
def test_a_bad_brand_is_refused(wire: httpx.Client, body: Any, path: str) -> None:
    assert_refused(wire.post("/brands", json=body), 400, path)
