"""Makes the world that the SDK's generated tests take for granted, before each of them.

The tests name rows by placeholders such as `list_id`, and some delete them. One function per area
puts its rows back, through the same API that is under test. A new area adds its function to AREAS.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from courier import ConflictError, Courier, NotFoundError


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


def tenants(courier: Courier) -> None:
    courier.tenants.update("tenant_id", name="name")
    courier.users.tenants.add_single("tenant_id", user_id="user_id", profile={"foo": "bar"})


def templates(courier: Courier) -> None:
    courier.tenants.templates.replace(
        "template_id",
        tenant_id="tenant_id",
        template={"content": {"version": "2022-01-01", "elements": [{"type": "text", "content": "text"}]}},
        published=True,
    )


def tokens(courier: Courier) -> None:
    courier.users.tokens.add_single("token", user_id="user_id", provider_key="firebase-fcm")


def brands(courier: Courier) -> None:
    gone(courier.brands.delete, "id")  # One test creates it.
    for brand_id in ("brand_id", "bnd_01kx4mrd0pfzw8wt7pn7p2fzag"):
        made(courier.brands.create, id=brand_id, name="name", settings={})


def topics(courier: Courier, tests: str) -> None:
    """The section is empty for the tests of sections, and holds the topic for the others."""
    sections = courier.workspace_preferences
    holder, other = "section_id", "another_section"
    if tests == "test_workspace_preferences":
        holder, other = other, holder
    for section_id in (holder, other):
        made(sections.create, name="name", extra_body={"id": section_id})
    for topic in sections.topics.list(other).results:
        sections.topics.archive(topic.id, section_id=other)
    for topic_id in TOPICS:
        made(
            sections.topics.create,
            section_id=holder,
            name="name",
            default_status="OPTED_IN",
            extra_body={"id": topic_id},
        )


TOPICS = ["topic_id", "pt_01kx4h2jdafq8bk996nn92357r", "pt_01kx4h2jdafq8bk99eyt3dx43x"]


def made(create: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Created, unless it is there already."""
    with suppress(ConflictError):
        create(*args, **kwargs)


def gone(delete: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    with suppress(NotFoundError):
        delete(*args, **kwargs)


AREAS = [profiles, lists, audiences, tenants, templates, tokens, brands]


@pytest.fixture(scope="session")
def seeder() -> Iterator[Courier]:
    with Courier(base_url=os.environ["TEST_API_BASE_URL"], api_key="My API Key") as courier:
        yield courier


@pytest.fixture(autouse=True)
def world(seeder: Courier, request: pytest.FixtureRequest) -> None:
    for seed in AREAS:
        seed(seeder)
    topics(seeder, request.path.stem)
