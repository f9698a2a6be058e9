"""Whom a message is for, what becomes of it for each of them, and why."""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from paging import pages
from refusals import assert_refused, refused
from sending import CONTENT, channels, decided, done, explained, inbox, outcome, people, said, send, sent


@pytest.fixture
def mark() -> str:
    """What no other test has."""
    return uuid4().hex


@pytest.fixture
def tenant_id(courier: Courier, mark: str) -> str:
    courier.tenants.update(f"tenant-{mark}", name="Tenant", user_profile={"greeting": "Dear"})
    return f"tenant-{mark}"


def reachable(courier: Courier, user_id: str, **profile: Any) -> str:
    courier.profiles.replace(user_id, profile={"email": f"{user_id}@example.com", **profile})
    return user_id


def topic(courier: Courier, status: Any = "OPTED_IN") -> str:
    section = courier.workspace_preferences.create(name="Section").id
    topics = courier.workspace_preferences.topics
    return topics.create(section_id=section, name="News", default_status=status).id


# Recipients


def test_a_message_to_one_person_has_the_id_of_the_request(
    courier: Courier, wire: httpx.Client, user_id: str
) -> None:
    reachable(courier, user_id)
    message = sent(courier, wire, {"user_id": user_id}, metadata={"event": "greeting", "tags": ["a", "b"]})
    assert outcome(message) == ("SENT", None, None)
    assert (message.recipient, message.event) == (user_id, "greeting")
    assert message.sent >= message.enqueued > 1.5e12
    assert channels(wire, message.id) == {"email": "sent", "push": "no_address", "sms": "no_address"}
    history = [it["type"] for it in courier.messages.history(message.id).results]
    assert history == ["ENQUEUED", "MAPPED", "PROFILE_LOADED", "SENT"]
    assert [it["type"] for it in courier.messages.history(message.id, type="SENT").results] == ["SENT"]
    assert said(courier, message.id).text == CONTENT["body"]


def test_an_address_alone_is_told_and_leaves_no_profile(courier: Courier, wire: httpx.Client, mark: str) -> None:
    message = sent(courier, wire, {"email": f"{mark}@example.com"})
    assert message.status == "SENT"
    with refused(404):
        courier.profiles.retrieve(message.recipient)
    assert wire.get("/v1/users", params={"attribute.email": f"{mark}@example.com"}).json()["count"] == 0


def test_the_first_message_with_an_address_makes_a_profile_and_no_other_changes_it(
    courier: Courier, wire: httpx.Client, user_id: str
) -> None:
    nobody = sent(courier, wire, {"user_id": user_id, "name": "Ada"})
    assert outcome(nobody) == ("UNROUTABLE", "NO_CHANNELS", "nobody")
    with refused(404):
        courier.profiles.retrieve(user_id)
    first = {"email": "first@example.com", "name": "Ada"}
    assert sent(courier, wire, {"user_id": user_id, **first}).status == "SENT"
    assert courier.profiles.retrieve(user_id).profile == first
    second = {"user_id": user_id, "email": "second@example.com", "data": {"n": 1}}
    content = {"title": "t", "body": "{{profile.email}} {{profile.name}} {{n}}"}
    message = sent(courier, wire, second, content=content)
    assert said(courier, message.id).text == "second@example.com Ada 1"
    assert courier.profiles.retrieve(user_id).profile == first


