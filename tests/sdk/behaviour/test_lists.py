import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused, refused

PAGE_ROWS = 100
PREFERENCES: Any = {"notifications": {"n": {"status": "OPTED_OUT"}}}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def subscribers(courier: Courier, list_id: str) -> list[str]:
    return [row.recipient_id for row in courier.lists.subscriptions.list(list_id).items]


def listed(courier: Courier, pattern: str) -> list[str]:
    found = pages(lambda cursor: courier.lists.list(pattern=pattern, cursor=cursor))
    return [row.id for page in found for row in page.items]


# Put


def test_put_creates_a_list(courier: Courier, list_id: str) -> None:
    courier.lists.update(list_id, name="News 📰")
    created = courier.lists.retrieve(list_id)
    assert (created.id, created.name) == (list_id, "News 📰")
    assert TIME.fullmatch(created.created or "")
    assert TIME.fullmatch(created.updated or "")
    assert subscribers(courier, list_id) == []


def test_put_replaces_the_name_and_keeps_the_subscribers(
    courier: Courier, list_id: str, user_id: str
) -> None:
    courier.lists.update(list_id, name="Before")
    before = courier.lists.retrieve(list_id)
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    courier.lists.update(list_id, name="After")
    after = courier.lists.retrieve(list_id)
    assert after.name == "After"
    assert after.created == before.created
    assert after.updated >= before.updated
    assert subscribers(courier, list_id) == [user_id]


def test_put_without_preferences_clears_them(courier: Courier, list_id: str) -> None:
    courier.lists.update(list_id, name="News", preferences=PREFERENCES)
    assert courier.lists.retrieve(list_id).to_dict()["preferences"] == PREFERENCES
    courier.lists.update(list_id, name="News")
    assert courier.lists.retrieve(list_id).to_dict().get("preferences") is None


def test_a_list_counts_its_subscribers(courier: Courier, list_id: str) -> None:
    def count() -> object:
        return courier.lists.retrieve(list_id).to_dict()["subscriber_count"]

    courier.lists.update(list_id, name="News")
    assert count() == 0
    courier.lists.subscriptions.add(list_id, recipients=[{"recipient_id": "a"}, {"recipient_id": "b"}])
    assert count() == 2
    courier.lists.subscriptions.unsubscribe_user("a", list_id=list_id)
    assert count() == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/name"),
        ({"name": None}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": "x", "preferences": "text"}, "/preferences"),
        ([], None),
    ],
    ids=json.dumps,
)
def test_a_body_that_describes_no_list_is_refused(
    wire: httpx.Client, list_id: str, body: Any, path: str | None
) -> None:
    assert_refused(wire.put(f"/lists/{list_id}", json=body), 400, path)
    assert_refused(wire.get(f"/lists/{list_id}"), 404)


@pytest.mark.parametrize("list_id", ["a", "a.b.c.d", "ünï-🦀", "a/b", "a+b", "a%b", "50%2Foff", "A_b-c"])
def test_ids_that_are_valid(courier: Courier, list_id: str) -> None:
    courier.lists.update(list_id, name="News")
    assert courier.lists.retrieve(list_id).id == list_id


@pytest.mark.parametrize(
    "list_id",
    ["a*", "*", "a.*", "#a", "a b", ".a", "a.", "a..b", "a.b.c.d.e", "a\n", "a\0", "x" * 513],
    ids=lambda list_id: repr(list_id)[:12],
)
def test_ids_that_are_not_valid(courier: Courier, user_id: str, list_id: str) -> None:
    with refused(400):
        courier.lists.update(list_id, name="News")
    with refused(400):
        courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    with refused(400, path="/lists/0/listId"):
        courier.profiles.lists.subscribe(user_id, lists=[{"list_id": list_id}])
    with refused(404):
        courier.profiles.retrieve(user_id)


# Delete and restore


