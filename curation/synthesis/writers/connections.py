"""Connections to a provider that many questions share: each has one of its own while it is asked."""

import ssl
from urllib.request import getproxies, proxy_bypass

import httpx

CONNECT_S = 15.0
KEPT_S = 60.0


class Lanes(httpx.AsyncBaseTransport):
    """As many connections as questions are in flight, kept open for the next ones.

    httpx's own pool looks through all its connections, several times, whenever a question begins or ends: with 64 in flight that is most of the
    time that a question takes. Here each lane is a pool of one.
    """

    def __init__(self, address: str) -> None:
        """address: the base URL; it decides which proxy of the environment is used."""
        url = httpx.URL(address)
        proxies = {} if proxy_bypass(url.host) else getproxies()
        self._proxy = proxies.get(url.scheme) or proxies.get("all")
        self._tls: ssl.SSLContext | bool = httpx.create_ssl_context() if url.scheme == "https" or self._proxy else False  # it takes 20 ms to make
        self._free: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole reply, read to its end, so that its lane is free again."""
        lane = self._free.pop() if self._free else self._lane()
        try:
            response = await lane.handle_async_request(request)
            await response.aread()
            return response
        finally:
            self._free.append(lane)  # a connection that broke or was given up is closed by then, and made anew

    async def aclose(self) -> None:
        """Close all connections."""
        while self._free:
            await self._free.pop().aclose()

    def _lane(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._tls, proxy=self._proxy, limits=httpx.Limits(max_connections=1, keepalive_expiry=KEPT_S))


def client_to(address: str, answer_s: float, key: str = "") -> httpx.AsyncClient:
    """Return a client for a provider at this base URL; `key` is sent with every request."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(answer_s, connect=min(CONNECT_S, answer_s), pool=None)
    return httpx.AsyncClient(transport=Lanes(address), headers=headers, timeout=timeout, trust_env=False)
