"""Sends one message to a list over SMTP, and checks that each mail arrives, and once.

`MUSTER_SMTP_MAILS` sets how many there are. Some addresses are refused for good, and some at first only.
"""

import email
import email.policy
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

MAILS = int(os.environ.get("MUSTER_SMTP_MAILS", "1000"))
BATCH = 500
SECONDS_MAX = 600
API_KEY = "smtp-test-key"


class Mailbox:
    """Takes mail, and knows what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.put_off: set[str] = set()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address.startswith("gone"):
            return "550 5.1.1 there is no such mailbox"
        if address.startswith("later") and address not in self.put_off:
            self.put_off.add(address)
            return "450 4.2.1 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.taken.append((envelope.rcpt_tos[0], envelope.content))
        return "250 taken"


def main() -> None:
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        with tempfile.TemporaryDirectory(prefix="muster-smtp-") as scratch:
            run(mailbox, port, Path(scratch))
    finally:
        controller.stop()


def free_port() -> int:
    """The controller asks for its own port once it listens, so it has to be told which."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(mailbox: Mailbox, port: int, scratch: Path) -> None:
    providers = scratch / "providers.toml"
    providers.write_text(
        f'[smtp]\nurl = "smtp://127.0.0.1:{port}"\ntls = "none"\nfrom = "Shop <shop@example.com>"\n'
    )
    environment = os.environ | {"MUSTER_API_KEY": API_KEY}
    command = [os.environ["MUSTER_BIN"], "serve", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(scratch / "data"), "--providers-file", str(providers)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = address_of(server)
            took = send(url)
        finally:
            server.terminate()
    check(mailbox, took)


def address_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.match(r"Muster listens on (\S+)", line):
            return found[1]
    sys.exit("smtp: the server ended instead of listening")


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def address(number: int) -> str:
    kind = {0: "gone", 1: "later"}.get(number % 100, "reader")
    return f"{kind}{number}@example.com"


def send(url: str) -> float:
    ask(url, "POST", "/preferences/sections", {"id": "s", "name": "S"})
    topic = {"id": "news", "name": "News", "default_status": "OPTED_IN"}
    ask(url, "POST", "/preferences/sections/s/topics", topic)
    for first in range(0, MAILS, BATCH):
        numbers = range(first, min(MAILS, first + BATCH))
        users = [
            {"user_id": f"u{it}", "profile": {"email": address(it)}, "lists": [{"list_id": "readers"}]}
            for it in numbers
        ]
        written = ask(url, "POST", "/v1/users:batch", {"users": users})
        assert written == {"accepted": len(numbers), "errors": []}, written
    message = {
        "to": {"list_id": "readers"},
        "content": {"title": "Ümlaut & news", "body": "Hello {{profile.email}}"},
        "preferences": {"subscription_topic_id": "news"},
    }
    began = time.monotonic()
    request = ask(url, "POST", "/send", {"message": message})["requestId"]
    while not (state := ask(url, "GET", f"/v1/requests/{request}"))["done"]:
        assert time.monotonic() - began < SECONDS_MAX, state
        time.sleep(0.05)
    took = time.monotonic() - began
    counts = {(it["status"], it["reason"]): it["count"] for it in state["counts"]}
    gone = len(range(0, MAILS, 100))
    assert counts == {("SENT", None): MAILS - gone, ("UNDELIVERABLE", "BOUNCED"): gone}, counts
    return took


def check(mailbox: Mailbox, took: float) -> None:
    arrived = Counter(recipient for recipient, _ in mailbox.taken)
    expected = {address(it) for it in range(MAILS) if not address(it).startswith("gone")}
    missing, twice = expected - arrived.keys(), [it for it, count in arrived.items() if count > 1]
    assert not missing and not twice and arrived.keys() == expected, (len(missing), len(twice))
    ids = set()
    for recipient, content in mailbox.taken:
        mail = email.message_from_bytes(content, policy=email.policy.default)
        ids.add(mail["Message-ID"])
        assert mail["To"] == recipient and mail["Subject"] == "Ümlaut & news", (recipient, mail["Subject"])
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert re.fullmatch(r"<http://\S+/unsubscribe/\S+>", mail["List-Unsubscribe"])
        text = mail.get_body(("plain",)).get_content()
        assert f"Hello {recipient}" in text, text
    assert len(ids) == len(mailbox.taken)
    print(
        f"smtp: {len(mailbox.taken)} mails arrived, none missing, none twice; "
        f"{len(mailbox.put_off)} after being put off, {MAILS - len(expected)} refused; "
        f"{took:.1f} s, {len(mailbox.taken) / took:.0f}/s"
    )


main()