def test_everybody_is_told_once_through_the_first_recipient_that_leads_to_them(
    courier: Courier, wire: httpx.Client, tenant_id: str, mark: str
) -> None:
    one, two, three, four, five, six = (reachable(courier, f"{n}-{mark}", mark=mark * (n == 4)) for n in range(1, 7))
    for list_id, subscribed in ((f"{mark}.a", [one, two]), (f"{mark}.b", [two, three]), (f"{mark}.a.c", [six])):
        recipients: Any = [{"recipientId": user} for user in subscribed]
        courier.lists.subscriptions.add(list_id, recipients=recipients)
    rule: Any = {"operator": "EQ", "path": "mark", "value": mark}
    courier.audiences.update(mark, filter={"operator": "AND", "filters": [rule]})
    courier.tenants.update(f"child-{mark}", name="Child", parent_tenant_id=tenant_id)
    courier.users.tenants.add_single(tenant_id, user_id=five)
    courier.users.tenants.add_single(f"child-{mark}", user_id=four)
    to = [
        {"user_id": one},
        {"list_id": f"{mark}.a"},
        {"list_pattern": f"{mark}.*"},
        {"audience_id": mark},
        {"tenant_id": tenant_id, "include_children": True},
        {"user_id": one, "email": "again@example.com"},
        {"list_id": f"{mark}.b"},
    ]
    message: Any = {"to": to, "content": {"title": "t", "body": "{{profile.email}}"}}
    foreseen = wire.post("/v1/resolve", json={"message": message}).json()
    request_id = courier.send.message(message=message).request_id
    request = done(wire, request_id)
    assert (request["people"], request["settled"]) == (5, 5)
    assert request["counts"] == [{"status": "SENT", "reason": None, "count": 5}]
    assert request["problems"] == [{"recipient": 6, "problem": "reached_already"}] == foreseen["problems"]
    expected = {one: 0, two: 1, three: 2, four: 3, five: 4}
    assert {it["user_id"]: it["recipient"] for it in foreseen["items"]} == expected
    assert {user: explained(wire, request_id, user)["recipient"] for user in expected} == expected
    assert explained(wire, request_id, six)["addressed"] is False
    assert_refused(wire.get(f"/messages/{request_id}"), 404)
    results = courier.messages.list(trace_id=request_id).results
    assert sorted(it.recipient for it in results) == sorted(expected)
    for result in results:
        assert courier.messages.retrieve(result.id).recipient == result.recipient
        assert said(courier, result.id).text == f"{result.recipient}@example.com"


def test_a_tenant_is_its_members_with_those_below_or_above(courier: Courier, wire: httpx.Client, mark: str) -> None:
    parents = [None, f"top-{mark}", f"middle-{mark}"]
    tenants = [f"top-{mark}", f"middle-{mark}", f"leaf-{mark}"]
    for tenant, parent in zip(tenants, parents):
        courier.tenants.update(tenant, name=tenant, parent_tenant_id=parent)
        courier.users.tenants.add_single(tenant, user_id=reachable(courier, f"in-{tenant}"))
    top, middle, leaf = (f"in-{tenant}" for tenant in tenants)
    to = {"tenant_id": tenants[1]}
    assert people(courier, wire, to).keys() == {middle}
    assert people(courier, wire, to | {"include_children": True}).keys() == {middle, leaf}
    assert people(courier, wire, to | {"include_parent": True}).keys() == {middle, top}
    assert people(courier, wire, to | {"include_parent": True, "include_children": True}).keys() == {top, middle, leaf}
    # Each has the context of the tenant through which they are reached.
    results = people(courier, wire, to | {"include_children": True})
    assert {user: it.to_dict()["accountId"] for user, it in results.items()} == {middle: tenants[1], leaf: tenants[2]}


def test_a_filter_leaves_only_members_of_the_tenant(
    courier: Courier, wire: httpx.Client, tenant_id: str, mark: str
) -> None:
    inside, outside = (reachable(courier, f"{name}-{mark}", mark=mark) for name in ("in", "out"))
    courier.users.tenants.add_single(tenant_id, user_id=inside)
    recipients: Any = [{"recipientId": inside}, {"recipientId": outside}]
    courier.lists.subscriptions.add(mark, recipients=recipients)
    rule: Any = {"operator": "EQ", "path": "mark", "value": mark}
    courier.audiences.update(mark, filter={"operator": "AND", "filters": [rule]})
    filters = [{"operator": "MEMBER_OF", "path": "account_id", "value": tenant_id}]
    for to in ({"list_id": mark}, {"audience_id": mark}):
        assert people(courier, wire, to).keys() == {inside, outside}
        assert people(courier, wire, to | {"filters": filters}).keys() == {inside}
    other = [{"operator": "EQ", "path": "account_id", "value": tenant_id}]
    body = {"message": {"to": {"list_id": mark, "filters": other}, "content": CONTENT}}
    assert_refused(wire.post("/send", json=body), 400, "/message/to/filters/0")


