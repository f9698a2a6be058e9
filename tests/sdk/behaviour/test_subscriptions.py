import json
from typing import Any

import httpx
import pytest
from courier import Courier
from courier.types.lists.subscription_list_response import Item
from paging import pages
from refusals import assert_refused, refused

PAGE_ROWS = 100
OPTED_IN: Any = {"notifications": {"n": {"status": "OPTED_IN"}}}
OPTED_OUT: Any = {
    "categories": {"c": {"status": "OPTED_OUT", "channel_preferences": [{"channel": "email"}]}},
    "notifications": {"n": {"status": "REQUIRED", "rules": [{"until": "until", "start": "start"}]}},
}


def recipients(*user_ids: str) -> list[Any]:
    return [{"recipient_id": user_id} for user_id in user_ids]


def subscriptions(courier: Courier, list_id: str) -> dict[str, Item]:
    found = pages(lambda cursor: courier.lists.subscriptions.list(list_id, cursor=cursor))
    rows = [row for page in found for row in page.items]
    by_id = {row.recipient_id: row for row in rows}
    assert len(by_id) == len(rows), "somebody is subscribed twice"
    return by_id


def preferences(row: Any) -> Any:
    return row.preferences and row.preferences.to_dict()


def lists_of(courier: Courier, user_id: str) -> dict[str, Any]:
    found = pages(lambda cursor: courier.profiles.lists.retrieve(user_id, cursor=cursor))
    return {row.id: row for page in found for row in page.results}


# One subscriber


def test_subscribing_puts_one_subscription(courier: Courier, list_id: str, user_id: str) -> None:
    subscribe = courier.lists.subscriptions.subscribe_user
    subscribe(user_id, list_id=list_id, preferences=OPTED_IN)
    before = subscriptions(courier, list_id)[user_id]
    assert preferences(before) == OPTED_IN

    subscribe("other", list_id=list_id)
    subscribe(user_id, list_id=list_id, preferences=OPTED_OUT)
    after = subscriptions(courier, list_id)
    assert after.keys() == {user_id, "other"}
    assert preferences(after[user_id]) == OPTED_OUT
    assert after[user_id].created == before.created

    subscribe(user_id, list_id=list_id, preferences=None)
    assert preferences(subscriptions(courier, list_id)[user_id]) is None


def test_unsubscribing_may_be_repeated_while_the_list_is_there(
    courier: Courier, list_id: str, user_id: str
) -> None:
    unsubscribe = courier.lists.subscriptions.unsubscribe_user
    with refused(404):
        unsubscribe(user_id, list_id=list_id)
    courier.lists.subscriptions.add(list_id, recipients=recipients(user_id, "other"))
    unsubscribe(user_id, list_id=list_id)
    assert subscriptions(courier, list_id).keys() == {"other"}
    unsubscribe(user_id, list_id=list_id)
    unsubscribe("never-seen", list_id=list_id)
    courier.lists.delete(list_id)
    with refused(404):
        unsubscribe("other", list_id=list_id)


def test_ids_in_paths_and_bodies_name_the_same_users(courier: Courier, list_id: str, user_id: str) -> None:
    user_ids = [user_id + ending for ending in (" ", "+", "%", "%2F", "/", "é", "🦀", "?#", "a@b.c")]
    courier.lists.subscriptions.add(list_id, recipients=recipients(*user_ids))
    for awkward in user_ids:
        assert lists_of(courier, awkward).keys() == {list_id}
        courier.lists.subscriptions.subscribe_user(awkward, list_id=list_id)
    assert subscriptions(courier, list_id).keys() == set(user_ids)
    for awkward in user_ids:
        courier.lists.subscriptions.unsubscribe_user(awkward, list_id=list_id)
    assert subscriptions(courier, list_id) == {}


# Many subscribers


def test_add_leaves_existing_subscriptions_as_they_are(courier: Courier, list_id: str) -> None:
    courier.lists.subscriptions.subscribe_user("old", list_id=list_id, preferences=OPTED_IN)
    before = subscriptions(courier, list_id)["old"]
    added: Any = [{"recipient_id": user_id, "preferences": OPTED_OUT} for user_id in ("old", "new")]
    courier.lists.subscriptions.add(list_id, recipients=added)
    after = subscriptions(courier, list_id)
    assert after["old"] == before
    assert preferences(after["new"]) == OPTED_OUT


