import asyncio
import json
from typing import Any

import httpx
import pytest
from conftest import API_KEY, BASE_URL
from courier import AsyncCourier, Courier
from refusals import assert_refused, refused

PROFILE_BYTES_MAX = 256 * 1024
PROFILE_LEVELS_MAX = 32
ID_BYTES_MAX = 512


def stored(courier: Courier, user_id: str) -> dict[str, Any]:
    return courier.profiles.retrieve(user_id).profile


# Merge


def test_create_stores_the_profile_as_it_was_sent(courier: Courier, user_id: str) -> None:
    profile = {
        "email": "ada@example.com",
        "name": "Ada 👩‍💻 Łovelace",
        "empty": ["", {}, []],
        "numbers": [0, -1, 1.5, 1e300, 2**63],
        "custom": {"a/b": {"~": True}, "": False},
    }
    assert courier.profiles.create(user_id, profile=profile).status == "SUCCESS"
    assert stored(courier, user_id) == profile


def test_create_merges_objects_at_any_depth(courier: Courier, user_id: str) -> None:
    courier.profiles.create(
        user_id, profile={"email": "a@b.c", "custom": {"plan": "free", "role": "dev", "at": {"x": 1}}}
    )
    courier.profiles.create(user_id, profile={"custom": {"plan": "pro", "at": {"y": 2}}})
    assert stored(courier, user_id) == {
        "email": "a@b.c",
        "custom": {"plan": "pro", "role": "dev", "at": {"x": 1, "y": 2}},
    }


def test_create_replaces_arrays_and_scalars(courier: Courier, user_id: str) -> None:
    courier.profiles.create(user_id, profile={"tags": ["a", "b"], "scalar": 1, "object": {"a": 1}})
    changed = {"tags": ["c"], "scalar": {"now": "an object"}, "object": "now a string"}
    courier.profiles.create(user_id, profile=changed)
    assert stored(courier, user_id) == changed


def test_create_removes_what_is_null(courier: Courier, user_id: str) -> None:
    courier.profiles.create(user_id, profile={"email": "a@b.c", "custom": {"plan": "free", "role": "dev"}})
    courier.profiles.create(user_id, profile={"email": None, "custom": {"role": None}, "absent": None})
    assert stored(courier, user_id) == {"custom": {"plan": "free"}}


def test_create_with_an_empty_profile_changes_nothing(courier: Courier, user_id: str) -> None:
    courier.profiles.create(user_id, profile={"email": "a@b.c"})
    assert courier.profiles.create(user_id, profile={}).status == "SUCCESS"
    assert stored(courier, user_id) == {"email": "a@b.c"}


async def test_concurrent_merges_lose_nothing(user_id: str) -> None:
    async with AsyncCourier(
        base_url=BASE_URL, api_key=API_KEY, max_retries=0, _strict_response_validation=True
    ) as courier:
        merges = [courier.profiles.create(user_id, profile={"keys": {f"k{n}": n}}) for n in range(50)]
        await asyncio.gather(*merges)
        answer = await courier.profiles.retrieve(user_id)
    assert answer.profile == {"keys": {f"k{n}": n for n in range(50)}}


# Replace


def test_replace_drops_what_is_not_named(courier: Courier, user_id: str) -> None:
    courier.profiles.replace(user_id, profile={"email": "a@b.c", "custom": {"plan": "free"}})
    assert courier.profiles.replace(user_id, profile={"custom": {"role": "dev"}}).status == "SUCCESS"
    assert stored(courier, user_id) == {"custom": {"role": "dev"}}


def test_replace_with_an_empty_profile_empties_it(courier: Courier, user_id: str) -> None:
    courier.profiles.replace(user_id, profile={"email": "a@b.c"})
    courier.profiles.replace(user_id, profile={})
    assert stored(courier, user_id) == {}


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_null_is_the_same_as_absent_at_any_depth(courier: Courier, user_id: str, verb: str) -> None:
    write = getattr(courier.profiles, verb)
    write(user_id, profile={"a": None, "b": {"c": None, "d": {"e": None}}, "f": [{"g": None, "h": 1}]})
    assert stored(courier, user_id) == {"b": {"d": {}}, "f": [{"h": 1}]}


# Patch

