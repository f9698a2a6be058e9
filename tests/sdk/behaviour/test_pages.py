"""What people see who follow a link out of a message."""

import html
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from courier import Courier
from sending import outcome, said, sent

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def browser(wire: httpx.Client) -> Any:
    """Has no credential but the link."""
    with httpx.Client(base_url=wire.base_url, timeout=60) as browser:
        yield browser


@pytest.fixture
def person(courier: Courier, user_id: str) -> str:
    courier.profiles.replace(user_id, profile={"email": "a@example.com"})
    return user_id


def topic(courier: Courier, name: str = "News", status: Any = "OPTED_IN") -> str:
    section = courier.workspace_preferences.create(name="Section").id
    topics = courier.workspace_preferences.topics
    return topics.create(
        section_id=section, name=name, default_status=status, include_unsubscribe_header=True
    ).id


def told(courier: Courier, wire: httpx.Client, person: str, topic_id: str, **more: Any) -> Any:
    return sent(courier, wire, {"user_id": person}, preferences={"subscription_topic_id": topic_id}, **more)


def link(courier: Courier, message: Any, page: str) -> str:
    [href] = set(re.findall(rf'href="([^"]*/{page}/[^"]*)"', said(courier, message.id).html))
    return html.unescape(href)


def status(courier: Courier, user_id: str, topic_id: str, **more: Any) -> str:
    return courier.users.preferences.retrieve_topic(topic_id, user_id=user_id, **more).topic.status


def assert_page(response: httpx.Response, status: int = 200) -> str:
    assert response.status_code == status, response.text
    assert "<script" not in response.text
    return response.text


def test_a_page_is_html_that_no_other_page_can_use(
    courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str
) -> None:
    url = link(courier, told(courier, wire, person, topic(courier)), "unsubscribe")
    for response in (browser.get(url), browser.post(url), browser.get(f"{url}x"), browser.post(f"{url}x")):
        assert response.headers.get_list("content-type") == ["text/html; charset=utf-8"]
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        [policy] = response.headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_a_link_asks_first_and_one_click_ends_the_topic(
    courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str
) -> None:
    topic_id, other = topic(courier, "<b>News</b> & more"), topic(courier)
    message = told(courier, wire, person, topic_id)
    url = link(courier, message, "unsubscribe")
    before = wire.get("/audiences").headers["muster-position"]
    page = assert_page(browser.get(url))
    assert '<form method="post">' in page and "&lt;b&gt;News&lt;" in page and "<b>News" not in page
    assert wire.get("/audiences").headers["muster-position"] == before
    assert status(courier, person, topic_id) == "OPTED_IN"
    for _ in range(2):
        assert_page(browser.post(url, content="List-Unsubscribe=One-Click", headers=FORM))
    assert status(courier, person, topic_id) == "OPTED_OUT"
    assert status(courier, person, other) == "OPTED_IN"
    again = told(courier, wire, person, topic_id)
    assert outcome(again) == ("UNDELIVERABLE", "UNSUBSCRIBED", "opted_out:user")
    event = wire.get("/v1/events", params={"subject": person, "order": "desc"}).json()["items"]
    [chosen] = [it for it in event if it["actor"]["id"] == "link"]
    assert chosen["type"].startswith("preference")
    [all_of_it] = re.findall(r'href="([^"]*preference-page[^"]*)"', browser.get(url).text)
    assert_page(browser.get(httpx.URL(url).join(html.unescape(all_of_it))))


