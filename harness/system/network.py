"""The one place that gets files over the network. It bounds their size and the time that it waits for them."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from harness.errors import HarnessError, UsageError

SECONDS = 30.0
"""Longest time in which an address must have answered completely."""
LARGEST = 2**16
"""Largest answer that is accepted, in bytes."""
PIECE = 2**12


def fetch(url: str, largest: int = LARGEST, seconds: float = SECONDS) -> bytes:
    """Return the bytes that an http(s) address answers with.

    Raises:
        UsageError: the address is not an http(s) address.
        HarnessError: there was no answer, it came too late or reported a failure, or it is larger than ``largest``
            bytes.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError("this is not an http(s) address", where=url, remedy="give one, or get the file yourself")
    import urllib.request as web  # here, because hardly any command needs it
    from http.client import HTTPException

    opener = web.OpenerDirector()  # without files, FTP and data addresses, to which an answer might redirect
    kinds: tuple[type[web.BaseHandler], ...] = (web.ProxyHandler, web.HTTPHandler, web.HTTPSHandler)
    for kind in (*kinds, web.HTTPRedirectHandler, web.HTTPErrorProcessor, web.HTTPDefaultErrorHandler):
        opener.add_handler(kind())
    end = time.monotonic() + seconds
    received = b""
    try:
        with opener.open(web.Request(url, headers={"User-Agent": "harness"}), timeout=seconds) as answer:
            while piece := answer.read1(min(PIECE, largest + 1 - len(received))):
                received += piece
                if len(received) > largest:
                    raise HarnessError(f"its answer has more than {largest} bytes", where=url, remedy="try another")
                if time.monotonic() > end:
                    raise TimeoutError(f"it was not complete after {seconds:g} s")
            if answer.length:
                raise OSError(f"it ended {answer.length} bytes early")
    except (OSError, HTTPException, ValueError) as error:
        remedy = "try later, or get the file on another machine"
        raise HarnessError(f"it did not answer as it should: {error}", where=url, remedy=remedy) from error
    return received