DOCUMENT = {"email": "a@b.c", "tags": ["x", "y"], "custom": {"plan": "free", "a/b~c": 1}}


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ({"op": "add", "path": "/name", "value": "Ada"}, {"name": "Ada"}),
        ({"op": "add", "path": "/tags/1", "value": "new"}, {"tags": ["x", "new", "y"]}),
        ({"op": "add", "path": "/tags/-", "value": {"z": 1}}, {"tags": ["x", "y", {"z": 1}]}),
        ({"op": "remove", "path": "/tags/0"}, {"tags": ["y"]}),
        ({"op": "remove", "path": "/custom/a~1b~0c"}, {"custom": {"plan": "free"}}),
        ({"op": "replace", "path": "/email", "value": "new@b.c"}, {"email": "new@b.c"}),
        ({"op": "move", "from": "/tags/1", "path": "/tags/0"}, {"tags": ["y", "x"]}),
        ({"op": "copy", "from": "/email", "path": "/custom/plan"}, {"custom": {"plan": "a@b.c", "a/b~c": 1}}),
        ({"op": "test", "path": "/tags", "value": ["x", "y"]}, {}),
    ],
    ids=lambda value: f"{value['op']} {value['path']}" if "op" in value else "",
)
def test_patch_applies(courier: Courier, user_id: str, operation: Any, change: dict[str, Any]) -> None:
    courier.profiles.replace(user_id, profile=DOCUMENT)
    courier.profiles.update(user_id, patch=[operation])
    assert stored(courier, user_id) == DOCUMENT | change


def test_patch_applies_its_operations_in_order(courier: Courier, user_id: str) -> None:
    courier.profiles.replace(user_id, profile={"a": 1})
    patch: Any = [
        {"op": "move", "from": "/a", "path": "/b"},
        {"op": "test", "path": "/b", "value": 1},
        {"op": "replace", "path": "/b", "value": 2},
        {"op": "copy", "from": "/b", "path": "/c"},
    ]
    courier.profiles.update(user_id, patch=patch)
    assert stored(courier, user_id) == {"b": 2, "c": 2}


@pytest.mark.parametrize(
    "failing",
    [
        {"op": "test", "path": "/email", "value": "other"},
        {"op": "test", "path": "/absent", "value": "x"},
        {"op": "remove", "path": "/absent"},
        {"op": "replace", "path": "/absent", "value": "x"},
        {"op": "add", "path": "/absent/deep", "value": "x"},
        {"op": "add", "path": "/tags/9", "value": "x"},
        {"op": "copy", "from": "/absent", "path": "/new"},
        {"op": "move", "from": "/absent", "path": "/new"},
        {"op": "move", "path": "/new"},
        {"op": "explode", "path": "/email"},
        {"op": "remove", "path": "email"},
        {"op": "remove"},
        {"path": "/email", "value": "x"},
        "not an object",
    ],
    ids=json.dumps,
)
def test_a_patch_that_fails_names_the_operation_and_applies_nothing(
    courier: Courier, user_id: str, failing: Any
) -> None:
    courier.profiles.replace(user_id, profile=DOCUMENT)
    with refused(400, path="/patch/1"):
        courier.profiles.update(user_id, patch=[{"op": "add", "path": "/new", "value": "x"}, failing])
    assert stored(courier, user_id) == DOCUMENT


def test_a_patch_cannot_turn_the_profile_into_something_else(courier: Courier, user_id: str) -> None:
    courier.profiles.replace(user_id, profile=DOCUMENT)
    not_an_object: Any = {"op": "replace", "path": "", "value": ["a"]}
    with refused(400):
        courier.profiles.update(user_id, patch=[not_an_object])
    assert stored(courier, user_id) == DOCUMENT


def test_patch_creates_an_absent_profile(courier: Courier, user_id: str) -> None:
    courier.profiles.update(user_id, patch=[{"op": "add", "path": "/email", "value": "a@b.c"}])
    assert stored(courier, user_id) == {"email": "a@b.c"}


def test_an_empty_patch_creates_and_changes_nothing(courier: Courier, user_id: str) -> None:
    courier.profiles.update(user_id, patch=[])
    with refused(404):
        courier.profiles.retrieve(user_id)
    courier.profiles.replace(user_id, profile=DOCUMENT)
    courier.profiles.update(user_id, patch=[])
    assert stored(courier, user_id) == DOCUMENT


# Read and delete


def test_every_write_is_seen_by_the_next_read(courier: Courier, user_id: str) -> None:
    for n in range(100):
        courier.profiles.create(user_id, profile={"n": n})
        assert stored(courier, user_id) == {"n": n}


def test_an_unknown_user_is_not_found(courier: Courier, user_id: str) -> None:
    with refused(404):
        courier.profiles.retrieve(user_id)


def test_a_subscriber_without_a_profile_has_an_empty_one(
    courier: Courier, user_id: str, list_id: str
) -> None:
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    assert stored(courier, user_id) == {}
    courier.lists.subscriptions.unsubscribe_user(user_id, list_id=list_id)
    with refused(404):
        courier.profiles.retrieve(user_id)