def test_subscribe_overwrites_all_subscriptions(courier: Courier, list_id: str) -> None:
    first: Any = [{"recipient_id": user_id, "preferences": OPTED_IN} for user_id in ("goes", "stays")]
    courier.lists.subscriptions.subscribe(list_id, recipients=first)
    second: Any = [{"recipient_id": "stays", "preferences": OPTED_OUT}, {"recipient_id": "comes"}]
    courier.lists.subscriptions.subscribe(list_id, recipients=second)
    after = subscriptions(courier, list_id)
    assert {user_id: preferences(row) for user_id, row in after.items()} == {"stays": OPTED_OUT, "comes": None}
    assert lists_of(courier, "goes").get(list_id) is None
    courier.lists.subscriptions.subscribe(list_id, recipients=[])
    assert subscriptions(courier, list_id) == {}


def test_subscribing_creates_a_list_that_is_missing(courier: Courier, list_id: str, user_id: str) -> None:
    courier.lists.subscriptions.subscribe_user(user_id, list_id=f"{list_id}.one")
    courier.lists.subscriptions.add(f"{list_id}.two", recipients=recipients(user_id))
    courier.lists.subscriptions.subscribe(f"{list_id}.three", recipients=recipients(user_id))
    courier.profiles.lists.subscribe(user_id, lists=[{"list_id": f"{list_id}.four"}])
    for part in ("one", "two", "three", "four"):
        created = courier.lists.retrieve(f"{list_id}.{part}")
        assert created.name == created.id
        assert subscriptions(courier, created.id).keys() == {user_id}