def test_who_leads_to_nobody_is_told_in_the_request(courier: Courier, wire: httpx.Client, list_id: str) -> None:
    courier.lists.update(list_id, name="Empty")
    request = done(wire, send(courier, {"list_id": list_id}))
    assert (request["people"], request["problems"]) == (0, [{"recipient": 0, "problem": "empty"}])
    [message] = courier.messages.list(trace_id=request["request_id"]).results
    assert (message.status, message.reason, message.recipient) == ("UNROUTABLE", "NO_CHANNELS", "")


def test_a_thousand_people_are_told_once_each(courier: Courier, wire: httpx.Client, mark: str) -> None:
    users = [f"{number:04}-{mark}" for number in range(1_200)]
    for start in range(0, len(users), 600):
        rows = [{"user_id": it, "profile": {"email": f"{it}@example.com"}} for it in users[start : start + 600]]
        wire.post("/v1/users:batch", json={"users": rows}).raise_for_status()
    recipients: Any = [{"recipientId": it} for it in users]
    courier.lists.subscriptions.add(mark, recipients=recipients)
    request_id = send(courier, [{"list_id": mark}, {"user_id": users[7]}], routing={"method": "all", "channels": ["inbox"]})
    request = done(wire, request_id)
    assert request["counts"] == [{"status": "DELIVERED", "reason": None, "count": 1_200}]
    found = pages(lambda cursor: courier.messages.list(trace_id=request_id, cursor=cursor))
    told = [it.recipient for page in found for it in page.results]
    assert sorted(told) == users
    assert all(len(inbox(wire, it)["items"]) == 1 for it in users[:10])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/healthz",
        "http://localhost:{port}/healthz",
        "http://[::ffff:127.0.0.1]:{port}/healthz",
        "http://2130706433:{port}/healthz",
        "http://0.0.0.0:{port}/healthz",
        "http://169.254.169.254/latest/meta-data",
        "http://user@127.0.0.1:{port}/healthz",
        "file:///etc/passwd",
    ],
)
def test_a_webhook_needs_no_user_and_reaches_nothing_in_private(courier: Courier, wire: httpx.Client, url: str) -> None:
    message = sent(courier, wire, {"webhook": {"url": url.format(port=wire.base_url.port)}})
    [channel] = [it for it in explained(wire, message.id)["channels"] if it["channel"] == "webhook"]
    assert (message.status, channel["used"]) == ("UNDELIVERABLE", False)
    assert channel["because"].startswith(("refused:", "malformed:"))


def test_what_was_said_with_a_list_holds_for_who_is_reached_by_it(
    courier: Courier, wire: httpx.Client, mark: str
) -> None:
    news = topic(courier)
    preference = lambda status: {"categories": {news: {"status": status}}}
    off, on, plain, both = (reachable(courier, f"{name}-{mark}") for name in ("off", "on", "plain", "both"))
    for list_id in (f"{mark}.closed", f"{mark}.open"):
        preferences: Any = preference("OPTED_OUT") if list_id.endswith("closed") else None
        courier.lists.update(list_id, name="List", preferences=preferences)
    for user, list_id, own in (
        (off, "open", "OPTED_OUT"),
        (on, "closed", "OPTED_IN"),
        (plain, "closed", None),
        (both, "closed", None),
        (both, "open", None),
    ):
        preferences = preference(own) if own else None
        courier.lists.subscriptions.subscribe_user(user, list_id=f"{mark}.{list_id}", preferences=preferences)
    message: Any = {"preferences": {"subscription_topic_id": news}}

    def why(to: Any) -> dict[str, str]:
        request_id = send(courier, to, **message)
        done(wire, request_id)
        results = courier.messages.list(trace_id=request_id).results
        return {it.recipient: explained(wire, request_id, it.recipient)["because"] for it in results}

    assert why({"list_id": f"{mark}.open"}) == {off: "opted_out:subscription", both: "sent"}
    assert why({"list_id": f"{mark}.closed"}) == {on: "sent", plain: "opted_out:list", both: "opted_out:list"}
    # Who is subscribed to several lists of a pattern is told unless all of them say no.
    assert why({"list_pattern": f"{mark}.*"}) == {
        off: "opted_out:subscription",
        on: "sent",
        plain: "opted_out:list",
        both: "sent",
    }


