"""Makes the world that the SDK's generated tests take for granted, before each of them.

The tests name rows by placeholders such as `list_id`, and some delete them. One function per area
puts its rows back, through the same API that is under test. A new area adds its function to AREAS.
"""

import os
from collections.abc import Iterator

import pytest
from courier import Courier


def profiles(courier: Courier) -> None:
    courier.profiles.replace("user_id", profile={"email": "bar", "phone_number": "bar"})


def lists(courier: Courier) -> None:
    courier.lists.update("list_id", name="name")
    courier.lists.subscriptions.subscribe_user(
        "user_id",
        list_id="list_id",
        preferences={"categories": {"foo": {"status": "OPTED_IN"}}},
    )


def audiences(courier: Courier) -> None:
    courier.audiences.update(
        "audience_id",
        name="name",
        filter={"operator": "AND", "filters": [{"operator": "EQ", "path": "email", "value": "bar"}]},
    )


AREAS = [profiles, lists, audiences]


@pytest.fixture(scope="session")
def seeder() -> Iterator[Courier]:
    with Courier(base_url=os.environ["TEST_API_BASE_URL"], api_key="My API Key") as courier:
        yield courier


@pytest.fixture(autouse=True)
def world(seeder: Courier) -> None:
    for seed in AREAS:
        seed(seeder)
