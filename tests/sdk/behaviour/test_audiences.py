"""Audiences as the SDK sees them: exact at once, in the current shape, with reasons."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused, refused


@pytest.fixture
def audience_id() -> str:
    return f"audience-{uuid4().hex}"


@pytest.fixture
def mark() -> str:
    """A value that no other test stores."""
    return uuid4().hex


def equal(path: str, value: str) -> Any:
    return {"operator": "EQ", "path": path, "value": value}


def group(*rules: Any, operator: str = "AND") -> Any:
    return {"operator": operator, "filters": list(rules)}


def members(courier: Courier, audience_id: str) -> list[str]:
    found = pages(lambda cursor: courier.audiences.list_members(audience_id, cursor=cursor))
    return [row.member_id for page in found for row in page.items]


def test_a_put_answers_the_audience_and_get_the_same(courier: Courier, audience_id: str) -> None:
    filter = group(equal("title", "Software Engineer"))
    put = courier.audiences.update(
        audience_id, name="Engineers", description="Who builds", filter=filter
    ).audience
    assert (put.id, put.name, put.description) == (audience_id, "Engineers", "Who builds")
    assert put.filter.to_dict() == filter
    assert put.operator == "AND"
    assert put.to_dict()["member_count"] == 0
    assert courier.audiences.retrieve(audience_id) == put


def test_membership_follows_the_write_that_causes_it(
    courier: Courier, audience_id: str, user_id: str, mark: str
) -> None:
    courier.audiences.update(audience_id, filter=group(equal("mark", mark)))
    assert members(courier, audience_id) == []
    courier.profiles.create(user_id, profile={"mark": mark})
    [member] = courier.audiences.list_members(audience_id).items
    assert (member.member_id, member.audience_id) == (user_id, audience_id)
    assert member.audience_version == 1
    assert member.reason == f"EQ('mark', '{mark}') => true"
    courier.profiles.create(user_id, profile={"mark": "other"})
    assert members(courier, audience_id) == []
    courier.profiles.replace(user_id, profile={"mark": mark})
    courier.profiles.delete(user_id)
    assert members(courier, audience_id) == []


def test_what_is_left_out_stays_and_null_clears(courier: Courier, audience_id: str) -> None:
    courier.audiences.update(
        audience_id, name="Name", description="Text", filter=group(equal("a", "1"))
    )
    kept = courier.audiences.update(audience_id, name="Other").audience
    assert (kept.name, kept.description) == ("Other", "Text")
    assert kept.filter.to_dict() == group(equal("a", "1"))
    assert kept.to_dict()["audience_version"] == 1
    cleared = courier.audiences.update(
        audience_id, name=None, description=None, filter=None
    ).audience
    assert (cleared.name, cleared.description, cleared.filter) == ("", "", None)
    assert cleared.operator is None
    assert cleared.to_dict()["audience_version"] == 2


@pytest.mark.parametrize("operator", ["AND", "OR"])
def test_the_operator_beside_the_filter_is_that_of_the_top(
    courier: Courier, audience_id: str, operator: Any
) -> None:
    rules = [equal("a", "1"), equal("b", "2")]
    put = courier.audiences.update(
        audience_id, operator=operator, filter={"filters": rules}
    ).audience
    assert put.filter.to_dict() == group(*rules, operator=operator)
    assert put.operator == operator
    other = "OR" if operator == "AND" else "AND"
    assert courier.audiences.update(audience_id, operator=other).audience.operator == other


@pytest.mark.parametrize(
    "older",
    [
        {"operator": "EQ", "path": "a", "value": "1"},
        {"operator": "AND", "rules": [{"operator": "EQ", "path": "a", "value": "1"}]},
        {"filters": [{"operator": "EQ", "path": "a", "value": 1, "filters": []}]},
    ],
)
def test_older_shapes_are_answered_in_the_current_one(
    wire: httpx.Client, courier: Courier, audience_id: str, older: Any
) -> None:
    # Old SDKs send the whole object, its id among it.
    body = {"id": audience_id, "name": "n", "filter": older}
    put = wire.put(f"/audiences/{audience_id}", json=body)
    assert put.status_code == 200, put.text
    assert courier.audiences.retrieve(audience_id).filter.to_dict() == group(equal("a", "1"))


def test_a_negation_holds_of_who_lacks_the_attribute(
    courier: Courier, audience_id: str, user_id: str, mark: str
) -> None:
    courier.profiles.create(user_id, profile={"mark": mark})
    filter: Any = group(
        equal("mark", mark),
        {"operator": "NEQ", "path": "plan", "value": "pro"},
        {"operator": "NOT", "filters": [{"operator": "EXISTS", "path": "email", "value": "true"}]},
    )
    courier.audiences.update(audience_id, filter=filter)
    assert members(courier, audience_id) == [user_id]
    courier.profiles.create(user_id, profile={"email": "x@example.com"})
    assert members(courier, audience_id) == []


def test_lists_and_audiences_are_sets_that_a_rule_can_ask_about(
    courier: Courier, audience_id: str, user_id: str, list_id: str
) -> None:
    courier.profiles.create(user_id, profile={})
    courier.profiles.replace(user_id, profile={"a": 1})
    outer = f"{audience_id}-outer"
    in_list: Any = {"operator": "MEMBER_OF", "path": "list", "value": list_id}
    in_audience: Any = {"operator": "MEMBER_OF", "path": "audience", "value": audience_id}
    unknown = courier.audiences.update(outer, filter=group(in_audience)).audience
    assert unknown.to_dict()["unknown_references"] == [{"path": "audience", "value": audience_id}]
    courier.audiences.update(audience_id, filter=group(in_list))
    assert members(courier, outer) == []
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    assert members(courier, outer) == [user_id]
    courier.lists.delete(list_id)
    assert members(courier, outer) == []
    courier.lists.restore(list_id)
    assert members(courier, outer) == [user_id]
    courier.audiences.delete(audience_id)
    assert members(courier, outer) == []


def test_pages_hold_everybody_once_while_people_come_and_go(
    courier: Courier, wire: httpx.Client, audience_id: str, mark: str
) -> None:
    people = [f"{mark}-{number:02}" for number in range(25)]
    courier.audiences.update(audience_id, filter=group(equal("mark", mark)))
    for person in people:
        courier.profiles.create(person, profile={"mark": mark})
    seen: list[str] = []
    cursor = ""
    while True:
        page = wire.get(
            f"/audiences/{audience_id}/members", params={"limit": 10, "cursor": cursor}
        ).json()
        seen += [member["member_id"] for member in page["items"]]
        # Somebody from the page before leaves, somebody new joins.
        courier.profiles.create(seen[0], profile={"mark": "left"})
        courier.profiles.create(f"{mark}-late-{len(seen)}", profile={"mark": mark})
        if not page["paging"]["more"]:
            break
        cursor = page["paging"]["cursor"]
    assert seen[: len(people)] == people
    assert len(seen) == len(set(seen))


def test_values_that_an_operator_cannot_read_are_counted(
    courier: Courier, audience_id: str, mark: str
) -> None:
    path = f"seen_{mark}"
    for number, value in enumerate(["2026-01-01", "soon", 12, True]):
        courier.profiles.create(f"{mark}-{number}", profile={path: value})
    filter: Any = group({"operator": "IS_AFTER", "path": path, "value": "2025-01-01"})
    courier.audiences.update(audience_id, filter=filter)
    audience = courier.audiences.retrieve(audience_id).to_dict()
    assert audience["member_count"] == 1
    assert audience["unreadable"] == [{"path": path, "operator": "IS_AFTER", "count": 2}]


def test_a_deleted_audience_is_gone(courier: Courier, audience_id: str) -> None:
    courier.audiences.update(audience_id, name="n")
    courier.audiences.delete(audience_id)
    for call in (
        courier.audiences.retrieve,
        courier.audiences.list_members,
        courier.audiences.delete,
    ):
        with refused(404):
            call(audience_id)


def test_audiences_are_listed_by_id(courier: Courier, audience_id: str) -> None:
    ids = [f"{audience_id}-{number}" for number in range(3)]
    for one in reversed(ids):
        courier.audiences.update(one)
    found = pages(lambda cursor: courier.audiences.list(cursor=cursor))
    listed = [row.id for page in found for row in page.items]
    assert [one for one in listed if one.startswith(audience_id)] == ids
    assert listed == sorted(listed)


LEAF = equal("a", "1")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"filter": []}, "/filter"),
        ({"filter": {}}, "/filter/filters"),
        ({"filter": {"operator": "AND", "filters": []}}, "/filter/filters"),
        ({"filter": group(LEAF, operator="XOR")}, "/filter/operator"),
        ({"filter": {"filters": [LEAF, LEAF]}}, "/filter/operator"),
        ({"filter": group({"operator": "LIKE", "path": "a", "value": "1"})}, "/filter/filters/0/operator"),
        ({"filter": group({"operator": "GT", "path": "a", "value": "many"})}, "/filter/filters/0/value"),
        ({"filter": group({"operator": "IS_BEFORE", "path": "a", "value": "soon"})}, "/filter/filters/0/value"),
        ({"filter": group({"operator": "WITHIN_LAST", "path": "a", "value": "7 days"})}, "/filter/filters/0/value"),
        ({"filter": group({"operator": "EQ", "path": "a", "value": ["1"]})}, "/filter/filters/0/value"),
        ({"filter": group({**LEAF, "filters": [LEAF]})}, "/filter/filters/0/filters"),
        ({"filter": group(*[LEAF] * 257)}, "/filter/filters/256"),
        ({"name": 7}, "/name"),
        ({"description": "x" * 5000}, "/description"),
        ({"operator": "and"}, "/operator"),
    ],
)
def test_what_is_no_audience_is_refused_and_leaves_nothing(
    wire: httpx.Client, audience_id: str, body: Any, path: str
) -> None:
    before = wire.get("/audiences").headers["muster-position"]
    assert_refused(wire.put(f"/audiences/{audience_id}", json=body), 400, path)
    assert_refused(wire.get(f"/audiences/{audience_id}"), 404)
    assert wire.get("/audiences").headers["muster-position"] == before


def test_a_cycle_is_refused_with_the_way_around(
    courier: Courier, wire: httpx.Client, audience_id: str
) -> None:
    a, b, c = (f"{audience_id}-{name}" for name in "abc")
    part: Any = lambda of: group(LEAF, {"operator": "MEMBER_OF", "path": "audience", "value": of})
    courier.audiences.update(a, filter=part(b))
    courier.audiences.update(b, filter=part(c))
    refusal = wire.put(f"/audiences/{c}", json={"filter": part(a)})
    assert_refused(refusal, 400, "/filter/filters/1/value")
    assert refusal.json()["code"] == "audience_cycle"
    assert f"{c} → {a} → {b} → {c}" in refusal.json()["message"]
    assert_refused(wire.put(f"/audiences/{a}", json={"filter": part(a)}), 400)
