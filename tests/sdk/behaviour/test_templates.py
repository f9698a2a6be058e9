"""Templates of tenants and of everybody: versions, of which one is told."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from refusals import assert_refused, refused
from sending import done, said, sent


@pytest.fixture
def tenant_id(courier: Courier) -> str:
    tenant_id = f"tenant-{uuid4().hex}"
    courier.tenants.update(tenant_id, name="Tenant")
    return tenant_id


def template(body: str, **more: Any) -> Any:
    elements = [{"type": "meta", "title": "t"}, {"type": "text", "content": body}]
    return {"content": {"version": "2022-01-01", "elements": elements}, **more}


def test_a_tenant_has_versions_of_which_one_is_told(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    templates = courier.tenants.templates
    courier.profiles.replace(user_id, profile={"email": "a@example.com"})
    routing: Any = {"method": "single", "channels": ["email"]}

    def told() -> str:
        message = sent(courier, wire, {"user_id": user_id, "tenant_id": tenant_id}, template="t")
        return said(courier, message.id).text

    first = templates.replace("t", tenant_id=tenant_id, template=template("one", routing=routing), published=True)
    assert (first.id, first.version) == ("t", "v1") and first.published_at
    assert told() == "one"
    second = templates.replace("t", tenant_id=tenant_id, template=template("two", routing=routing))
    assert (second.version, second.published_at) == ("v2", None)
    assert told() == "one"
    repeated = templates.replace("t", tenant_id=tenant_id, template=template("two", routing=routing))
    assert repeated.version == "v2", "what changes nothing is no version"
    assert templates.retrieve("t", tenant_id=tenant_id).version == "v1"
    for version, number in (("latest", "v2"), ("published", "v1"), ("v1", "v1"), ("v2", "v2")):
        found = templates.versions.retrieve(version, tenant_id=tenant_id, template_id="t")
        assert found.version == number
    assert templates.publish("t", tenant_id=tenant_id).version == "v2"
    assert told() == "two"
    assert templates.publish("t", tenant_id=tenant_id, version="v1").version == "v1"
    assert told() == "one"
    for version in ("v3", "v0", "v01", "version", "V1"):
        with refused(404):
            templates.versions.retrieve(version, tenant_id=tenant_id, template_id="t")
    with refused(404):
        templates.publish("t", tenant_id=tenant_id, version="v3")
    for version in ("soon", "published", "v01", "-1"):
        with refused(400, "/version"):
            templates.publish("t", tenant_id=tenant_id, version=version)
    listed = templates.list(tenant_id)
    assert [it.id for it in listed.items] == ["t"] and listed.has_more is False
    templates.delete("t", tenant_id=tenant_id)
    assert templates.list(tenant_id).items == []
    for call in (templates.retrieve, templates.publish, templates.delete):
        with refused(404):
            call("t", tenant_id=tenant_id)
    again = templates.replace("t", tenant_id=tenant_id, template=template("three"), published=True)
    assert again.version == "v3", "versions are not given twice"


def test_the_next_tenant_of_an_id_inherits_no_template(
    courier: Courier, wire: httpx.Client, tenant_id: str, user_id: str
) -> None:
    templates = courier.tenants.templates
    courier.profiles.replace(user_id, profile={"email": "a@example.com"})
    body = {"id": tenant_id, "template": template("everybody's"), "published": True}
    wire.post("/v1/templates", json=body).raise_for_status()
    templates.replace(tenant_id, tenant_id=tenant_id, template=template("theirs"), published=True)

    def told() -> str:
        message = sent(courier, wire, {"user_id": user_id, "tenant_id": tenant_id}, template=tenant_id)
        return said(courier, message.id).text

    assert told() == "theirs"
    courier.tenants.delete(tenant_id)
    path = f"/tenants/{tenant_id}/templates"
    of_one = f"{path}/{tenant_id}"
    calls = [("GET", path), ("GET", of_one), ("GET", f"{of_one}/versions/v1"), ("DELETE", of_one)]
    for method, address in calls:
        gone = wire.request(method, address)
        assert (gone.status_code, gone.json()["code"]) == (404, "tenant_not_found"), address
    gone = wire.post(f"{of_one}/publish", json={})
    assert (gone.status_code, gone.json()["code"]) == (404, "tenant_not_found")
    assert told() == "everybody's"

    courier.tenants.update(tenant_id, name="Another customer")
    assert templates.list(tenant_id).items == []
    assert told() == "everybody's"
    again = templates.replace(tenant_id, tenant_id=tenant_id, template=template("ours"))
    assert again.version == "v2", "versions are not given twice"
    with refused(404):
        templates.versions.retrieve("v1", tenant_id=tenant_id, template_id=tenant_id)
    with refused(404):
        templates.publish(tenant_id, tenant_id=tenant_id, version="v1")
    templates.publish(tenant_id, tenant_id=tenant_id)
    assert told() == "ours"


def test_one_that_was_never_published_is_of_the_documented_shape(courier: Courier, tenant_id: str) -> None:
    courier.tenants.templates.replace("t", tenant_id=tenant_id, template=template("one"))
    assert courier.tenants.templates.retrieve("t", tenant_id=tenant_id).version == "v1"
    assert [it.id for it in courier.tenants.templates.list(tenant_id).items] == ["t"]


def test_templates_of_everybody(wire: httpx.Client) -> None:
    body = {"template": template("one"), "published": True}
    made = wire.post("/v1/templates", json=body)
    assert made.status_code == 201, made.text
    template_id = made.json()["id"]
    assert template_id.startswith("nt_") and made.json()["version"] == "v1"
    taken = wire.post("/v1/templates", json=body | {"id": template_id})
    assert_refused(taken, 409)
    assert taken.headers["x-should-retry"] == "false"
    path = f"/v1/templates/{template_id}"
    assert wire.put(path, json={"template": template("two")}).json()["version"] == "v2"
    shown = wire.get(path).json()
    assert (shown["version"], shown["published_version"]) == ("v2", "v1")
    assert shown["data"] == template("two")
    assert wire.get(path, params={"version": "published"}).json()["data"] == template("one")
    assert_refused(wire.get(path, params={"version": "v9"}), 404)
    assert_refused(wire.get(path, params={"version": "newest"}), 400)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = wire.get("/v1/templates", params={"limit": 1, "cursor": cursor}).json()
        seen += [it["id"] for it in page["items"]]
        cursor = page["paging"]["cursor"]
    assert seen == sorted(set(seen)) and template_id in seen
    assert wire.delete(path).status_code == 204
    assert_refused(wire.get(path), 404)
    assert_refused(wire.delete(path), 404)
    assert_refused(wire.get("/v1/templates", params={"cursor": "garbage"}), 400)


def element(**members: Any) -> Any:
    return {"content": {"version": "2022-01-01", "elements": [members]}}


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (None, "/template"),
        ([], "/template"),
        ({}, "/template/content"),
        ({"content": "x"}, "/template/content"),
        ({"content": {"elements": {}}}, "/template/content/elements"),
        (element(type="poem"), "/template/content/elements/0/type"),
        (element(type="text"), "/template/content/elements/0/content"),
        (element(type="text", content="{{ a"), "/template/content/elements/0/content"),
        (element(type="text", content="{% include 'x' %}"), "/template/content/elements/0/content"),
        (element(type="text", content="{% for a in b %}"), "/template/content/elements/0/content"),
        (element(type="text", content="x", **{"if": "((("}), "/template/content/elements/0/if"),
        (element(type="text", content="x" * 70_000), "/template/content/elements/0/content"),
        (element(type="channel", channel="email"), "/template/content/elements/0"),
        (element(type="channel", channel="email", elements=[{"type": "channel"}]), "/template/content/elements/0/elements/0/type"),
        ({"content": {"elements": [{"type": "divider"}] * 501}}, "/template/content/elements/500"),
        (template("x", routing={"channels": 1}), "/template/routing/channels"),
        (template("x", topic_id=7), "/template/topic_id"),
    ],
)
def test_what_could_never_be_told_is_refused_with_its_place(
    wire: httpx.Client, tenant_id: str, bad: Any, path: str
) -> None:
    before = wire.get("/audiences").headers["muster-position"]
    for method, route in (("PUT", f"/tenants/{tenant_id}/templates/t"), ("POST", "/v1/templates"), ("PUT", "/v1/templates/t")):
        assert_refused(wire.request(method, route, json={"template": bad}), 400, path)
    assert wire.get("/audiences").headers["muster-position"] == before
    assert_refused(wire.put("/tenants/nowhere/templates/t", json={"template": template("x")}), 404)


def test_no_template_takes_for_ever_or_fills_the_memory(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    """What is too much is told on the message, and in no time."""
    courier.profiles.replace(user_id, profile={"email": "a@example.com"})
    long = "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}x{% endfor %}{% endfor %}{% endfor %}"
    doubling = "".join("{% set a = a ~ a %}" for _ in range(30))
    recursive = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"
    for body in (long, "{% set a = 'xxxxxxxx' %}" + doubling + "{{ a }}", recursive, "{{ 'x' * 1000000000 }}", "{{ range(10**9) }}"):
        response = wire.post("/send", json={"message": {"to": {"user_id": user_id}, "content": {"title": "t", "body": body}}}, timeout=10)
        if response.status_code == 202:
            message_id = response.json()["requestId"]
            done(wire, message_id)
            assert courier.messages.retrieve(message_id).reason == "FAILED", body
        else:
            assert_refused(response, 400, "/message/content/body")
