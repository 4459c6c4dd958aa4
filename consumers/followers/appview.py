"""`app.bsky.actor.getProfiles` of an AppView, through atproto's XRPC client.

Of the answer only `did` and `followersCount` are read, without the lexicon's models: one odd profile must not cost
the others theirs. Importing this takes seconds, for atproto loads every lexicon: do it off the event loop.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any

from atproto_client import exceptions, models
from atproto_client.client.base import AsyncClientBase
from atproto_client.request import AsyncRequest, Response

from consumers.followers import AskError, Cause, Reply

METHOD = "app.bsky.actor.getProfiles"
LONGEST_PAUSE = 86_400.0
"""A server that asks for more is heard again after a day."""
_EPOCH_FROM = 1e9
"""Bluesky's `RateLimit-Reset` is a Unix time, the standard's a number of seconds; no window is 30 years long."""

_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (exceptions.RateLimitExceededError, "rate_limited"),
    (exceptions.BadRequestError, "refused"),
    (exceptions.UnauthorizedError, "unauthorized"),
    (exceptions.InvokeTimeoutError, "timeout"),
    (exceptions.NetworkError, "network"),
    (exceptions.RequestErrorBase, "server_error"),
    (ValueError, "unreadable"),
)


class AppView:
    """Asks one AppView for profiles, without an account. Close it when done."""

    def __init__(self, url: str, *, timeout: float = 30.0, clock: Callable[[], float] = time.time) -> None:
        """`url` is the service's, without a path; `timeout` in seconds; `clock` gives Unix seconds."""
        request = AsyncRequest(timeout=timeout)
        request.add_additional_header("User-Agent", f"starlingd/{version('starlingd')}")
        self._client = AsyncClientBase(url, request)
        self._clock = clock

    async def __call__(self, dids: Sequence[str]) -> Reply:
        """Ask for the followers of at most 25 accounts. Raises AskError and nothing else."""
        try:
            params = models.AppBskyActorGetProfiles.Params(actors=list(dids))
            response: Response = await self._client.invoke_query(METHOD, params=params)
            followers = counts(response.content)
        except Exception as error:  # whatever a server sends must not end the daemon
            cause: Cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "network")
            refusal = getattr(error, "response", None)
            headers = refusal.headers if refusal else {}
            raise AskError(cause, pause_in(headers, self._clock(), spent=cause == "rate_limited")) from error
        return Reply(followers, pause_in(response.headers, self._clock()))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.request.close()


def counts(document: Any) -> dict[str, int]:
    """Return followers by DID out of an answer; a profile without a count is left out. Raises ValueError."""
    if not isinstance(document, dict) or not isinstance(document.get("profiles"), list):
        raise ValueError("the answer is no list of profiles")  # noqa: TRY004 - what came is wrong, not who called
    found = {}
    for profile in document["profiles"]:
        if isinstance(profile, dict) and isinstance(profile.get("did"), str):
            count = profile.get("followersCount")
            if type(count) is int and 0 <= count < 1 << 53:
                found[profile["did"]] = count
    return found


def pause_in(headers: Mapping[str, str], now: float, *, spent: bool = False) -> float:
    """Return the seconds for which a server asks to be left alone, 0 where it does not.

    That is `Retry-After`, or else the time until `RateLimit-Reset` once nothing remains. `spent`: nothing does, even
    if the headers do not say it. `now` in Unix seconds.
    """
    pause = _retry_after(headers.get("retry-after", ""), now)
    if pause is None and (spent or headers.get("ratelimit-remaining", "").strip() == "0"):
        reset = _number(headers.get("ratelimit-reset", ""))
        pause = reset - now if reset is not None and reset >= _EPOCH_FROM else reset
    return min(max(pause or 0.0, 0.0), LONGEST_PAUSE)


def _retry_after(text: str, now: float) -> float | None:
    """Read seconds, or a date."""
    seconds = _number(text)
    if seconds is None and text:
        try:
            return parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return seconds


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
