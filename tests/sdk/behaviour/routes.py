"""Every route of the server with what it asks of whoever comes, as its own description has it."""

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    scope: str
    restricted: str
    grant: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def names(self, name: str) -> bool:
        return f"{{{name}}}" in self.path

    def with_ids(self, ids: dict[str, str]) -> str:
        path = self.path
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        return path


def answer(client: httpx.Client, route: Route, ids: dict[str, str], **more: Any) -> httpx.Response:
    """All of it, or of a stream, which goes on for ever, its beginning."""
    with client.stream(route.method, route.with_ids(ids), **more) as response:
        if response.headers.get("content-type") != "text/event-stream":
            response.read()
        return response


def all_routes(wire: httpx.Client) -> list[Route]:
    paths: dict[str, dict[str, Any]] = wire.get("/openapi.json").json()["paths"]
    return [
        Route(method.upper(), path, it["x-scope"], it["x-restricted"], it["x-grant"])
        for path, methods in paths.items()
        for method, it in methods.items()
        if "x-scope" in it
    ]


def scopes(wire: httpx.Client) -> list[str]:
    return sorted({route.scope for route in all_routes(wire)})


def with_credential(wire: httpx.Client, credential: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
    return httpx.Client(base_url=wire.base_url, headers=headers, timeout=60)


def new_key(wire: httpx.Client, *scopes: str, **more: Any) -> Any:
    body = {"name": "test", "scopes": scopes or ("admin",), **more}
    response = wire.post("/v1/keys", json=body)
    assert response.status_code == 201, response.text
    return response.json()


def key_client(wire: httpx.Client, *scopes: str, **more: Any) -> httpx.Client:
    return with_credential(wire, new_key(wire, *scopes, **more)["key"])