def test_delete_removes_the_profile_and_may_be_repeated(courier: Courier, user_id: str) -> None:
    courier.profiles.delete(user_id)
    courier.profiles.create(user_id, profile={"old": 1})
    courier.profiles.delete(user_id)
    courier.profiles.delete(user_id)
    with refused(404):
        courier.profiles.retrieve(user_id)
    courier.profiles.create(user_id, profile={"new": 2})
    assert stored(courier, user_id) == {"new": 2}


def test_delete_leaves_subscriptions_alone(courier: Courier, user_id: str, list_id: str) -> None:
    courier.profiles.create(user_id, profile={"email": "a@b.c"})
    courier.lists.subscriptions.subscribe_user(user_id, list_id=list_id)
    courier.profiles.delete(user_id)
    assert stored(courier, user_id) == {}
    subscribers = courier.lists.subscriptions.list(list_id).items
    assert [subscriber.recipient_id for subscriber in subscribers] == [user_id]


# Ids

# Two of them would become one if a server decoded too much, too little, or folded case or Unicode.
ENDINGS = [" ", "+", "%20", "%2B", "/", "%2F", "/lists", "?", "#", "%", "%%", "|", "\\", '"', "&=;:@!$'()*,"]
ENDINGS += ["🦀", "é", "e\u0301", "A", "a", "a@b.c", "."]


def test_ids_of_any_characters_are_kept_apart(courier: Courier, user_id: str) -> None:
    for ending in ENDINGS:
        courier.profiles.replace(user_id + ending, profile={"id": ending})
    for ending in ENDINGS:
        assert stored(courier, user_id + ending) == {"id": ending}
    courier.profiles.delete(user_id + "/")
    with refused(404):
        courier.profiles.retrieve(user_id + "/")
    assert stored(courier, user_id + "%2F") == {"id": "%2F"}


def test_an_id_has_at_most_512_bytes(courier: Courier, user_id: str) -> None:
    room = ID_BYTES_MAX - len(user_id)
    longest = user_id + "é" * (room // 2) + "x" * (room % 2)
    assert len(longest.encode()) == ID_BYTES_MAX
    courier.profiles.create(longest, profile={"a": 1})
    assert stored(courier, longest) == {"a": 1}
    with refused(400):
        courier.profiles.create(longest + "x", profile={"a": 1})


@pytest.mark.parametrize("encoded", ["%00", "a%0Ab", "%7F", "%C2%85", "%FF", "a%C3"])
def test_ids_with_control_characters_or_broken_utf8_are_refused(wire: httpx.Client, encoded: str) -> None:
    assert_refused(wire.put(f"/profiles/{encoded}", json={"profile": {}}), 400)
    assert_refused(wire.get(f"/profiles/{encoded}"), 400)


# Limits


def test_a_profile_has_at_most_256_kib(courier: Courier, user_id: str) -> None:
    fits = "x" * (PROFILE_BYTES_MAX - len('{"a":""}'))
    courier.profiles.replace(user_id, profile={"a": fits})
    with refused(413):
        courier.profiles.replace(user_id, profile={"a": fits + "x"})
    with refused(413):
        courier.profiles.create(user_id, profile={"b": 1})
    assert stored(courier, user_id) == {"a": fits}


def test_a_profile_has_at_most_32_levels(courier: Courier, user_id: str) -> None:
    deepest: dict[str, Any] = {}
    for _ in range(PROFILE_LEVELS_MAX - 1):
        deepest = {"a": deepest}
    courier.profiles.replace(user_id, profile=deepest)
    with refused(400):
        courier.profiles.replace(user_id, profile={"a": deepest})
    assert stored(courier, user_id) == deepest


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/profile"),
        ({"profile": None}, "/profile"),
        ({"profile": []}, "/profile"),
        ({"profile": "text"}, "/profile"),
        ([], ""),
        (None, ""),
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_without_a_profile_object_is_refused(
    wire: httpx.Client, user_id: str, method: str, body: Any, path: str
) -> None:
    url = f"/profiles/{user_id}"
    assert_refused(wire.request(method, url, json=body), 400, path or None)
    assert_refused(wire.get(url), 404)


@pytest.mark.parametrize("body", [{}, {"patch": None}, {"patch": {}}, {"patch": "text"}], ids=json.dumps)
def test_a_body_without_a_patch_array_is_refused(wire: httpx.Client, user_id: str, body: Any) -> None:
    assert_refused(wire.patch(f"/profiles/{user_id}", json=body), 400, "/patch")