def test_a_deleted_list_is_gone_and_restore_brings_it_back_with_its_subscribers(
    courier: Courier, list_id: str, user_id: str
) -> None:
    courier.lists.update(list_id, name="News", preferences=PREFERENCES)
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id, preferences=PREFERENCES)
    before = courier.lists.retrieve(list_id).to_dict()
    subscriptions_before = courier.lists.subscriptions.list(list_id).to_dict()

    courier.lists.delete(list_id)
    with refused(404):
        courier.lists.retrieve(list_id)
    with refused(404):
        courier.lists.subscriptions.list(list_id)
    assert listed(courier, list_id) == []
    assert courier.profiles.lists.retrieve(user_id).results == []

    courier.lists.restore(list_id)
    after = courier.lists.retrieve(list_id).to_dict()
    assert after | {"updated": None} == before | {"updated": None}
    assert courier.lists.subscriptions.list(list_id).to_dict() == subscriptions_before
    assert [row.id for row in courier.profiles.lists.retrieve(user_id).results] == [list_id]


def test_what_is_not_there_cannot_be_read_deleted_or_restored(courier: Courier, list_id: str) -> None:
    for call in (courier.lists.retrieve, courier.lists.delete, courier.lists.restore):
        with refused(404):
            call(list_id)
    with refused(404):
        courier.lists.subscriptions.list(list_id)
    courier.lists.update(list_id, name="News")
    courier.lists.delete(list_id)
    with refused(404):
        courier.lists.delete(list_id)


def test_restoring_a_live_list_changes_nothing(courier: Courier, list_id: str, user_id: str) -> None:
    courier.lists.update(list_id, name="News")
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    before = courier.lists.retrieve(list_id)
    courier.lists.restore(list_id)
    assert courier.lists.retrieve(list_id) == before
    assert subscribers(courier, list_id) == [user_id]


Revive = Callable[[Courier, str], object]


@pytest.mark.parametrize(
    "revive",
    [
        lambda courier, list_id: courier.lists.subscriptions.subscribe_user("new", list_id=list_id),
        lambda courier, list_id: courier.lists.subscriptions.add(list_id, recipients=[{"recipient_id": "new"}]),
        lambda courier, list_id: courier.lists.subscriptions.subscribe(list_id, recipients=[{"recipient_id": "new"}]),
        lambda courier, list_id: courier.profiles.lists.subscribe("new", lists=[{"list_id": list_id}]),
    ],
    ids=["subscribe_user", "add", "subscribe", "profile"],
)
def test_subscribing_to_a_deleted_list_starts_a_fresh_one(
    courier: Courier, list_id: str, user_id: str, revive: Revive
) -> None:
    courier.lists.update(list_id, name="Old", preferences=PREFERENCES)
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    courier.lists.delete(list_id)
    revive(courier, list_id)
    fresh = courier.lists.retrieve(list_id).to_dict()
    assert (fresh["name"], fresh.get("preferences")) == (list_id, None)
    assert subscribers(courier, list_id) == ["new"]


def test_put_on_a_deleted_list_starts_a_fresh_one(courier: Courier, list_id: str, user_id: str) -> None:
    courier.lists.update(list_id, name="Old")
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    courier.lists.delete(list_id)
    courier.lists.update(list_id, name="Old")
    assert subscribers(courier, list_id) == []
    assert courier.profiles.lists.retrieve(user_id).results == []
    # The old subscribers stay gone, also when a live list is restored.
    courier.lists.restore(list_id)
    assert subscribers(courier, list_id) == []


def test_restore_brings_back_the_last_generation(courier: Courier, list_id: str) -> None:
    for generation in ("first", "second"):
        courier.lists.update(list_id, name=generation)
        courier.lists.subscriptions.subscribe_user(generation, list_id=list_id)
        courier.lists.delete(list_id)
    courier.lists.restore(list_id)
    assert courier.lists.retrieve(list_id).name == "second"
    assert subscribers(courier, list_id) == ["second"]


# Patterns


