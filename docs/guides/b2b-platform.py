"""A B2B platform: a tenant for each customer account, with its looks, its texts, its preferences, its inbox."""

import os
import time
import uuid

import courier
import httpx

URL = os.environ["MUSTER_URL"]
KEY = os.environ["MUSTER_API_KEY"]
RUN = uuid.uuid4().hex[:8]
SECONDS_MAX = 30


def main() -> None:
    api = courier.Courier(base_url=URL, api_key=KEY)
    muster = with_credential(KEY)
    acme, globex = f"acme-{RUN}", f"globex-{RUN}"
    ada, ben = f"ada-{RUN}", f"ben-{RUN}"

    print("Two customers, each with a brand and with what is known of everybody there.")
    for tenant, name, color in ((acme, "Acme", "#cc0033"), (globex, "Globex", "#007a5a")):
        brand = api.brands.create(
            id=f"brand-{tenant}", name=name, settings={"colors": {"primary": color}, "email": {}, "inapp": {}}
        )
        api.tenants.update(
            tenant,
            name=name,
            brand_id=brand.id,
            properties={"support": f"help@{name.lower()}.example"},
            user_profile={"locale": "en"},
        )

    print("Ada works for both, Ben for Acme; a membership can have an address of its own.")
    api.profiles.replace(ada, profile={"name": "Ada", "email": f"{ada}@home.example"})
    api.profiles.replace(ben, profile={"name": "Ben", "email": f"{ben}@home.example"})
    api.users.tenants.add_single(acme, user_id=ada, profile={"email": f"{ada}@acme.example"})
    api.users.tenants.add_single(globex, user_id=ada)
    api.users.tenants.add_single(acme, user_id=ben)

    print("One template for everybody; Acme has words of its own for it.")
    template = f"invoice-{RUN}"
    text = {
        "content": {
            "version": "2022-01-01",
            "elements": [
                {"type": "meta", "title": "{{ tenant.name }}: invoice {{ number }}"},
                {"type": "text", "content": "Dear {{ profile.name }}, your invoice is ready."},
                {"type": "action", "content": "Open it", "href": "https://app.example.com/{{ number }}"},
            ],
        },
        "routing": {"method": "all", "channels": ["inbox", "email"]},
    }
    muster.post("/v1/templates", json={"id": template, "template": text, "published": True}).raise_for_status()
    api.tenants.templates.replace(
        template,
        tenant_id=acme,
        template={
            "content": {
                "version": "2022-01-01",
                "elements": [
                    {"type": "meta", "title": "Acme billing: {{ number }}"},
                    {"type": "text", "content": "Questions? {{ tenant.properties.support }}"},
                ],
            },
            "routing": {"method": "all", "channels": ["inbox", "email"]},
        },
        published=True,
    )

    section = api.workspace_preferences.create(name=f"Account {RUN}").id
    topic = api.workspace_preferences.topics.create(section, name="Invoices", default_status="OPTED_IN").id

    def send(tenant: str) -> str:
        message = {
            "to": {"tenant_id": tenant},
            "template": template,
            "data": {"number": "R-1001"},
            "preferences": {"subscription_topic_id": topic},
        }
        return api.send.message(message=message).request_id

    print("To all members of a tenant, each in its context.")
    of_acme, of_globex = send(acme), send(globex)
    assert counts(wait_for(muster, of_acme)) == {("SENT", None): 2}
    assert counts(wait_for(muster, of_globex)) == {("SENT", None): 1}
    at_acme = mail_of(api, of_acme, ada)
    at_globex = mail_of(api, of_globex, ada)
    assert at_acme.subject == "Acme billing: R-1001"
    assert "Questions? help@acme.example" in at_acme.text
    assert at_globex.subject == "Globex: invoice R-1001"
    assert "#007a5a" in at_globex.html and "#cc0033" not in at_globex.html, "the button is Globex green"

    print("Ada's inbox is one for each customer. Her token for Acme reads Acme's only.")
    scope = f"user_id:{ada}:{acme} inbox:read:messages inbox:write:events"
    as_ada = with_credential(api.auth.issue_token(scope=scope, expires_in="1 hour").token)
    inbox = f"/v1/users/{ada}/inbox"
    shown = as_ada.get(inbox, params={"tenant_id": acme}).raise_for_status().json()
    assert [it["title"] for it in shown["items"]] == ["Acme billing: R-1001"]
    assert shown["unread"] == 1
    assert as_ada.get(inbox, params={"tenant_id": globex}).status_code == 403
    marked = as_ada.post(f"{inbox}/marks", params={"tenant_id": acme}, json={"mark": "read", "all": True})
    assert marked.raise_for_status().json() == {"changed": 1}
    assert unread(muster, ada, acme) == 0
    assert unread(muster, ada, globex) == 1

    print("Acme decides for its people, with a key that reaches Acme and nothing else.")
    issued = muster.post(
        "/v1/keys",
        json={"name": "Acme's own", "tenant_id": acme, "scopes": ["tenants:read", "tenants:write"]},
    )
    as_acme = courier.Courier(base_url=URL, api_key=issued.raise_for_status().json()["key"])
    as_acme.tenants.preferences.items.update(topic, tenant_id=acme, status="OPTED_OUT")
    try:
        as_acme.tenants.preferences.items.update(topic, tenant_id=globex, status="OPTED_OUT")
        raise AssertionError("Acme decided for Globex")
    except (courier.PermissionDeniedError, courier.NotFoundError):
        pass

    print("Ada wants it all the same; Ben has not said anything.")
    api.users.preferences.update_or_create_topic(topic, user_id=ada, tenant_id=acme, topic={"status": "OPTED_IN"})
    of_acme, of_globex = send(acme), send(globex)
    assert counts(wait_for(muster, of_acme)) == {("SENT", None): 1, ("UNDELIVERABLE", "UNSUBSCRIBED"): 1}
    assert counts(wait_for(muster, of_globex)) == {("SENT", None): 1}, "nothing changed at Globex"
    why = muster.get(f"/v1/messages/{of_acme}/explain", params={"user_id": ben}).raise_for_status().json()
    assert why["because"] == "opted_out:tenant_default"
    assert why["tenant_id"] == acme


def with_credential(credential: str) -> httpx.Client:
    return httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {credential}"})


def unread(muster: httpx.Client, user: str, tenant: str) -> int:
    answer = muster.get(f"/v1/users/{user}/inbox/unread", params={"tenant_id": tenant})
    return answer.raise_for_status().json()["unread"]


def mail_of(api: courier.Courier, request: str, user: str):
    """What the e-mail of a request said to somebody."""
    messages = api.messages.list(trace_id=request, recipient=user).results
    outputs = api.messages.content(messages[0].id).results
    return next(it.content for it in outputs if it.channel == "email")


def counts(progress: dict) -> dict[tuple[str, str | None], int]:
    return {(it["status"], it["reason"]): it["count"] for it in progress["counts"]}


def wait_for(muster: httpx.Client, request: str) -> dict:
    """What became of a request, once that is known for everybody."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        progress = muster.get(f"/v1/requests/{request}").raise_for_status().json()
        if progress["done"]:
            return progress
        time.sleep(0.05)
    raise AssertionError(f"{request} was not done within {SECONDS_MAX} seconds: {progress}")


if __name__ == "__main__":
    main()
