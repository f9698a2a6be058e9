"""A consumer app: profiles with addresses and devices, segments by what people did, no tenants."""

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
    muster = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"})
    ada, ben, cleo = (f"{name}-{RUN}" for name in ("ada", "ben", "cleo"))

    print("Three people: Ada has a phone and an address, Ben an address, Cleo only a phone.")
    api.profiles.replace(ada, profile={"name": "Ada", "email": f"{ada}@example.com", "locale": "en"})
    api.profiles.replace(ben, profile={"name": "Ben", "email": f"{ben}@example.com"})
    api.profiles.replace(cleo, profile={"name": "Cleo"})
    for user in (ada, cleo):
        token = f"ExponentPushToken[{user}]"
        api.users.tokens.add_single(token, user_id=user, provider_key="expo", device={"platform": "ios"})

    print("A segment by behaviour: who ordered at least twice, the last time within 30 days.")
    ordered = f"order_completed_{RUN}"
    segment = f"regulars-{RUN}"
    api.audiences.update(
        segment,
        name="Regulars",
        filter={
            "operator": "AND",
            "filters": [
                {"operator": "GTE", "path": f"$events.{ordered}.count", "value": "2"},
                {"operator": "WITHIN_LAST", "path": f"$events.{ordered}.last_at", "value": "P30D"},
            ],
        },
    )

    def track(user: str, order: str) -> None:
        api.inbound.track_event(
            type="track", event=ordered, message_id=f"{RUN}-{order}", user_id=user, properties={"order": order}
        )

    for user, order in ((ada, "a1"), (ada, "a2"), (ben, "b1"), (cleo, "c1"), (cleo, "c2")):
        track(user, order)
    assert members(api, segment) == {ada, cleo}

    print("What is told twice with the same id counts once.")
    try:
        track(ben, "b1")
        raise AssertionError("it was taken twice")
    except courier.ConflictError:
        pass
    assert members(api, segment) == {ada, cleo}
    track(ben, "b2")
    assert members(api, segment) == {ada, ben, cleo}, "Ben is in it at once"

    message = {
        "to": {"audience_id": segment},
        "content": {
            "title": "Thank you, {{ profile.name }}",
            "body": "Here is {{ percent }} off your next order.",
        },
        "data": {"percent": "10 %"},
        "routing": {"method": "single", "channels": ["push", "email"]},
    }

    print("A dry run says what would become of it, and sends nothing.")
    foreseen = muster.post("/v1/resolve", json={"message": message}).raise_for_status().json()
    assert foreseen["people"] == 3
    assert [(it["status"], it["count"]) for it in foreseen["counts"]] == [("SENT", 3)]

    print("The same, sent: by push to who has a device, by e-mail to the others.")
    request = api.send.message(message=message).request_id
    done = wait_for(muster, request)
    assert [(it["status"], it["count"]) for it in done["counts"]] == [("SENT", 3)], done
    used = {user: channel_used(muster, request, user) for user in (ada, ben, cleo)}
    assert used == {ada: "push", ben: "email", cleo: "push"}, used

    print("Each person's message is listed by the request, and says what it said.")
    messages = api.messages.list(trace_id=request).results
    assert {it.recipient for it in messages} == {ada, ben, cleo}
    of_ben = next(it for it in messages if it.recipient == ben)
    content = api.messages.content(of_ben.id).results[0].content
    assert content.subject == "Thank you, Ben"
    assert content.text == "Here is 10 % off your next order."

    print("Somebody whom it was not for: why nothing came.")
    api.profiles.replace(f"dan-{RUN}", profile={"name": "Dan"})
    why = muster.get(f"/v1/messages/{request}/explain", params={"user_id": f"dan-{RUN}"}).raise_for_status().json()
    assert (why["addressed"], why["because"]) == (False, "not_addressed")

    print("A first send to somebody with an address makes the profile.")
    eve = f"eve-{RUN}"
    request = api.send.message(
        message={
            "to": {"user_id": eve, "email": f"{eve}@example.com"},
            "content": {"title": "Welcome", "body": "Good to have you."},
        }
    ).request_id
    wait_for(muster, request)
    assert api.messages.retrieve(request).status == "SENT", "to one person the request is the message"
    assert api.profiles.retrieve(eve).profile == {"email": f"{eve}@example.com"}


def members(api: courier.Courier, audience: str) -> set[str]:
    return {it.member_id for it in api.audiences.list_members(audience).items}


def channel_used(muster: httpx.Client, request: str, user: str) -> str:
    why = muster.get(f"/v1/messages/{request}/explain", params={"user_id": user}).raise_for_status().json()
    return next(it["channel"] for it in why["channels"] if it["used"])


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