def test_whatever_the_body_is_one_click_is_enough(
    courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str
) -> None:
    topic_id = topic(courier)
    url = link(courier, told(courier, wire, person, topic_id), "unsubscribe")
    bodies: list[Any] = [
        {"content": b""},
        {"content": b"\xff\xfe", "headers": FORM},
        {"json": {"a": 1}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
    ]
    for body in bodies:
        wire.delete(f"/users/{person}/preferences/{topic_id}")
        assert status(courier, person, topic_id) == "OPTED_IN"
        assert_page(browser.post(url, **body))
        assert status(courier, person, topic_id) == "OPTED_OUT"


def test_a_link_holds_in_its_tenant(courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str) -> None:
    tenant, topic_id = f"tenant-{uuid4().hex}", topic(courier)
    courier.tenants.update(tenant, name="Tenant")
    message = told(courier, wire, person, topic_id, context={"tenant_id": tenant})
    assert_page(browser.post(link(courier, message, "unsubscribe")))
    assert status(courier, person, topic_id, tenant_id=tenant) == "OPTED_OUT"
    assert status(courier, person, topic_id) == "OPTED_IN"


def test_what_is_required_has_no_link_to_end_it(courier: Courier, wire: httpx.Client, person: str) -> None:
    message = told(courier, wire, person, topic(courier, status="REQUIRED"))
    assert f'{wire.base_url.join("/unsubscribe/")}' not in said(courier, message.id).html
    assert link(courier, message, "preference-page")


def test_the_preference_page_takes_over_only_what_was_changed(
    courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str
) -> None:
    kept, ended, begun = topic(courier, "Kept"), topic(courier, "Ended"), topic(courier, "Begun", "OPTED_OUT")
    must = topic(courier, "Must", "REQUIRED")
    url = link(courier, told(courier, wire, person, kept), "preference-page")
    page = assert_page(browser.get(url))
    boxes = re.findall(r'<input type="checkbox" name="in" value="([^"]+)"( checked)?( disabled)?>', page)
    state = {topic_id: (bool(checked), bool(disabled)) for topic_id, checked, disabled in boxes}
    assert [state[it] for it in (kept, ended, begun, must)] == [(True, False), (True, False), (False, False), (True, True)]
    shown = re.findall(r'<input type="hidden" name="shown" value="([^"]+)">', page)
    assert {kept, ended, begun} <= set(shown) and must not in shown
    ours = [kept, ended, begun, must, "made-up"]
    form: Any = {"shown": ours, "in": [kept, begun, "made-up"]}
    saved = assert_page(browser.post(url, data=form))
    assert "saved" in saved
    assert [status(courier, person, it) for it in (kept, ended, begun, must)] == [
        "OPTED_IN", "OPTED_OUT", "OPTED_IN", "REQUIRED",
    ]
    chosen = wire.get(f"/v1/users/{person}/effective-preferences").json()["items"]
    sources = {it["topic_id"]: it["status_from"]["layer"] for it in chosen}
    assert (sources[kept], sources[ended], sources[begun]) == ("topic", "user", "user")
    # Nothing is shown, so nothing is changed.
    assert_page(browser.post(url, data={"in": ended}))
    assert_page(browser.post(url, content=b"\xff%%%=", headers=FORM))
    assert_page(browser.post(url, json={"shown": [kept]}))
    assert status(courier, person, ended) == "OPTED_OUT" and status(courier, person, kept) == "OPTED_IN"


def test_no_link_can_be_made_up(courier: Courier, wire: httpx.Client, browser: httpx.Client, person: str) -> None:
    topic_id = topic(courier)
    message = told(courier, wire, person, topic_id)
    one_click, all_of_it = (link(courier, message, it) for it in ("unsubscribe", "preference-page"))
    base, _, token = one_click.rpartition("/")
    text, _, signature = token.partition(".")
    other = all_of_it.rpartition("/")[2]
    forged = [
        "x", f"{text}.", f".{signature}", f"{text}.{signature[:-2]}", f"{text}.{signature}A", f"A{text}.{signature}",
        f"{other.partition('.')[0]}.{signature}", f"{text}.{'A' * 22}", f"{text}.{signature}.x", "%00", "%2E", "a" * 5_000,
        "..%2f..%2fv1%2fkeys", other,
    ]
    for made_up in forged:
        for method in ("GET", "POST"):
            assert_page(browser.request(method, f"{base}/{made_up}"), 404)
    assert status(courier, person, topic_id) == "OPTED_IN"
    assert wire.post(f"/v1/users/{person}/erase").status_code == 200
    for url in (one_click, all_of_it):
        assert_page(browser.get(url), 404)
        assert_page(browser.post(url), 404)