@pytest.mark.parametrize("verb", ["add", "subscribe"])
def test_a_recipient_named_twice_is_subscribed_once(courier: Courier, list_id: str, verb: str) -> None:
    getattr(courier.lists.subscriptions, verb)(list_id, recipients=recipients("a", "b", "a"))
    assert subscriptions(courier, list_id).keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([{"recipientId": "a"}], None),
        ({}, "/recipients"),
        ({"recipients": None}, "/recipients"),
        ({"recipients": "a"}, "/recipients"),
        ({"recipients": ["a"]}, "/recipients/0"),
        ({"recipients": [{"recipientId": "a"}, {}]}, "/recipients/1"),
        ({"recipients": [{"recipientId": "a"}, {"recipientId": ""}]}, "/recipients/1/recipientId"),
        ({"recipients": [{"recipientId": "a"}, {"recipientId": 1}]}, "/recipients/1/recipientId"),
        ({"recipients": [{"recipientId": "a"}, {"recipientId": "\u0000"}]}, "/recipients/1/recipientId"),
        ({"recipients": [{"recipientId": "a"}, {"recipientId": "b", "preferences": []}]}, "/recipients/1/preferences"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_one_bad_recipient_refuses_them_all(
    wire: httpx.Client, list_id: str, method: str, body: Any, path: str | None
) -> None:
    assert_refused(wire.request(method, f"/lists/{list_id}/subscriptions", json=body), 400, path)
    assert_refused(wire.get(f"/lists/{list_id}"), 404)


# The lists of a profile


def test_a_profile_subscribes_to_lists_and_keeps_its_others(
    courier: Courier, list_id: str, user_id: str
) -> None:
    news, sport, local = (f"{list_id}.{part}" for part in ("news", "sport", "local"))
    courier.lists.update(news, name="News")
    subscribe = courier.profiles.lists.subscribe
    assert subscribe(user_id, lists=[{"list_id": news}, {"list_id": sport}]).status == "SUCCESS"
    subscribe(user_id, lists=[{"list_id": sport, "preferences": OPTED_OUT}, {"list_id": local}])

    found = lists_of(courier, user_id)
    assert {row.id: row.name for row in found.values()} == {news: "News", sport: sport, local: local}
    assert [preferences(found[name]) for name in (news, sport, local)] == [None, OPTED_OUT, None]
    assert preferences(subscriptions(courier, sport)[user_id]) == OPTED_OUT


def test_leaving_every_list_leaves_profile_and_others_alone(
    courier: Courier, list_id: str, user_id: str
) -> None:
    courier.profiles.create(user_id, profile={"email": "a@b.c"})
    courier.lists.subscriptions.add(f"{list_id}.one", recipients=recipients(user_id, "other"))
    courier.lists.subscriptions.add(f"{list_id}.two", recipients=recipients(user_id))
    for _ in range(2):
        assert courier.profiles.lists.delete(user_id).status == "SUCCESS"
        assert lists_of(courier, user_id) == {}
    assert subscriptions(courier, f"{list_id}.one").keys() == {"other"}
    assert subscriptions(courier, f"{list_id}.two") == {}
    assert courier.profiles.retrieve(user_id).profile == {"email": "a@b.c"}


def test_a_restored_list_does_not_hold_who_left_in_between(
    courier: Courier, list_id: str, user_id: str
) -> None:
    courier.lists.subscriptions.add(list_id, recipients=recipients(user_id, "stays"))
    courier.lists.delete(list_id)
    courier.profiles.lists.delete(user_id)
    courier.lists.restore(list_id)
    assert subscriptions(courier, list_id).keys() == {"stays"}
    assert lists_of(courier, user_id) == {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/lists"),
        ({"lists": None}, "/lists"),
        ({"lists": ["news"]}, "/lists/0"),
        ({"lists": [{}]}, "/lists/0"),
        ({"lists": [{"listId": "news"}, {"listId": ""}]}, "/lists/1/listId"),
        ({"lists": [{"listId": "news"}, {"listId": "a..b"}]}, "/lists/1/listId"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_one_bad_list_refuses_them_all(
    wire: httpx.Client, user_id: str, body: Any, path: str
) -> None:
    assert_refused(wire.post(f"/profiles/{user_id}/lists", json=body), 400, path)
    assert_refused(wire.get(f"/profiles/{user_id}"), 404)


# Pages


def test_pages_of_subscribers_lose_nobody_while_others_come_and_go(courier: Courier, list_id: str) -> None:
    early = [f"early-{n:03}" for n in range(150)]
    late = [f"by-id-before-early-{n:03}" for n in range(100)]
    courier.lists.subscriptions.add(list_id, recipients=recipients(*early))
    courier.lists.subscriptions.add(list_id, recipients=recipients(*late))

    seen: list[Item] = []
    for page in pages(lambda cursor: courier.lists.subscriptions.list(list_id, cursor=cursor)):
        assert len(page.items) <= PAGE_ROWS
        seen += page.items
        courier.lists.subscriptions.unsubscribe_user(seen[0].recipient_id, list_id=list_id)
        courier.lists.subscriptions.unsubscribe_user(seen[-1].recipient_id, list_id=list_id)
        courier.lists.subscriptions.subscribe_user(f"newcomer-{len(seen)}", list_id=list_id)

    seen_ids = [row.recipient_id for row in seen]
    assert len(seen_ids) == len(set(seen_ids))
    # Also those whose neighbour, the last row of a page, left before the next page was fetched.
    assert set(seen_ids) >= set(early + late)
    joined = [row.created for row in seen]
    assert joined == sorted(joined)


def test_pages_of_the_lists_of_a_profile_lose_none(courier: Courier, list_id: str, user_id: str) -> None:
    names = [f"{list_id}.{n:03}" for n in range(250)]
    courier.profiles.lists.subscribe(user_id, lists=[{"list_id": name} for name in names])
    seen: list[str] = []
    for page in pages(lambda cursor: courier.profiles.lists.retrieve(user_id, cursor=cursor)):
        assert len(page.results) <= PAGE_ROWS
        seen += [row.id for row in page.results]
        courier.lists.subscriptions.unsubscribe_user(user_id, list_id=seen[-1])
    assert seen == names


def test_a_cursor_that_cannot_be_read_means_the_first_page(
    courier: Courier, list_id: str, user_id: str
) -> None:
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    page = courier.lists.subscriptions.list(list_id, cursor="cursor")
    assert [row.recipient_id for row in page.items] == [user_id]
    lists = courier.profiles.lists.retrieve(user_id, cursor="cursor")
    assert [row.id for row in lists.results] == [list_id]
