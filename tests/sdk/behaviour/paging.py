from collections.abc import Callable, Iterator
from typing import Any

PAGES_MAX = 50


def pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every page in turn. The next is fetched only when asked for, so a test can write in between."""
    cursor = None
    for _ in range(PAGES_MAX):
        page = fetch(cursor)
        yield page
        if not page.paging.more:
            return
        assert page.paging.cursor, "there is more, but no cursor to it"
        cursor = page.paging.cursor
    raise AssertionError(f"more than {PAGES_MAX} pages: does the cursor move?")
