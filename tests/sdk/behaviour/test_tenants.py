"""Tenants and who is a member of them: replaced as a whole, inherited level by level."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused, refused


@pytest.fixture
def tenant_id() -> str:
    return f"tenant-{uuid4().hex}"


def users(courier: Courier, tenant_id: str) -> list[str]:
    return [row.user_id for row in courier.tenants.list_users(tenant_id).items or []]


def effective(wire: httpx.Client, user_id: str, **query: str) -> Any:
    response = wire.get(f"/v1/users/{user_id}/effective-profile", params=query)
    assert response.status_code == 200, response.text
    return response.json()


# Put


def test_a_put_answers_the_tenant_and_get_the_same(courier: Courier, tenant_id: str) -> None:
    put = courier.tenants.update(
        tenant_id,
        name="Acme 🏢",
        brand_id="brand",
        parent_tenant_id="nobody",
        properties={"plan": "pro", "gone": None},
        user_profile={"locale": "en"},
        default_preferences={
            "items": [
                {"id": "b", "status": "OPTED_OUT"},
                {
                    "id": "a",
                    "status": "REQUIRED",
                    "has_custom_routing": True,
                    "custom_routing": ["email"],
                },
            ]
        },
    )
    assert (put.id, put.name, put.brand_id) == (tenant_id, "Acme 🏢", "brand")
    assert put.parent_tenant_id == "nobody"
    assert (put.properties, put.user_profile) == ({"plan": "pro"}, {"locale": "en"})
    items = [item.to_dict() for item in put.default_preferences.items]
    assert items == [
        {"id": "a", "status": "REQUIRED", "has_custom_routing": True, "custom_routing": ["email"]},
        {"id": "b", "status": "OPTED_OUT", "has_custom_routing": False, "custom_routing": []},
    ]
    assert courier.tenants.retrieve(tenant_id) == put


def test_a_put_clears_what_it_leaves_out_and_keeps_the_members(
    courier: Courier, tenant_id: str, user_id: str
) -> None:
    courier.tenants.update(tenant_id, name="A", brand_id="b", properties={"a": 1})
    courier.users.tenants.add_single(tenant_id, user_id=user_id)
    after = courier.tenants.update(tenant_id, name="B")
    assert (after.name, after.brand_id, after.properties) == ("B", None, None)
    assert users(courier, tenant_id) == [user_id]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": "x" * 2_000}, "/name"),
        ({"name": "a", "parent_tenant_id": ""}, "/parent_tenant_id"),
        ({"name": "a", "brand_id": 7}, "/brand_id"),
        ({"name": "a", "properties": []}, "/properties"),
        ({"name": "a", "user_profile": "x"}, "/user_profile"),
        ({"name": "a", "properties": {"a": "x" * 70_000}}, "/properties"),
        ({"name": "a", "default_preferences": []}, "/default_preferences"),
        ({"name": "a", "default_preferences": {"items": [{"id": "a"}]}}, "/default_preferences/items/0/status"),
        (
            {"name": "a", "default_preferences": {"items": [{"id": "a", "status": "MAYBE"}]}},
            "/default_preferences/items/0/status",
        ),
        (
            {
                "name": "a",
                "default_preferences": {
                    "items": [{"id": "a", "status": "OPTED_IN", "custom_routing": ["slack"]}]
                },
            },
            "/default_preferences/items/0/custom_routing/0",
        ),
    ],
)
def test_a_bad_tenant_is_refused(
    wire: httpx.Client, tenant_id: str, body: Any, path: str
) -> None:
    assert_refused(wire.put(f"/tenants/{tenant_id}", json=body), 400, path)
    assert wire.get(f"/tenants/{tenant_id}").status_code == 404


def test_no_tenant_is_its_own_ancestor(courier: Courier, tenant_id: str) -> None:
    top, middle = f"{tenant_id}-top", f"{tenant_id}-middle"
    with refused(400, "/parent_tenant_id"):
        courier.tenants.update(tenant_id, name="a", parent_tenant_id=tenant_id)
    courier.tenants.update(tenant_id, name="a", parent_tenant_id=middle)
    courier.tenants.update(middle, name="b", parent_tenant_id=top)
    with refused(400, "/parent_tenant_id"):
        courier.tenants.update(top, name="c", parent_tenant_id=tenant_id)
    with refused(404):
        courier.tenants.retrieve(top)


# Delete


def test_a_deletion_ends_memberships_and_leaves_people_and_children(
    courier: Courier, tenant_id: str, user_id: str
) -> None:
    child = f"{tenant_id}-child"
    courier.tenants.update(tenant_id, name="a")
    courier.tenants.update(child, name="b", parent_tenant_id=tenant_id)
    courier.profiles.replace(user_id, profile={"email": "a@x"})
    courier.users.tenants.add_multiple(
        user_id, tenants=[{"tenant_id": tenant_id}, {"tenant_id": child}]
    )
    courier.tenants.delete(tenant_id)
    with refused(404):
        courier.tenants.retrieve(tenant_id)
    with refused(404):
        courier.tenants.delete(tenant_id)
    held = courier.users.tenants.list(user_id).items or []
    assert [row.tenant_id for row in held] == [child]
    assert courier.tenants.retrieve(child).parent_tenant_id == tenant_id
    assert courier.profiles.retrieve(user_id).profile == {"email": "a@x"}


def test_a_tenant_that_only_memberships_name_has_users_and_can_be_deleted(
    courier: Courier, tenant_id: str, user_id: str
) -> None:
    courier.users.tenants.add_single(tenant_id, user_id=user_id)
    with refused(404):
        courier.tenants.retrieve(tenant_id)
    assert users(courier, tenant_id) == [user_id]
    courier.tenants.delete(tenant_id)
    with refused(404):
        courier.tenants.list_users(tenant_id)


# Lists


def test_children_and_prefixes_can_be_listed_in_pages(
    courier: Courier, wire: httpx.Client, tenant_id: str
) -> None:
    courier.tenants.update(tenant_id, name="Parent")
    children = [f"{tenant_id}-{number}" for number in range(5)]
    for child in children:
        courier.tenants.update(child, name=f"Näme {child}", parent_tenant_id=tenant_id)
    page = courier.tenants.list(parent_tenant_id=tenant_id, limit=2)
    found = [row.id for row in page.items]
    assert (page.type, page.url, page.has_more) == ("list", "/tenants", True)
    assert page.next_url and "parent_tenant_id=" in page.next_url
    while page.has_more:
        page = courier.tenants.list(parent_tenant_id=tenant_id, limit=2, cursor=page.cursor)
        found += [row.id for row in page.items]
    assert (found, page.cursor, page.next_url) == (children, None, None)
    for prefix in (f"{tenant_id.upper()}-3", f"näme {tenant_id}-3"):
        rows = wire.get("/tenants", params={"q": prefix}).json()["items"]
        assert [row["id"] for row in rows] == [children[3]]


def test_a_link_leads_to_the_next_page(courier: Courier, wire: httpx.Client, tenant_id: str) -> None:
    for number in range(3):
        courier.users.tenants.add_single(tenant_id, user_id=f"{tenant_id}-user-{number}")
    page = wire.get(f"/tenants/{tenant_id}/users", params={"limit": 2}).json()
    assert page["url"] == f"/tenants/{tenant_id}/users"
    rest = wire.get(page["next_url"]).json()
    assert [row["user_id"] for row in rest["items"]] == [f"{tenant_id}-user-2"]
    assert rest["has_more"] is False


def test_users_are_counted_with_and_without_descendants(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    child = f"{tenant_id}-child"
    courier.tenants.update(tenant_id, name="a")
    courier.tenants.update(child, name="b", parent_tenant_id=tenant_id)
    both = [{"tenant_id": tenant_id}, {"tenant_id": child}]
    courier.users.tenants.add_multiple(user_id, tenants=both)
    courier.users.tenants.add_single(child, user_id=f"{user_id}-2")
    tenant = wire.get(f"/tenants/{tenant_id}").json()
    assert (tenant["user_count"], tenant["user_count_with_descendants"]) == (1, 2)


# Memberships


def test_joining_adds_and_keeps_or_replaces_the_profile(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    other = f"{tenant_id}-other"

    def profile() -> Any:
        return wire.get(f"/users/{user_id}/tenants/{tenant_id}").json()["profile"]

    courier.users.tenants.add_single(tenant_id, user_id=user_id, profile={"role": "admin"})
    courier.users.tenants.add_multiple(user_id, tenants=[{"tenant_id": other}])
    held = courier.users.tenants.list(user_id)
    rows = [(row.tenant_id, row.user_id, row.type, row.profile) for row in held.items or []]
    assert rows == [
        (tenant_id, user_id, "user", {"role": "admin"}),
        (other, user_id, "user", None),
    ]
    courier.users.tenants.add_multiple(user_id, tenants=[{"tenant_id": tenant_id}])
    assert profile() == {"role": "admin"}
    courier.users.tenants.add_single(tenant_id, user_id=user_id, profile={"team": "a"})
    assert profile() == {"team": "a"}
    courier.users.tenants.add_single(tenant_id, user_id=user_id, profile=None)
    assert profile() is None


def test_leaving_one_and_leaving_all(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    tenants = [f"{tenant_id}-{number}" for number in range(3)]
    courier.users.tenants.add_multiple(user_id, tenants=[{"tenant_id": it} for it in tenants])
    courier.users.tenants.remove_single(tenants[0], user_id=user_id)
    courier.users.tenants.remove_single(tenants[0], user_id=user_id)
    assert_refused(wire.get(f"/users/{user_id}/tenants/{tenants[0]}"), 404)
    assert len(courier.users.tenants.list(user_id).items or []) == 2
    courier.users.tenants.remove_all(user_id)
    assert courier.users.tenants.list(user_id).items == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/tenants"),
        ({"tenants": "x"}, "/tenants"),
        ({"tenants": [1]}, "/tenants/0"),
        ({"tenants": [{"tenant_id": "a"}, {}]}, "/tenants/1/tenant_id"),
        ({"tenants": [{"tenant_id": "a", "profile": []}]}, "/tenants/0/profile"),
        ({"tenants": [{"tenant_id": str(n)} for n in range(1_001)]}, "/tenants"),
    ],
)
def test_bad_memberships_are_refused_as_a_whole(
    courier: Courier, wire: httpx.Client, user_id: str, body: Any, path: str
) -> None:
    assert_refused(wire.put(f"/users/{user_id}/tenants", json=body), 400, path)
    assert courier.users.tenants.list(user_id).items == []


# What is inherited


def test_a_profile_is_laid_over_its_tenants_and_under_the_membership(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    top = f"{tenant_id}-top"
    courier.tenants.update(
        top,
        name="a",
        brand_id="brand-of-top",
        user_profile={"locale": "en", "address": {"country": "DE", "city": "Bonn"}},
        properties={"tier": 1, "color": "red"},
    )
    courier.tenants.update(
        tenant_id,
        name="b",
        parent_tenant_id=top,
        user_profile={"locale": "de", "phone": "1"},
        properties={"color": "blue"},
    )
    courier.profiles.replace(user_id, profile={"email": "a@x", "address": {"city": "Köln"}})
    courier.users.tenants.add_single(tenant_id, user_id=user_id, profile={"email": "b@x"})
    shown = effective(wire, user_id, tenant_id=tenant_id)
    assert shown["profile"] == {
        "locale": "de",
        "phone": "1",
        "address": {"country": "DE", "city": "Köln"},
        "email": "b@x",
    }
    assert shown["sources"] == {
        "/address/city": {"layer": "profile"},
        "/address/country": {"layer": "tenant", "tenant_id": top},
        "/email": {"layer": "membership", "tenant_id": tenant_id},
        "/locale": {"layer": "tenant", "tenant_id": tenant_id},
        "/phone": {"layer": "tenant", "tenant_id": tenant_id},
    }
    assert (shown["brand_id"], shown["brand_from"]) == ("brand-of-top", top)
    assert shown["properties"] == {"tier": 1, "color": "blue"}
    # The only tenant is the context where none is named.
    assert effective(wire, user_id) == shown | {"tenant_inferred": True}
    courier.users.tenants.add_single(top, user_id=user_id)
    alone = effective(wire, user_id)
    assert (alone["tenant_id"], alone["profile"]["email"]) == (None, "a@x")


def test_four_levels_are_loaded(courier: Courier, wire: httpx.Client, tenant_id: str) -> None:
    for level in range(6):
        courier.tenants.update(
            f"{tenant_id}-{level}",
            name="a",
            parent_tenant_id=f"{tenant_id}-{level + 1}",
            user_profile={f"level{level}": True},
        )
    shown = effective(wire, "nobody", tenant_id=f"{tenant_id}-0")
    assert sorted(shown["profile"]) == ["level0", "level1", "level2", "level3"]


# Tenants as sets


def test_rules_and_queries_see_memberships_at_once(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    top, audience = f"{tenant_id}-top", f"audience-{tenant_id}"

    def asks(path: str) -> Any:
        rule = {"operator": "MEMBER_OF", "path": path, "value": top}
        return {"operator": "AND", "filters": [rule]}

    def held() -> list[str]:
        return [
            kind
            for kind in ("tenant", "tenant_tree")
            if courier.audiences.list_members(f"{audience}-{kind}").items
        ]

    def asked(descendants: bool) -> int:
        body = {"union": [{"tenant": top, "descendants": descendants}]}
        return wire.post("/v1/members/query", json=body).json()["count"]

    courier.tenants.update(top, name="a")
    courier.tenants.update(tenant_id, name="b", parent_tenant_id=top)
    courier.profiles.replace(user_id, profile={"a": 1})
    for kind in ("tenant", "tenant_tree"):
        courier.audiences.update(f"{audience}-{kind}", filter=asks(kind))
    assert (held(), asked(False), asked(True)) == ([], 0, 0)
    courier.users.tenants.add_single(tenant_id, user_id=user_id)
    assert (held(), asked(False), asked(True)) == (["tenant_tree"], 0, 1)
    courier.users.tenants.add_single(top, user_id=user_id)
    assert (held(), asked(False), asked(True)) == (["tenant", "tenant_tree"], 1, 1)
    courier.users.tenants.remove_single(top, user_id=user_id)
    courier.tenants.update(tenant_id, name="b")
    assert (held(), asked(False), asked(True)) == ([], 0, 0)
    courier.tenants.update(tenant_id, name="b", parent_tenant_id=top)
    assert held() == ["tenant_tree"]
    courier.tenants.delete(tenant_id)
    assert held() == []
