"""Marketing: a list for a campaign, bulk for volume, an audience that comes back, and one click to leave."""

import os
import re
import time
import uuid

import courier
import httpx

URL = os.environ["MUSTER_URL"]
KEY = os.environ["MUSTER_API_KEY"]
RUN = uuid.uuid4().hex[:8]
SECONDS_MAX = 60


def main() -> None:
    api = courier.Courier(base_url=URL, api_key=KEY)
    muster = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"})

    print("A topic that people can leave, and a template with a link for it.")
    section = api.workspace_preferences.create(name=f"Marketing {RUN}").id
    topic = api.workspace_preferences.topics.create(section, name="Offers", default_status="OPTED_IN").id
    template = f"offer-{RUN}"
    text = {
        "topic_id": topic,
        "content": {
            "version": "2022-01-01",
            "elements": [
                {"type": "meta", "title": "{{ headline }}"},
                {"type": "text", "content": "Hello {{ profile.name | default('there') }}, {{ offer }}."},
                {"type": "action", "content": "No more offers", "href": "{{ urls.unsubscribe }}", "style": "link"},
            ],
        },
        "routing": {"method": "single", "channels": ["email"]},
    }
    muster.post("/v1/templates", json={"id": template, "template": text, "published": True}).raise_for_status()

    def campaign(to: dict, offer: str) -> str:
        data = {"headline": "This week only", "offer": offer}
        message = {"to": to, "template": template, "data": data, "metadata": {"tags": [f"campaign-{RUN}"]}}
        return api.send.message(message=message).request_id

    print("A list: whom the campaign is for, one by one.")
    spring = f"campaign.{RUN}.spring"
    people = [f"person{number}-{RUN}" for number in range(5)]
    for user in people:
        api.profiles.replace(user, profile={"name": user.split("-")[0].title(), "email": f"{user}@example.com"})
    api.lists.subscriptions.subscribe(spring, recipients=[{"recipientId": user} for user in people])
    first = campaign({"list_id": spring}, "ten per cent off")
    assert counts(wait_for(muster, first)) == {("SENT", None): 5}

    print("One click ends it. Opening the link does not: programs that look at links do that.")
    leaver = people[0]
    message = api.messages.list(trace_id=first, recipient=leaver).results[0]
    mail = api.messages.content(message.id).results[0].content
    link = re.search(r"https?://\S+/unsubscribe/\S+", mail.text)[0]
    link = URL + link[link.index("/unsubscribe/") :]
    assert httpx.get(link).status_code == 200
    assert choice(api, leaver, topic) == "OPTED_IN"
    clicked = httpx.post(link, data={"List-Unsubscribe": "One-Click"})
    assert clicked.status_code == 200
    assert choice(api, leaver, topic) == "OPTED_OUT"

    print("The next campaign leaves them out, and says so.")
    second = campaign({"list_id": spring}, "twenty per cent off")
    assert counts(wait_for(muster, second)) == {("SENT", None): 4, ("UNDELIVERABLE", "UNSUBSCRIBED"): 1}
    why = muster.get(f"/v1/messages/{second}/explain", params={"user_id": leaver}).raise_for_status().json()
    assert why["because"] == "opted_out:user"

    print("Several lists at once: whoever is in both is told once.")
    autumn = f"campaign.{RUN}.autumn"
    api.lists.subscriptions.subscribe(autumn, recipients=[{"recipientId": user} for user in people[3:]])
    both = campaign({"list_pattern": f"campaign.{RUN}.*"}, "one for all")
    assert wait_for(muster, both)["people"] == 5

    print("Bulk, for volume: 2,000 people in four calls, each with data of their own, then one run.")
    job = api.bulk.create_job(
        message={"event": template, "template": template, "data": {"headline": "Only for you", "offer": "nothing"}}
    ).job_id
    rows = [
        {
            "recipient": f"bulk{number}-{RUN}",
            "profile": {"email": f"bulk{number}-{RUN}@example.com"},
            "data": {"offer": f"voucher {number}"},
        }
        for number in range(2_000)
    ]
    for begin in range(0, len(rows), 500):
        api.bulk.add_users(job, users=rows[begin : begin + 500])
    again = muster.post(f"/bulk/{job}", json={"users": rows[:2]}).raise_for_status().json()
    assert again["total"] == 0
    assert {it["error"] for it in again["errors"]} == {"Duplicate user"}
    api.bulk.run_job(job)
    api.bulk.run_job(job)  # Asked twice, it runs once.
    wait_for(muster, job)
    done = api.bulk.retrieve_job(job).job
    assert (done.status, done.received, done.enqueued, done.failures) == ("COMPLETED", 2_000, 2_000, 0), done
    some = api.messages.list(trace_id=job, recipient=f"bulk7-{RUN}").results[0]
    assert "Hello there, voucher 7." in api.messages.content(some.id).results[0].content.text

    print("An audience, for what comes back every month: whoever fits by then is in it.")
    dormant = f"dormant-{RUN}"
    api.audiences.update(
        dormant,
        filter={
            "operator": "AND",
            "filters": [
                {"operator": "EQ", "path": "cohort", "value": RUN},
                {"operator": "NOT", "filters": [{"operator": "WITHIN_LAST", "path": "last_seen", "value": "P30D"}]},
            ],
        },
    )
    for user in people[1:4]:
        api.profiles.create(user, profile={"cohort": RUN, "last_seen": "2020-01-01"})
    assert wait_for(muster, campaign({"audience_id": dormant}, "we miss you"))["people"] == 3
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    api.profiles.create(people[1], profile={"last_seen": now})
    assert wait_for(muster, campaign({"audience_id": dormant}, "we still miss you"))["people"] == 2

    print("All of the campaign, by its tag.")
    tagged = api.messages.list(tags=f"campaign-{RUN}", recipient=people[1]).results
    assert len(tagged) == 4, "two to the list, one to the pattern, one to the audience"


def choice(api: courier.Courier, user: str, topic: str) -> str:
    return api.users.preferences.retrieve_topic(topic, user_id=user).topic.status


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