@pytest.fixture(scope="module")
def tree(courier: Courier) -> str:
    root = "patterns"
    for list_id in (root, f"{root}.a", f"{root}.b", f"{root}.a.x", f"{root}.b.x", f"{root}.a.y.z", f"{root}ish.a"):
        courier.lists.update(list_id, name=list_id)
    return root


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ROOT", ["ROOT"]),
        ("ROOT.a", ["ROOT.a"]),
        ("ROOT.absent", []),
        ("ROOT.*", ["ROOT.a", "ROOT.b"]),
        ("ROOT.**", ["ROOT.a", "ROOT.a.x", "ROOT.a.y.z", "ROOT.b", "ROOT.b.x"]),
        ("ROOT.a.**", ["ROOT.a.x", "ROOT.a.y.z"]),
        ("ROOT.*.x", ["ROOT.a.x", "ROOT.b.x"]),
        ("ROOT.*.*", ["ROOT.a.x", "ROOT.b.x"]),
        ("ROOT.*.y.*", ["ROOT.a.y.z"]),
        ("ROOT.*.*.*", ["ROOT.a.y.z"]),
        ("*", ["ROOT"]),
        ("*.*", ["ROOT.a", "ROOT.b", "ROOTish.a"]),
        ("*.b", ["ROOT.b"]),
        ("*.*.*.z", ["ROOT.a.y.z"]),
    ],
)
def test_a_pattern_selects(courier: Courier, tree: str, pattern: str, expected: list[str]) -> None:
    # A leading wildcard also finds the lists of other tests.
    found = [list_id for list_id in listed(courier, pattern.replace("ROOT", tree)) if list_id.startswith(tree)]
    assert found == [list_id.replace("ROOT", tree) for list_id in expected]


@pytest.mark.parametrize(
    "pattern",
    ["**", "**.a", "*.**", "***", "a.***", "a.**.b", "poke**", "g*", "*g", ".a", "a.", "a..b", "a b", "a.b.c.d.e"],
)
def test_what_is_no_pattern_is_refused(courier: Courier, pattern: str) -> None:
    with refused(400):
        courier.lists.list(pattern=pattern)


# Pages


def test_pages_stay_in_order_while_lists_come_and_go(courier: Courier, list_id: str) -> None:
    names = [f"{list_id}.{n:03}" for n in range(250)]
    for name in names:
        courier.lists.update(name, name=name)

    seen: list[str] = []
    for page in pages(lambda cursor: courier.lists.list(pattern=f"{list_id}.*", cursor=cursor)):
        assert len(page.items) <= PAGE_ROWS
        ids = [row.id for row in page.items]
        seen += ids
        courier.lists.delete(ids[0])
        courier.lists.delete(ids[-1])
        courier.lists.update(f"{list_id}.!{len(seen)}", name="sorts before everything seen")
        if len(seen) < len(names):
            courier.lists.update(f"{list_id}.~{len(seen)}", name="sorts after everything to come")
    assert [name for name in seen if name in names] == names
    assert seen == sorted(set(seen))


def test_a_page_has_100_rows_unless_limited(courier: Courier, list_id: str) -> None:
    for n in range(PAGE_ROWS + 1):
        courier.lists.update(f"{list_id}.{n:03}", name="n")

    def rows(**query: object) -> int:
        return len(courier.lists.list(pattern=f"{list_id}.*", extra_query=query).items)

    assert rows() == PAGE_ROWS
    assert rows(limit=7) == 7
    assert rows(limit=0) == 1
    assert rows(limit=1_000_000) == PAGE_ROWS + 1


def test_the_last_page_has_no_cursor(courier: Courier, list_id: str) -> None:
    courier.lists.update(list_id, name="News")
    paging = courier.lists.list(pattern=list_id).paging
    assert (paging.more, paging.cursor) == (False, None)


@pytest.mark.parametrize("cursor", ["cursor", "", "🦀", "AAAA"])
def test_a_cursor_that_cannot_be_read_means_the_first_page(
    courier: Courier, list_id: str, cursor: str
) -> None:
    courier.lists.update(list_id, name="News")
    assert [row.id for row in courier.lists.list(pattern=list_id, cursor=cursor).items] == [list_id]


def test_an_empty_pattern_is_none(courier: Courier, list_id: str) -> None:
    courier.lists.update(list_id, name="News")
    assert courier.lists.list(pattern="").items == courier.lists.list().items
