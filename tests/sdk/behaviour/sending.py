"""Sends messages, and waits until it is known what became of them."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from courier import Courier

DEADLINE_SECONDS = 30
T = TypeVar("T")
CONTENT = {"title": "Hello", "body": "Text"}


def awaited(look: Callable[[], T], is_there: Callable[[T], bool] = bool) -> T:
    """What `look` finds, once it is what is waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_there(found := look()):
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} seconds, and still: {found}"
        time.sleep(0.01)
    return found


def send(courier: Courier, to: Any, **message: Any) -> str:
    """The id of the request, which is that of the message if it is to one person."""
    if not message.keys() & {"content", "template"}:
        message["content"] = CONTENT
    return courier.send.message(message={"to": to, **message}).request_id


def request(wire: httpx.Client, request_id: str) -> Any:
    response = wire.get(f"/v1/requests/{request_id}")
    assert response.status_code == 200, response.text
    return response.json()


def done(wire: httpx.Client, request_id: str) -> Any:
    """The request, once it is known for everybody what became of it."""
    return awaited(lambda: request(wire, request_id), lambda it: it["done"])


def decided(courier: Courier, wire: httpx.Client, request_id: str) -> None:
    """Waits until nobody is left but those for whom it is decided again later."""
    awaited(lambda: request(wire, request_id)["resolved"])
    waiting = lambda: courier.messages.list(trace_id=request_id, status=["ENQUEUED"]).results
    awaited(waiting, lambda results: not results)


def sent(courier: Courier, wire: httpx.Client, to: Any, **message: Any) -> Any:
    """What became of a message to one person."""
    message_id = send(courier, to, **message)
    done(wire, message_id)
    return courier.messages.retrieve(message_id)


def outcome(message: Any) -> tuple[str, str | None, str | None]:
    return message.status, message.reason, message.error


def people(courier: Courier, wire: httpx.Client, to: Any, **message: Any) -> dict[str, Any]:
    """What became of it, by recipient, of whom nobody is told twice."""
    request_id = send(courier, to, **message)
    count = done(wire, request_id)["people"]
    results = courier.messages.list(trace_id=request_id).results
    by_recipient = {it.recipient: it for it in results}
    assert len(by_recipient) == len(results) == count
    return by_recipient


def explained(wire: httpx.Client, message_id: str, user_id: str | None = None) -> Any:
    response = wire.get(f"/v1/messages/{message_id}/explain", params={"user_id": user_id or ""})
    assert response.status_code == 200, response.text
    return response.json()


def channels(wire: httpx.Client, message_id: str) -> dict[str, str]:
    """By channel, whether it was used, or else why not."""
    return {it["channel"]: it["because"] for it in explained(wire, message_id)["channels"]}


def said(courier: Courier, message_id: str, channel: str = "email") -> Any:
    """What it said on a channel."""
    [content] = [it.content for it in courier.messages.content(message_id).results if it.channel == channel]
    return content


def inbox(wire: httpx.Client, user_id: str, **query: Any) -> Any:
    response = wire.get(f"/v1/users/{user_id}/inbox", params=query)
    assert response.status_code == 200, response.text
    return response.json()
