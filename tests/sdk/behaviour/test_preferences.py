"""Topics, what people choose about them, and what holds."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused, refused


@pytest.fixture
def section_id(courier: Courier) -> str:
    section_id = f"section-{uuid4().hex}"
    courier.workspace_preferences.create(name="Section", extra_body={"id": section_id})
    return section_id


@pytest.fixture
def topic_id(courier: Courier, section_id: str) -> str:
    return topic(courier, section_id)


@pytest.fixture
def tenant_id(courier: Courier) -> str:
    tenant_id = f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant_id, name="Tenant")
    return tenant_id


def topic(courier: Courier, section_id: str, status: Any = "OPTED_IN", **rest: Any) -> str:
    topics = courier.workspace_preferences.topics
    return topics.create(section_id=section_id, name="News", default_status=status, **rest).id


def status(courier: Courier, user_id: str, topic_id: str, tenant_id: str | None = None) -> str:
    preferences = courier.users.preferences
    return preferences.retrieve_topic(topic_id, user_id=user_id, tenant_id=tenant_id).topic.status


def choose(courier: Courier, user_id: str, topic_id: str, status: Any, **rest: Any) -> None:
    courier.users.preferences.update_or_create_topic(
        topic_id, user_id=user_id, topic={"status": status}, **rest
    )


# Sections and topics


def test_a_section_is_created_replaced_and_deleted_when_it_is_empty(
    courier: Courier, wire: httpx.Client
) -> None:
    sections = courier.workspace_preferences
    made = sections.create(
        name="Marketing",
        description="What is new",
        has_custom_routing=True,
        routing_options=["email", "sms"],
    )
    assert made.id.startswith("sec_") and len(made.id) == 30
    assert (made.name, made.routing_options, made.topics) == ("Marketing", ["email", "sms"], [])
    assert sections.retrieve(made.id) == made
    topic_id = topic(courier, made.id)
    after = sections.replace(made.id, name="Product")
    assert (after.description, after.has_custom_routing, after.routing_options) == (None, False, [])
    assert [it.id for it in after.topics] == [topic_id]
    refusal = wire.delete(f"/preferences/sections/{made.id}")
    assert_refused(refusal, 409)
    assert refusal.headers["x-should-retry"] == "false"
    sections.topics.archive(topic_id, section_id=made.id)
    sections.archive(made.id)
    with refused(404):
        sections.retrieve(made.id)


def test_an_id_can_be_chosen_once(wire: httpx.Client, section_id: str) -> None:
    taken = wire.post("/preferences/sections", json={"id": section_id, "name": "a"})
    assert_refused(taken, 409, "/id")
    assert taken.headers["x-should-retry"] == "false"
    path = f"/preferences/sections/{section_id}/topics"
    body = {"id": f"topic-of-{section_id}", "name": "a", "default_status": "OPTED_IN"}
    assert wire.post(path, json=body).status_code == 201
    assert_refused(wire.post(path, json=body), 409, "/id")


def test_a_topic_is_replaced_as_a_whole_in_its_own_section_only(
    courier: Courier, section_id: str
) -> None:
    topics = courier.workspace_preferences.topics
    made = topics.create(
        section_id=section_id,
        name="News",
        default_status="REQUIRED",
        allowed_preferences=["snooze"],
        description="Weekly",
        include_unsubscribe_header=True,
        routing_options=["push"],
        topic_data={"a": 1},
    )
    assert made.id.startswith("pt_")
    assert topics.retrieve(made.id, section_id=section_id) == made
    after = topics.replace(made.id, section_id=section_id, name="Daily", default_status="OPTED_IN")
    assert (after.allowed_preferences, after.routing_options, after.topic_data) == ([], [], {})
    assert (after.description, after.include_unsubscribe_header) == (None, False)
    assert [it.id for it in topics.list(section_id).results] == [made.id]
    other = courier.workspace_preferences.create(name="Other").id
    for call in (topics.retrieve, topics.archive):
        with refused(404):
            call(made.id, section_id=other)
    topics.archive(made.id, section_id=section_id)
    with refused(404):
        topics.retrieve(made.id, section_id=section_id)


def test_a_digest_keeps_its_schedules_and_gives_them_ids(courier: Courier, section_id: str) -> None:
    topics = courier.workspace_preferences.topics
    made = topics.create(
        section_id=section_id,
        name="News",
        default_status="OPTED_IN",
        digest={"template_id": "t", "schedules": [{"frequency": "daily", "time": "09:00"}]},
    )
    [schedule] = made.digest.schedules
    assert schedule.schedule_id.startswith("sch_")
    assert [it.category_key for it in made.digest.categories] == ["digest"]
    after = topics.replace(
        made.id,
        section_id=section_id,
        name="News",
        default_status="OPTED_IN",
        digest={"template_id": "u"},
    )
    assert after.digest.template_id == "u"
    assert [it.schedule_id for it in after.digest.schedules] == [schedule.schedule_id]
    topics.delete_digest(made.id, section_id=section_id)
    assert topics.retrieve(made.id, section_id=section_id).digest is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/name"),
        ({"name": "a"}, "/default_status"),
        ({"name": "a", "default_status": "X"}, "/default_status"),
        ({"default_status": "OPTED_IN"}, "/name"),
        ({"name": "a", "default_status": "OPTED_IN", "routing_options": ["fax"]}, "/routing_options/0"),
        ({"name": "a", "default_status": "OPTED_IN", "topic_data": 1}, "/topic_data"),
        ({"name": "a", "default_status": "OPTED_IN", "digest": {}}, "/digest/template_id"),
        (
            {"name": "a", "default_status": "OPTED_IN", "digest": {"template_id": "t"}},
            "/digest/schedules",
        ),
        (
            {
                "name": "a",
                "default_status": "OPTED_IN",
                "digest": {"template_id": "t", "schedules": []},
            },
            "/digest/schedules",
        ),
    ],
)
def test_a_bad_topic_is_refused(
    courier: Courier, wire: httpx.Client, section_id: str, body: Any, path: str
) -> None:
    assert_refused(wire.post(f"/preferences/sections/{section_id}/topics", json=body), 400, path)
    assert courier.workspace_preferences.topics.list(section_id).results == []


def test_the_page_is_published_with_a_rising_version(courier: Courier) -> None:
    first = courier.workspace_preferences.publish(heading="Choose")
    second = courier.workspace_preferences.publish(brand_id="none")
    assert second.published_version > first.published_version
    assert second.page_id != first.page_id
    with refused(404, "/brand_id"):
        courier.workspace_preferences.publish(brand_id="nobody's")


# What one person chooses


def test_nobody_needs_to_be_known_to_have_preferences(
    courier: Courier, section_id: str, topic_id: str, user_id: str
) -> None:
    shown = courier.users.preferences.retrieve(user_id)
    assert shown.paging.more is False
    [mine] = [item for item in shown.items if item.topic_id == topic_id]
    assert (mine.topic_name, mine.status, mine.default_status) == ("News", "OPTED_IN", "OPTED_IN")
    assert (mine.section_id, mine.section_name) == (section_id, "Section")
    assert "digest_schedule_id" not in mine.to_dict()
    with refused(404):
        courier.profiles.retrieve(user_id)


def test_a_choice_is_made_replaced_and_given_up(
    courier: Courier, topic_id: str, user_id: str
) -> None:
    preferences = courier.users.preferences
    preferences.update_or_create_topic(
        topic_id,
        user_id=user_id,
        topic={"status": "OPTED_IN", "has_custom_routing": True, "custom_routing": ["email"]},
    )
    shown = preferences.retrieve_topic(topic_id, user_id=user_id).topic
    assert (shown.has_custom_routing, shown.custom_routing) == (True, ["email"])
    choose(courier, user_id, topic_id, "OPTED_OUT")
    shown = preferences.retrieve_topic(topic_id, user_id=user_id).topic
    assert (shown.status, shown.has_custom_routing) == ("OPTED_OUT", False)
    preferences.delete_topic(topic_id, user_id=user_id)
    preferences.delete_topic(topic_id, user_id=user_id)
    assert status(courier, user_id, topic_id) == "OPTED_IN"


def test_a_choice_in_a_tenant_holds_there(
    courier: Courier, topic_id: str, tenant_id: str, user_id: str
) -> None:
    choose(courier, user_id, topic_id, "OPTED_OUT", tenant_id=tenant_id)
    assert status(courier, user_id, topic_id) == "OPTED_IN"
    assert status(courier, user_id, topic_id, tenant_id) == "OPTED_OUT"
    choose(courier, user_id, topic_id, "OPTED_OUT")
    courier.users.preferences.delete_topic(topic_id, user_id=user_id, tenant_id=tenant_id)
    assert status(courier, user_id, topic_id, tenant_id) == "OPTED_OUT"


def test_defaults_of_tenants_are_inherited_and_required_ones_hold(
    courier: Courier, section_id: str, topic_id: str, tenant_id: str, user_id: str
) -> None:
    child = f"{tenant_id}-child"
    items = courier.tenants.preferences.items
    courier.tenants.update(child, name="Child", parent_tenant_id=tenant_id)
    items.update(topic_id, tenant_id=tenant_id, status="OPTED_OUT")
    assert status(courier, user_id, topic_id, child) == "OPTED_OUT"
    choose(courier, user_id, topic_id, "OPTED_OUT")
    items.update(topic_id, tenant_id=child, status="REQUIRED")
    assert status(courier, user_id, topic_id, child) == "REQUIRED"
    with refused(400, "/topic/status"):
        choose(courier, user_id, topic_id, "OPTED_OUT", tenant_id=child)
    # What is shown can be sent back.
    choose(courier, user_id, topic_id, "REQUIRED", tenant_id=child)
    items.delete(topic_id, tenant_id=child)
    assert status(courier, user_id, topic_id, child) == "OPTED_IN"
    required = topic(courier, section_id, "REQUIRED")
    with refused(400, "/topic/status"):
        choose(courier, user_id, required, "OPTED_OUT")
    with refused(404):
        items.update(topic_id, tenant_id=f"{tenant_id}-nobody", status="OPTED_IN")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/topic"),
        ({"topic": 1}, "/topic"),
        ({"topic": {}}, "/topic/status"),
        ({"topic": {"status": "MAYBE"}}, "/topic/status"),
        ({"topic": {"status": "REQUIRED"}}, "/topic/status"),
        ({"topic": {"status": "OPTED_IN", "custom_routing": ["fax"]}}, "/topic/custom_routing/0"),
        ({"topic": {"status": "OPTED_IN", "has_custom_routing": True}}, "/topic/custom_routing"),
        ({"topic": {"status": "OPTED_IN", "has_custom_routing": 1}}, "/topic/has_custom_routing"),
        ({"topic": {"status": "OPTED_IN", "digest_schedule_id": "x"}}, "/topic/digest_schedule_id"),
        ({"topic": {"status": "OPTED_IN", "rules": [{"until": "soon"}]}}, "/topic/rules/0/until"),
        ({"topic": {"status": "OPTED_IN", "rules": [{}]}}, "/topic/rules/0/until"),
    ],
)
def test_a_bad_choice_is_refused(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str, body: Any, path: str
) -> None:
    response = wire.put(f"/users/{user_id}/preferences/{topic_id}", json=body)
    assert_refused(response, 400, path)
    assert wire.get(f"/v1/users/{user_id}").status_code == 404


def test_an_unknown_topic_is_not_found(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    path = f"/users/{user_id}/preferences/nothing"
    assert_refused(wire.get(path), 404)
    assert_refused(wire.put(path, json={"topic": {"status": "OPTED_IN"}}), 404)
    assert_refused(wire.delete(path), 404)


def test_a_digest_schedule_is_kept_cleared_and_hidden_when_it_is_gone(
    courier: Courier, section_id: str, user_id: str
) -> None:
    schedules: Any = [{"frequency": "daily", "schedule_id": "d"}, {"frequency": "weekly", "schedule_id": "w"}]
    topic_id = topic(courier, section_id, digest={"template_id": "t", "schedules": schedules})
    preferences = courier.users.preferences

    def shown() -> Any:
        return preferences.retrieve_topic(topic_id, user_id=user_id).topic.digest_schedule_id

    def put(**chosen: Any) -> None:
        preferences.update_or_create_topic(
            topic_id, user_id=user_id, topic={"status": "OPTED_IN", **chosen}
        )

    put(digest_schedule_id="w")
    put()
    assert shown() == "w"
    courier.workspace_preferences.topics.replace(
        topic_id,
        section_id=section_id,
        name="News",
        default_status="OPTED_IN",
        digest={"template_id": "t", "schedules": [schedules[0], {**schedules[1], "disabled": True}]},
    )
    assert shown() is None
    put(digest_schedule_id="d")
    assert shown() == "d"
    put(digest_schedule_id=None)
    assert shown() is None


# Many at once


def test_one_bad_topic_does_not_hold_up_the_others(
    courier: Courier, wire: httpx.Client, section_id: str, topic_id: str, user_id: str
) -> None:
    required = topic(courier, section_id, "REQUIRED")
    topics = [
        {"topic_id": topic_id, "status": "OPTED_OUT", "has_custom_routing": True, "custom_routing": ["sms"]},
        {"topic_id": "nothing", "status": "OPTED_IN"},
        {"topic_id": required, "status": "OPTED_OUT"},
        {"topic_id": f"{topic_id}-x", "status": "MAYBE"},
    ]
    answer = wire.post(f"/users/{user_id}/preferences", json={"topics": topics}).json()
    assert answer["items"] == [
        {"topic_id": topic_id, "status": "OPTED_OUT", "has_custom_routing": True, "custom_routing": ["sms"]}
    ]
    errors = {error["topic_id"]: error["code"] for error in answer["errors"]}
    assert errors == {
        "nothing": "topic_not_found",
        required: "topic_required",
        f"{topic_id}-x": "invalid_field",
    }
    assert all(error["reason"] for error in answer["errors"])
    assert status(courier, user_id, topic_id) == "OPTED_OUT"


def test_the_complete_set_resets_what_it_does_not_name(
    courier: Courier, wire: httpx.Client, section_id: str, tenant_id: str, user_id: str
) -> None:
    kept, reset, new = (topic(courier, section_id) for _ in range(3))
    for topic_id in (kept, reset):
        choose(courier, user_id, topic_id, "OPTED_OUT")
    choose(courier, user_id, reset, "OPTED_OUT", tenant_id=tenant_id)
    answer = courier.users.preferences.bulk_replace(
        user_id,
        topics=[
            {"topic_id": kept, "status": "OPTED_OUT"},
            {"topic_id": new, "status": "OPTED_OUT"},
        ],
    )
    assert answer.deleted == [reset]
    assert [item.topic_id for item in answer.items] == [kept, new]
    assert status(courier, user_id, reset) == "OPTED_IN"
    assert status(courier, user_id, reset, tenant_id) == "OPTED_OUT"
    # A set of which something is refused changes nothing.
    for bad, path in [
        ({"topic_id": kept, "status": "OPTED_OUT", "rules": 1}, "/topics/1/rules"),
        ({"topic_id": kept, "status": "REQUIRED"}, "/topics/1/status"),
        ({"topic_id": "nothing", "status": "OPTED_IN"}, "/topics/1"),
    ]:
        body = {"topics": [{"topic_id": new, "status": "OPTED_IN"}, bad]}
        response = wire.put(f"/users/{user_id}/preferences", json=body)
        assert_refused(response, 404 if path == "/topics/1" else 400, path)
    assert status(courier, user_id, kept) == "OPTED_OUT"
    assert courier.users.preferences.bulk_replace(user_id, topics=[]).deleted == [kept, new]


@pytest.mark.parametrize(
    ("method", "body", "path"),
    [
        ("POST", {}, "/topics"),
        ("POST", {"topics": []}, "/topics"),
        ("POST", {"topics": [{"topic_id": str(n), "status": "OPTED_IN"} for n in range(51)]}, "/topics"),
        ("PUT", {"topics": [{"topic_id": str(n), "status": "OPTED_IN"} for n in range(51)]}, "/topics"),
        ("PUT", {"topics": [{"status": "OPTED_IN"}]}, "/topics/0/topic_id"),
        ("PUT", {"topics": ["x"]}, "/topics/0"),
    ],
)
def test_a_bad_set_is_refused(
    wire: httpx.Client, user_id: str, method: str, body: Any, path: str
) -> None:
    response = wire.request(method, f"/users/{user_id}/preferences", json=body)
    assert_refused(response, 400, path)


# Who decided, and when


def test_the_layer_that_decided_is_told(
    courier: Courier, wire: httpx.Client, section_id: str, tenant_id: str, user_id: str
) -> None:
    topic_id = topic(courier, section_id, routing_options=["email", "push"])
    courier.users.tenants.add_single(tenant_id, user_id=user_id)

    def told() -> Any:
        shown = wire.get(f"/v1/users/{user_id}/effective-preferences").json()
        assert (shown["tenant_id"], shown["tenant_inferred"]) == (tenant_id, True)
        [mine] = [item for item in shown["items"] if item["topic_id"] == topic_id]
        used = [it["channel"] for it in mine["channels"] if it["used"]]
        [layer] = {it["from"]["layer"] for it in mine["channels"]}
        return mine["status"], mine["status_from"]["layer"], used, layer

    assert told() == ("OPTED_IN", "topic", ["email", "push"], "topic")
    courier.tenants.preferences.items.update(
        topic_id,
        tenant_id=tenant_id,
        status="OPTED_OUT",
        has_custom_routing=True,
        custom_routing=["inbox"],
    )
    assert told() == ("OPTED_OUT", "tenant_default", ["inbox"], "tenant_default")
    choose(courier, user_id, topic_id, "OPTED_IN")
    assert told() == ("OPTED_IN", "user", ["inbox"], "tenant_default")
    choose(courier, user_id, topic_id, "OPTED_OUT", tenant_id=tenant_id)
    assert told() == ("OPTED_OUT", "user_in_tenant", ["inbox"], "tenant_default")


def test_snoozes_and_quiet_hours_are_shown_while_they_hold(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    def shown() -> Any:
        return wire.get(f"/v1/users/{user_id}/effective-preferences").json()

    rules = [{"until": "2100-01-01"}, {"until": "2200-01-01", "start": "2150-01-01"}]
    body = {"topic": {"status": "OPTED_IN", "rules": rules}}
    assert wire.put(f"/users/{user_id}/preferences/{topic_id}", json=body).status_code == 200
    [mine] = [item for item in shown()["items"] if item["topic_id"] == topic_id]
    assert mine["snoozed_until"] == "2100-01-01T00:00:00.000Z"
    assert shown()["quiet_hours"] is None
    path = f"/v1/users/{user_id}/quiet-hours"
    whole_day = {"time_zone": "Asia/Tokyo", "from": "00:00", "to": "00:00"}
    assert wire.put(path, json=whole_day).status_code == 204
    hours = wire.get(path).json()["quiet_hours"]
    assert (hours["time_zone"], len(hours["days"])) == ("Asia/Tokyo", 7)
    now = shown()["quiet_hours"]
    assert now["active"] is True and now["until"].endswith("T15:00:00.000Z")
    assert wire.delete(path).status_code == 204
    assert wire.get(path).json() == {"quiet_hours": None}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"time_zone": "Mars/Base"}, "/time_zone"),
        ({"time_zone": None}, "/time_zone"),
        ({"from": "24:00"}, "/from"),
        ({"to": "7"}, "/to"),
        ({"days": ["someday"]}, "/days/0"),
        ({"days": []}, "/days"),
    ],
)
def test_bad_quiet_hours_are_refused(
    wire: httpx.Client, user_id: str, change: Any, path: str
) -> None:
    body = {"time_zone": "UTC", "days": ["monday"], "from": "22:00", "to": "07:00"} | change
    assert_refused(wire.put(f"/v1/users/{user_id}/quiet-hours", json=body), 400, path)


def test_the_log_tells_what_was_chosen_and_what_before(
    courier: Courier, topic_id: str, tenant_id: str, user_id: str
) -> None:
    choose(courier, user_id, topic_id, "OPTED_OUT")
    choose(courier, user_id, topic_id, "OPTED_OUT")
    choose(courier, user_id, topic_id, "OPTED_IN", tenant_id=tenant_id)
    courier.users.preferences.delete_topic(topic_id, user_id=user_id)
    logs = courier.workspace_preferences.list_logs
    entries = logs(user_id=user_id).items
    told = [(it.status, it.previous and it.previous.status, it.tenant_id) for it in entries]
    assert told == [
        ("OPTED_IN", "OPTED_OUT", None),
        ("OPTED_IN", None, tenant_id),
        ("OPTED_OUT", None, None),
    ]
    assert {(it.topic_id, it.topic_name, it.user_id) for it in entries} == {(topic_id, "News", user_id)}
    assert [it.id for it in logs(user_id=user_id, tenant_id=tenant_id).items] == [entries[1].id]
    first = logs(user_id=user_id, limit=2)
    assert first.paging.more and first.items == entries[:2]
    rest = logs(user_id=user_id, limit=2, cursor=first.paging.cursor)
    assert (rest.items, rest.paging.more) == (entries[2:], False)
    assert logs(user_id=user_id, since="2100-01-01").items == []
    with refused(400, "/user_id"):
        logs(tenant_id=tenant_id)


# The older form


def test_the_older_form_is_replaced_and_merged(
    courier: Courier, wire: httpx.Client, topic_id: str, user_id: str
) -> None:
    path = f"/preferences/{user_id}"
    assert wire.get(path).json() == {}
    assert wire.patch(path, json={}).status_code == 200
    assert wire.get(f"/profiles/{user_id}").status_code == 404
    out = {"categories": {topic_id: {"status": "OPTED_OUT"}}}
    assert wire.put(path, json=out).json() == {"status": "SUCCESS"}
    assert wire.get(path).json() == out
    assert status(courier, user_id, topic_id) == "OPTED_OUT"
    shown = courier.profiles.retrieve(user_id)
    assert (shown.profile, shown.preferences.to_dict()) == ({}, out)
    more = {"notifications": {"n": {"status": "OPTED_IN"}}}
    assert wire.patch(path, json=more).status_code == 200
    assert wire.get(path).json() == out | more
    assert wire.patch(path, json={"categories": {topic_id: None}}).status_code == 200
    assert status(courier, user_id, topic_id) == "OPTED_IN"
    assert_refused(wire.put(path, json={"categories": {"a": {}}}), 400, "/categories/a/status")
    assert_refused(wire.patch(path, json={"categories": 1}), 400, "/categories")
    rules = {"notifications": {"n": {"rules": [{"until": "2100-01-01"}]}}}
    assert wire.patch(path, json=rules).status_code == 200
    assert wire.get(path).json()["notifications"]["n"]["status"] == "OPTED_IN"
    assert_refused(wire.patch(path, json={"notifications": {"m": {}}}), 400, "/notifications/m/status")
    deep = "x"
    for _ in range(40):
        deep = {"d": deep}
    assert_refused(wire.put(path, json={"extra": deep}), 400, "")
    wire.put(path, json={})
    assert wire.get(f"/profiles/{user_id}").status_code == 404


def test_of_a_topic_that_is_named_twice_the_last_counts(
    wire: httpx.Client, courier: Courier, topic_id: str, user_id: str
) -> None:
    out, back = ({"topic_id": topic_id, "status": status} for status in ("OPTED_OUT", "OPTED_IN"))
    wrong = {"topic_id": topic_id, "status": "sometimes"}
    path = f"/users/{user_id}/preferences"
    answer = wire.post(path, json={"topics": [back, out]}).json()
    assert [it["status"] for it in answer["items"]] == ["OPTED_OUT"]
    assert status(courier, user_id, topic_id) == "OPTED_OUT"
    answer = wire.post(path, json={"topics": [back, wrong]}).json()
    assert ([it["status"] for it in answer["items"]], len(answer["errors"])) == (["OPTED_IN"], 1)
    unknown = {"topic_id": "unknown", "status": "OPTED_IN"}
    assert_refused(wire.put(path, json={"topics": [out, back, unknown]}), 404, "/topics/2")
    user = {"user_id": user_id, "preferences": [out, back, unknown]}
    errors = wire.post("/v1/users:batch", json={"users": [user]}).json()["errors"]
    assert errors[0]["path"] == "/users/0/preferences/2"


def test_the_older_form_is_not_lost_by_an_empty_request(wire: httpx.Client, user_id: str) -> None:
    preferences = {"notifications": {"n": {"status": "OPTED_OUT"}}}
    assert wire.put(f"/preferences/{user_id}", json=preferences).status_code == 200
    assert_refused(wire.put(f"/preferences/{user_id}"), 400, "")
    assert wire.get(f"/preferences/{user_id}").json() == preferences
    large = {"notifications": {"n": {"status": "OPTED_OUT", "x": "x" * 20_000}}}
    assert_refused(wire.patch(f"/preferences/{user_id}", json=large), 400)
    assert wire.put(f"/preferences/{user_id}", json={}).status_code == 200
    assert wire.get(f"/preferences/{user_id}").json() == {}


def test_a_page_is_published_with_a_brand_that_is_there(wire: httpx.Client) -> None:
    brand_id = f"brand-{uuid4().hex}"
    assert_refused(wire.post("/preferences/publish", json={"brand_id": brand_id}), 404, "/brand_id")
    wire.post("/brands", json={"id": brand_id, "name": "Brand", "settings": {}})
    assert wire.post("/preferences/publish", json={"brand_id": brand_id}).status_code == 200
    assert_refused(wire.delete(f"/brands/{brand_id}"), 409)
    assert wire.post("/preferences/publish", json={}).status_code == 200
    assert wire.delete(f"/brands/{brand_id}").status_code == 204


def test_the_feed_knows_the_tenant_of_an_event(
    wire: httpx.Client, courier: Courier, topic_id: str, tenant_id: str, user_id: str
) -> None:
    courier.tenants.update(tenant_id, name="Renamed")
    courier.users.tenants.add_single(tenant_id, user_id=user_id)
    choice: Any = {"status": "OPTED_OUT"}
    courier.users.preferences.update_or_create_topic(
        topic_id, user_id=user_id, tenant_id=tenant_id, topic=choice
    )
    events = wire.get("/v1/events", params={"tenant_id": tenant_id, "limit": 100}).json()["items"]
    types = sorted(it["type"] for it in events)
    assert types == ["preference.set", "tenant.created", "tenant.member_added", "tenant.updated"]
