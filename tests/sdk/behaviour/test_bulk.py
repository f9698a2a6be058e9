"""Bulk jobs: people are gathered, and then told once."""

from typing import Any

import httpx
from courier import Courier
from paging import pages
from refusals import assert_refused
from sending import awaited, done, said

CONTENT = {"title": "t", "body": "{{a}} {{b}} {{profile.name}}"}


def created(courier: Courier, **message: Any) -> str:
    message = {"event": "news", "content": CONTENT, "data": {"a": "job", "b": "job"}} | message
    return courier.bulk.create_job(message=message).job_id


def ingested(wire: httpx.Client, job_id: str, *users: Any) -> Any:
    response = wire.post(f"/bulk/{job_id}", json={"users": users})
    assert response.status_code == 200, response.text
    return response.json()


def gathered(courier: Courier, job_id: str) -> dict[str, Any]:
    found = pages(lambda cursor: courier.bulk.list_users(job_id, cursor=cursor))
    return {it.recipient: it for page in found for it in page.items}


def test_everybody_who_was_gathered_is_told_once(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    stored, given, without, own = (f"{user_id}-{name}" for name in ("stored", "given", "without", "own"))
    courier.profiles.replace(stored, profile={"email": "stored@example.com", "name": "Stored"})
    job_id = created(courier)
    courier.bulk.add_users(job_id, users=[{"recipient": stored}])
    rows = [
        {"recipient": given, "profile": {"email": "given@example.com", "name": "Given"}, "data": {"b": "user"}},
        {"recipient": stored, "data": {"b": "late"}},
        {"to": {"user_id": without, "data": {"b": "none"}}},
        {"recipient": given},
        {"profile": {"email": "anonymous@example.com", "name": "Nobody"}},
        {"recipient": own, "profile": {"email": "own@example.com", "name": "Own"}, "to": {"data": {"a": "to", "b": "to"}}},
    ]
    answer = ingested(wire, job_id, *rows)
    assert answer["total"] == 4
    assert [(it["error"], it["user"]) for it in answer["errors"]] == [
        ("Duplicate user", rows[1]),
        ("Duplicate user", rows[3]),
    ]
    job = courier.bulk.retrieve_job(job_id).job
    assert (job.status, job.received, job.enqueued, job.failures) == ("CREATED", 5, 0, 0)
    assert job.definition.to_dict()["event"] == "news"
    before = gathered(courier, job_id)
    assert {it.status for it in before.values()} == {"PENDING"} and len(before) == 5
    for _ in range(2):
        courier.bulk.run_job(job_id)
    awaited(lambda: courier.bulk.retrieve_job(job_id).job.status == "COMPLETED")
    assert_refused(wire.post(f"/bulk/{job_id}", json={"users": [{"recipient": "late"}]}), 409)
    job = courier.bulk.retrieve_job(job_id).job
    assert (job.received, job.enqueued, job.failures) == (5, 5, 1)
    results = courier.messages.list(trace_id=job_id).results
    assert len(results) == len({it.recipient for it in results}) == 5
    after = gathered(courier, job_id)
    told = {user: said(courier, it.message_id).text for user, it in after.items() if user != without}
    anonymous = next(iter(told.keys() - {stored, given, own}))
    assert told == {
        stored: "job job Stored",
        given: "job user Given",
        own: "to to Own",
        anonymous: "job job Nobody",
    }
    assert courier.messages.retrieve(after[without].message_id).status == "UNROUTABLE"
    courier.bulk.run_job(job_id)
    assert len(courier.messages.list(trace_id=job_id).results) == 5
    assert courier.profiles.retrieve(given).profile == {"email": "given@example.com", "name": "Given"}


def test_what_cannot_be_read_is_told_beside_those_who_joined(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    rows = [7, {"recipient": user_id}, {"recipient": 7}, {"to": []}, {"recipient": f"{user_id}-b", "data": "x"}, {}]
    job_id = created(courier)
    answer = ingested(wire, job_id, *rows)
    assert answer["total"] == 2
    assert [it["user"] for it in answer["errors"]] == [rows[0], rows[2], rows[3], rows[4]]
    assert courier.bulk.retrieve_job(job_id).job.received == 2


def test_users_are_paged(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    job_id = created(courier)
    users = [f"{user_id}-{number:03}" for number in range(250)]
    assert ingested(wire, job_id, *({"recipient": it} for it in users)) == {"total": 250, "errors": []}
    assert ingested(wire, job_id, *({"recipient": it} for it in users))["total"] == 0
    assert list(gathered(courier, job_id)) == users


def test_the_event_names_the_template_where_none_is_named(courier: Courier, wire: httpx.Client, user_id: str) -> None:
    body = {"id": user_id, "published": True, "template": {"content": CONTENT}}
    assert wire.post("/v1/templates", json=body).status_code == 201
    for message in ({"event": user_id}, {"template": user_id}, {"message": {"template": user_id}}):
        message = {"data": {"a": 1, "b": 2}} | message
        if "message" in message:
            message["message"]["data"] = message.pop("data")
        job_id = wire.post("/bulk", json={"message": message}).json()["jobId"]
        assert wire.get(f"/bulk/{job_id}").json()["job"]["definition"]["event"] == user_id
        ingested(wire, job_id, {"recipient": user_id, "profile": {"email": "a@example.com", "name": "n"}})
        courier.bulk.run_job(job_id)
        done(wire, awaited(lambda: courier.messages.list(trace_id=job_id).results)[0].to_dict()["requestId"])
        [user] = gathered(courier, job_id).values()
        assert (user.status, said(courier, user.message_id).text) == ("ENQUEUED", "1 2 n")


def test_what_is_no_job_is_refused(courier: Courier, wire: httpx.Client) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/run"), ("GET", "/users")):
        body = {"json": {"users": []}} if method == "POST" else {}
        assert_refused(wire.request(method, f"/bulk/nothing{path}", **body), 404)
    for body, path in (
        ({}, "/message"),
        ({"message": {}}, "/message/event"),
        ({"message": {"event": 7}}, "/message/event"),
        ({"message": {"event": "e", "content": {"title": "t"}}}, "/message/content"),
        ({"message": {"event": "e", "routing": {}}}, "/message/routing/channels"),
    ):
        assert_refused(wire.post("/bulk", json=body), 400, path)
    job_id = created(courier)
    for body, path in (({}, "/users"), ({"users": {}}, "/users"), ({"users": [{}] * 10_001}, "/users")):
        assert_refused(wire.post(f"/bulk/{job_id}", json=body), 400, path)
    assert courier.bulk.retrieve_job(job_id).job.received == 0


def test_a_job_without_people_is_done_at_once(courier: Courier) -> None:
    job_id = created(courier)
    courier.bulk.run_job(job_id)
    awaited(lambda: courier.bulk.retrieve_job(job_id).job.status == "COMPLETED")
    job = courier.bulk.retrieve_job(job_id).job
    assert (job.received, job.enqueued, job.failures) == (0, 0, 0)
