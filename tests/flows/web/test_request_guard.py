"""No more posts are let through than the app can answer."""

import asyncio

import httpx
from starlette.responses import PlainTextResponse

from flows.web.request_guard import BURST, RATE, RequestGuard


def test_too_many() -> None:
    """Beyond a burst, no more posts are let through than RATE a second; other requests are not limited."""
    now, answers = 0.0, []
    guard = RequestGuard(PlainTextResponse("seen"), lambda *answer: answers.append(answer), lambda: now)

    async def passed(number: int, method: str = "POST") -> int:
        headers = {"Content-Type": "application/json"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1") as client:
            replies = [await client.request(method, "/predict", headers=headers, content=b"{}") for _ in range(number)]
        assert {reply.status_code for reply in replies} <= {200, 429}
        return sum(reply.is_success for reply in replies)

    assert asyncio.run(passed(2 * BURST)) == BURST
    now += 1
    assert asyncio.run(passed(2 * BURST)) == RATE
    assert asyncio.run(passed(2 * BURST, "GET")) == 2 * BURST
    assert len(answers) == 6 * BURST and answers.count(("/predict", 200)) == 3 * BURST + RATE