# In which context


def test_the_profile_that_holds_is_laid_over_that_of_the_tenant(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    reachable(courier, user_id, name="Ada", role="none")
    courier.users.tenants.add_single(tenant_id, user_id=user_id, profile={"role": "admin"})
    body = "{{profile.greeting}} {{profile.name}}, {{profile.role}} of {{tenant.name}}{{profile.extra}}"
    content = {"title": "t", "body": body}
    to = {"user_id": user_id, "extra": "!"}
    # Who is a member of one tenant only has its context without being asked.
    message = sent(courier, wire, to, content=content)
    assert said(courier, message.id).text == "Dear Ada, admin of Tenant!"
    assert message.to_dict()["accountId"] == tenant_id == explained(wire, message.id)["tenant_id"]
    courier.tenants.update(f"other-{tenant_id}", name="Other", user_profile={"greeting": "Hey"})
    courier.users.tenants.add_single(f"other-{tenant_id}", user_id=user_id)
    unclear = sent(courier, wire, to, content=content)
    assert outcome(unclear) == ("UNDELIVERABLE", "FAILED", "missing_variable:profile.greeting")
    context = {"tenant_id": tenant_id}
    there = sent(courier, wire, to, content=content, context={"tenant_id": f"other-{tenant_id}"})
    assert said(courier, there.id).text == "Hey Ada, none of Other!"
    nearer = sent(courier, wire, to | {"context": context}, content=content, context={"tenant_id": "somewhere"})
    assert said(courier, nearer.id).text == "Dear Ada, admin of Tenant!"


# Preferences


def test_the_first_reason_against_it_is_told(courier: Courier, wire: httpx.Client, tenant_id: str, mark: str) -> None:
    """Of each person one thing is true; the dry run and the message say the same of all of them."""
    news, must = topic(courier), topic(courier, "REQUIRED")
    off = topic(courier, "OPTED_OUT")
    names = ["in", "out", "tenant", "sms", "inbox", "snoozed", "quiet", "unreachable"]
    users = {name: reachable(courier, f"{name}-{mark}") for name in names}
    courier.profiles.replace(users["unreachable"], profile={"name": "Ada"})
    choice: dict[str, Any] = {
        "out": {"status": "OPTED_OUT"},
        "sms": {"status": "OPTED_IN", "has_custom_routing": True, "custom_routing": ["sms"]},
        "inbox": {"status": "OPTED_IN", "has_custom_routing": True, "custom_routing": ["inbox"]},
        "snoozed": {"status": "OPTED_IN", "rules": [{"until": "2100-01-01"}]},
    }
    for name, chosen in choice.items():
        path = f"/users/{users[name]}/preferences"
        for topic_id in (news, must):
            if chosen["status"] == "OPTED_IN" or topic_id == news:
                assert wire.put(f"{path}/{topic_id}", json={"topic": chosen}).status_code == 200
    courier.tenants.preferences.items.update(news, tenant_id=tenant_id, status="OPTED_OUT")
    courier.users.tenants.add_single(tenant_id, user_id=users["tenant"])
    hours = {"time_zone": "UTC", "from": "00:00", "to": "00:00"}
    assert wire.put(f"/v1/users/{users['quiet']}/quiet-hours", json=hours).status_code == 204
    courier.lists.subscriptions.add(mark, recipients=[{"recipient_id": user} for user in users.values()])

    def outcomes(topic_id: str) -> dict[str, Any]:
        message: Any = {
            "to": {"list_id": mark},
            "content": CONTENT,
            "preferences": {"subscription_topic_id": topic_id},
            "routing": {"method": "single", "channels": ["email", "inbox"]},
        }
        foreseen = wire.post("/v1/resolve", json={"message": message})
        request_id = courier.send.message(message=message).request_id
        decided(courier, wire, request_id)
        real = {user: explained(wire, request_id, user) for user in users.values()}
        for item in foreseen.json()["items"]:
            one = real[item["user_id"]]
            assert [item[it] for it in ("status", "reason", "because")] == [
                one[it] for it in ("status", "reason", "because")
            ]
            assert item["channels"] == one["channels"]
        return {
            name: (real[user]["status"], real[user]["reason"], real[user]["because"]) for name, user in users.items()
        }

    unsubscribed = ("UNDELIVERABLE", "UNSUBSCRIBED")
    assert outcomes(news) == {
        "in": ("SENT", None, "sent"),
        "out": (*unsubscribed, "opted_out:user"),
        "tenant": (*unsubscribed, "opted_out:tenant_default"),
        "sms": (*unsubscribed, "channel_not_chosen"),
        "inbox": ("DELIVERED", None, "sent"),
        "snoozed": ("FILTERED", "FILTERED", "snoozed"),
        "quiet": ("DELAYED", None, "quiet_hours"),
        "unreachable": ("DELIVERED", None, "sent"),
    }
    assert set(outcomes(off).values()) == {(*unsubscribed, "opted_out:topic")}
    required = outcomes(must)
    assert required["out"] == required["quiet"] == required["tenant"] == ("SENT", None, "sent")


# Channels


@pytest.mark.parametrize(
    ("routing", "used"),
    [
        ({"method": "single", "channels": ["sms", "email", "inbox"]}, ["email"]),
        ({"method": "all", "channels": ["sms", "email", "inbox"]}, ["email", "inbox"]),
        ({"method": "single", "channels": [{"method": "all", "channels": ["sms", "push"]}, "inbox", "email"]}, ["inbox"]),
        ({"method": "single", "channels": [{"method": "all", "channels": ["inbox", "email"]}, "webhook"]}, ["inbox", "email"]),
        ({"method": "all", "channels": [{"method": "single", "channels": ["sms", "inbox", "push"]}, "email"]}, ["inbox", "email"]),
        ({"method": "all", "channels": ["pigeon", "email"]}, ["email"]),
        ({"method": "single", "channels": []}, []),
        ({"method": "all", "channels": ["pigeon", "sms"]}, []),
    ],
)
def test_routing_says_by_which_channels(
    courier: Courier, wire: httpx.Client, user_id: str, routing: Any, used: list[str]
) -> None:
    reachable(courier, user_id)
    message = sent(courier, wire, {"user_id": user_id}, routing=routing)
    why = explained(wire, message.id)
    assert [it["channel"] for it in why["channels"] if it["used"]] == used
    assert message.status == ("DELIVERED" if used == ["inbox"] else "SENT" if used else "UNROUTABLE")
    assert len(inbox(wire, user_id)["items"]) == used.count("inbox")
    assert [it.channel for it in courier.messages.content(message.id).results] == used


# Templates and content


def test_the_template_of_the_tenant_goes_before_that_of_everybody(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str, mark: str
) -> None:
    reachable(courier, user_id)
    to = {"user_id": user_id}

    def result(**more: Any) -> Any:
        message = sent(courier, wire, to, template=mark, **more)
        assert message.notification == mark
        return said(courier, message.id).text if message.status == "SENT" else outcome(message)

    def template(body: str) -> Any:
        return {"content": {"title": "t", "body": body}}

    assert result() == ("UNMAPPED", None, "no_template")
    assert wire.post("/v1/templates", json={"id": mark, "template": template("all")}).status_code == 201
    assert result() == ("UNDELIVERABLE", "UNPUBLISHED", "template_unpublished")
    assert wire.post(f"/v1/templates/{mark}/publish", json={}).status_code == 200
    assert result() == "all"
    body = {"template": template("tenant")}
    assert wire.put(f"/tenants/{tenant_id}/templates/{mark}", json=body).status_code == 200
    in_tenant: Any = {"context": {"tenant_id": tenant_id}}
    assert result(**in_tenant) == "all"
    courier.tenants.templates.publish(mark, tenant_id=tenant_id)
    assert result(**in_tenant) == "tenant"
    assert result() == "all"
    assert wire.delete(f"/v1/templates/{mark}").status_code == 204
    assert result() == ("UNMAPPED", None, "no_template")
    for tenant in (tenant_id, f"other-{mark}"):
        courier.users.tenants.add_single(tenant, user_id=user_id)
    assert result() == ("UNMAPPED", None, "tenant_context_not_found")


def test_mail_has_the_brand_of_the_tenant_and_the_language_of_the_person(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    color = "#12ab34"
    brand = courier.brands.create(name="Acme", settings={"colors": {"primary": color, "secondary": "#000000"}})
    courier.tenants.update(tenant_id, name="Tenant", brand_id=brand.id)
    reachable(courier, user_id, locale="de_AT")
    elements = [
        {"type": "text", "content": "Hello {{brand.name}}", "locales": {"de": {"content": "Hallo {{brand.name}}"}}},
        {"type": "action", "content": "Go", "href": "https://example.com/"},
    ]
    content = {"version": "2022-01-01", "elements": elements}
    message = sent(courier, wire, {"user_id": user_id, "tenant_id": tenant_id}, content=content)
    assert "Hallo Acme" in said(courier, message.id).html and color in said(courier, message.id).html
    english = sent(courier, wire, {"user_id": user_id, "tenant_id": tenant_id, "locale": "en"}, content=content)
    assert "Hello Acme" in said(courier, english.id).html


def test_what_lacks_a_variable_is_told_on_no_channel(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    reachable(courier, user_id)
    elements = [
        {"type": "text", "content": "Hello"},
        {"type": "channel", "channel": "inbox", "elements": [{"type": "text", "content": "{{order.id}}"}]},
    ]
    routing = {"method": "all", "channels": ["email", "inbox"]}
    content = {"version": "2022-01-01", "elements": elements}
    message = sent(courier, wire, {"user_id": user_id}, content=content, routing=routing)
    assert outcome(message) == ("UNDELIVERABLE", "FAILED", "missing_variable:order.id")
    assert not any(it["used"] for it in explained(wire, message.id)["channels"])
    assert (inbox(wire, user_id)["items"], courier.messages.content(message.id).results) == ([], [])
    given = sent(courier, wire, {"user_id": user_id}, content=content, routing=routing, data={"order": {"id": 7}})
    assert (said(courier, given.id).text, said(courier, given.id, "inbox").text) == ("Hello", "7")


def test_what_people_write_is_no_markup(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    attack = "<script>alert(1)</script>\"'&{{profile.email}}"
    reachable(courier, user_id, name=attack)
    elements = [
        {"type": "meta", "title": "For {{profile.name}}"},
        {"type": "text", "content": "{{profile.name}} **{{profile.name}}**"},
        {"type": "action", "content": "Go {{profile.name}}", "href": "https://example.com/?q={{profile.name}}"},
        {"type": "quote", "content": "{{profile.name}}"},
        {"type": "image", "src": "https://example.com/a.png", "alt_text": "{{profile.name}}"},
        {"type": "html", "content": "<b>{{profile.name}}</b>"},
    ]
    content = {"version": "2022-01-01", "elements": elements}
    message = sent(courier, wire, {"user_id": user_id}, content=content)
    assert outcome(message) == ("SENT", None, None)
    told = said(courier, message.id)
    assert "<script" not in told.html and "&lt;script&gt;" in told.html
    assert '"\'&' not in told.html and f"{user_id}@example.com" not in told.html
    assert told.title == f"For {attack}"


@pytest.mark.parametrize("href", ["javascript:alert(1)", " JaVa\tscript:alert(1)", "data:text/html,x", "vbscript:x", "//evil"])
def test_no_link_leads_to_a_script(courier: Courier, wire: httpx.Client, user_id: str, href: str) -> None:
    reachable(courier, user_id)
    elements = [
        {"type": "text", "content": "Text [link]({{href}})"},
        {"type": "action", "content": "Go", "href": "{{href}}"},
        {"type": "image", "src": "{{href}}"},
    ]
    content = {"version": "2022-01-01", "elements": elements}
    routing = {"method": "all", "channels": ["email", "inbox"]}
    message = sent(courier, wire, {"user_id": user_id}, content=content, routing=routing, data={"href": href})
    if message.status == "SENT":
        html = said(courier, message.id).html.lower()
        assert not any(f'{attribute}="{href.strip().lower()}' in html for attribute in ("href", "src"))
        for item in inbox(wire, user_id)["items"]:
            assert all("script:" not in "".join(it["href"].split()).lower() for it in item["actions"])
    else:
        assert message.reason == "FAILED" and inbox(wire, user_id)["items"] == []


def test_no_header_is_smuggled_into_the_subject(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    reachable(courier, user_id, name="Ada\r\nBcc: eve@example.com\r\n\r\nbody\x00")
    message = sent(courier, wire, {"user_id": user_id}, content={"title": "For {{profile.name}}", "body": "b"})
    if message.status == "SENT":
        assert not set("\r\n\0") & set(said(courier, message.id).subject)


# When


def test_a_message_that_waits_can_be_called_back_once(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    reachable(courier, user_id)
    to = {"user_id": user_id}
    message_id = send(courier, to, delay={"duration": 3_600_000}, routing={"method": "all", "channels": ["inbox"]})
    waiting = courier.messages.retrieve(message_id)
    assert waiting.status == "DELAYED"
    assert waiting.to_dict()["delayedUntil"] >= waiting.enqueued + 3_500_000
    assert courier.messages.cancel(message_id).status == "CANCELED"
    assert courier.messages.retrieve(message_id).to_dict()["canceledAt"] >= waiting.enqueued
    history = [it["type"] for it in courier.messages.history(message_id).results]
    assert history == ["ENQUEUED", "CANCELED"]
    assert wire.get(f"/v1/messages/{message_id}/explain").json()["because"] == "canceled"
    refusal = wire.post(f"/messages/{message_id}/cancel")
    assert_refused(refusal, 409)
    assert refusal.headers["x-should-retry"] == "false"
    assert (refusal.json()["id"], refusal.json()["status"]) == (message_id, "CANCELED"), "both come with the record"
    assert done(wire, message_id)["counts"] == [{"status": "CANCELED", "reason": None, "count": 1}]
    assert inbox(wire, user_id)["items"] == []
    gone = sent(courier, wire, to)
    assert_refused(wire.post(f"/messages/{gone.id}/cancel"), 409)


def test_a_message_that_is_too_late_is_not_sent(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    reachable(courier, user_id)
    past = (datetime.now(timezone.utc) - timedelta(minutes=1)).isoformat()
    late = sent(courier, wire, {"user_id": user_id}, expiry={"expires_in": "1h", "expires_at": past})
    assert outcome(late) == ("UNDELIVERABLE", "FAILED", "expired")
    early = sent(courier, wire, {"user_id": user_id}, expiry={"expires_in": "PT1H"}, delay={"until": past})
    assert early.status == "SENT"
    timed_out = sent(courier, wire, {"user_id": user_id}, timeout={"message": 0})
    assert outcome(timed_out) == ("UNDELIVERABLE", "FAILED", "timed_out")


# What is refused


@pytest.mark.parametrize(
    ("message", "status", "path"),
    [
        ({"content": CONTENT}, 400, "/message/to"),
        ({"to": [], "content": CONTENT}, 400, "/message/to"),
        ({"to": {}, "content": CONTENT}, 400, "/message/to"),
        ({"to": "ada", "content": CONTENT}, 400, "/message/to"),
        ({"to": [{"user_id": "u"}, 7], "content": CONTENT}, 400, "/message/to/1"),
        ({"to": [{"user_id": "u"}] * 1001, "content": CONTENT}, 400, "/message/to"),
        ({"to": {"user_id": ["u"]}, "content": CONTENT}, 400, "/message/to/user_id"),
        ({"to": {"user_id": "u" * 513}, "content": CONTENT}, 400, "/message/to/user_id"),
        ({"to": {"user_id": "u", "data": []}, "content": CONTENT}, 400, "/message/to/data"),
        ({"to": {"user_id": "u", "preferences": []}, "content": CONTENT}, 400, "/message/to/preferences"),
        ({"to": {"user_id": "u", "context": 1}, "content": CONTENT}, 400, "/message/to/context"),
        ({"to": {"list_id": "nowhere"}, "content": CONTENT}, 404, "/message/to/list_id"),
        ({"to": {"audience_id": "nowhere"}, "content": CONTENT}, 404, "/message/to/audience_id"),
        ({"to": {"tenant_id": "nowhere"}, "content": CONTENT}, 404, "/message/to/tenant_id"),
        ({"to": {"list_pattern": "**"}, "content": CONTENT}, 400, "/message/to/list_pattern"),
        ({"to": {"user_id": "u"}}, 400, "/message/template"),
        ({"to": {"user_id": "u"}, "content": []}, 400, "/message/content"),
        ({"to": {"user_id": "u"}, "content": {"title": "t"}}, 400, "/message/content"),
        ({"to": {"user_id": "u"}, "content": {"title": "{{", "body": "b"}}, 400, "/message/content/title"),
        ({"to": {"user_id": "u"}, "content": {"elements": [{"type": "poem"}]}}, 400, "/message/content/elements/0/type"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "data": 1}, 400, "/message/data"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "routing": {"method": "some", "channels": []}}, 400, "/message/routing/method"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "routing": {"channels": [None]}}, 400, "/message/routing/channels/0"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "metadata": {"tags": "a"}}, 400, "/message/metadata/tags"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "delay": {"duration": -1}}, 400, "/message/delay/duration"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "delay": {"until": "soon"}}, 400, "/message/delay/until"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "delay": {"duration": 10**18}}, 400, "/message/delay"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "expiry": {"expires_in": "soon"}}, 400, "/message/expiry/expires_in"),
        ({"to": {"user_id": "u"}, "content": CONTENT, "timeout": {"message": "1h"}}, 400, "/message/timeout/message"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_leaves_nothing(
    wire: httpx.Client, message: Any, status: int, path: str
) -> None:
    before = wire.get("/audiences").headers["muster-position"]
    for route in ("/send", "/v1/resolve"):
        assert_refused(wire.post(route, json={"message": message}), status, path)
    assert wire.get("/audiences").headers["muster-position"] == before


def test_a_deleted_list_or_audience_is_nobody(courier: Courier, wire: httpx.Client, list_id: str) -> None:
    courier.lists.update(list_id, name="List")
    courier.lists.delete(list_id)
    courier.audiences.update(list_id, name="Audience")
    courier.audiences.delete(list_id)
    for to in ({"list_id": list_id}, {"audience_id": list_id}):
        assert_refused(wire.post("/send", json={"message": {"to": to, "content": CONTENT}}), 404)


def test_a_repeated_call_sends_once(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    reachable(courier, user_id)
    body = {"message": {"to": {"user_id": user_id}, "content": CONTENT}}
    answers = [wire.post("/send", json=body, headers={"Idempotency-Key": user_id}) for _ in range(2)]
    assert [it.status_code for it in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert len(courier.messages.list(recipient=user_id).results) == 1
