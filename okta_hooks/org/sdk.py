"""Requests to an org over the transport of Okta's own SDK, which brings configuration, authentication and HTTP.

The SDK is the extra ``okta``, and slow to import, so only :class:`~okta_hooks.org.client.OktaClient` imports this
module, when it is made.
https://github.com/okta/okta-sdk-python#configuration-reference
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import html
import logging
import os
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
from okta.cache.no_op_cache import NoOpCache
from okta.config.config_setter import ConfigSetter
from okta.config.config_validator import ConfigValidator
from okta.jwt import JWT
from okta.request_executor import RequestExecutor

from okta_hooks.exceptions import ConfigurationError, OktaUnavailable
from okta_hooks.secret import frameless, revealed

from . import credentials, network
from .urls import origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from okta_hooks.settings import Settings

_SDK_LOGGER: Final = "okta-sdk-python"
_TIMEOUT_SECONDS: Final = 60
_LOWEST_REFUSAL: Final = 300

#: Whether the SDK's log is muted: it writes requests with their token into it.
_is_muted: contextvars.ContextVar[bool] = contextvars.ContextVar("okta_hooks_muted", default=False)


def _is_not_muted(_: logging.LogRecord) -> bool:
    return not _is_muted.get()


class Response(NamedTuple):
    """What the org answered; ``next_url`` is where a list goes on."""

    status: int
    headers: Mapping[str, str]
    next_url: str | None
    text: str


class Transport:
    """Sends requests to one org, from one thread.

    :param settings: As for :class:`~okta_hooks.org.client.OktaClient`.
    :raises ConfigurationError: if the SDK cannot be configured like that.
    """

    def __init__(self, settings: Settings) -> None:
        self._executor, self.configured_url, self.credentials, self._proxy = _executor(settings)
        self.url = origin(self.configured_url)
        self._certificates = network.certificates()
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Close the event loop. Nothing can be sent after that."""
        self._runner.close()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        """Send a request, and return the answer, whatever its status.

        A service app is given a token first. If it is not, the answer to that is the one that is returned.

        :raises OktaUnavailable: if there is none.
        """

        async def send() -> Any:
            _is_muted.set(True)
            async with _session(self._certificates) as session:
                asked = _NoRedirects(session)
                client = self._executor._http_client  # noqa: SLF001 - nothing public takes a session
                client.set_session(asked)
                request, error = await self._executor.create_request(
                    method, path, revealed(body), keep_empty_params=True
                )
                if error is not None:
                    refused = asked.answer
                    if refused is None or refused.status < _LOWEST_REFUSAL:
                        return None, None, error
                    # The SDK's error has no headers: they say when to come back, or where a redirect points.
                    return refused, await refused.text(), None
                _, response, text, error = await self._executor.fire_request(request)
                return response, text, error

        return self._read(send())

    @frameless
    def _read(self, sending: Coroutine[Any, Any, Any]) -> Response:
        try:
            response, text, error = self._runner.run(sending, context=contextvars.copy_context())
        except Exception as failure:  # noqa: BLE001 - the SDK's text may quote headers, whatever it raises
            raise OktaUnavailable(
                f"{self.url} cannot be asked: Okta's SDK failed with {type(failure).__name__}. "
                "Is what answers there an Okta org, and is the SDK one that this version is made for "
                "(pip install 'okta-hooks[okta]')?"
            ) from None
        if response is None or text is None:
            raise OktaUnavailable(self._reason(error))
        try:
            following = response.links.get("next", {}).get("url")
        except ValueError:
            raise OktaUnavailable(
                f"{self.url} continues its answer at what is no URL: does something before it change its links?",
                is_transient=False,
            ) from None
        return Response(response.status, response.headers, following and str(following), text)

    def _reason(self, error: BaseException | None) -> str:
        """Return in words why there is no answer, and what to do."""
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return network.refused_by_proxy(self.url, error.status, self._proxy)
        if isinstance(error, TimeoutError):
            return f"{self.url} did not answer within {_TIMEOUT_SECONDS} s. {self._proxy.connection_cure}"
        cure = "Is it the URL of an Okta org?"
        is_unknown = isinstance(error, aiohttp.ClientConnectorDNSError)
        if isinstance(error, aiohttp.ClientProxyConnectionError) or (
            # With a proxy its name is the only one that is looked up here.
            is_unknown and self._proxy.url is not None
        ):
            cure = self._proxy.cure
        elif isinstance(error, aiohttp.ClientConnectorCertificateError):
            cure = network.certificate_cure(error.certificate_error)
        elif isinstance(error, ssl.SSLCertVerificationError):
            cure = network.certificate_cure(error)
        elif is_unknown or _is_refused(error):
            # Nothing listens at a port that is mistyped.
            part = "" if is_unknown else ", its port included"
            cure = f"Is {self.credentials.url_from} spelt right{part}? {network.CONNECTION_CURE}"
        elif isinstance(error, aiohttp.ClientError):
            cure = self._proxy.connection_cure
        return f"{self.url} cannot be reached: {_what_happened(error)}. {cure}"


class _NoRedirects:
    """A session that follows no redirect: what is sent holds the token, and the secret of a hook.

    ``answer`` is the one to the last request, or None if there was none.

    The SDK asks its session for requests only, and passes no such option on.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.answer: aiohttp.ClientResponse | None = None

    @contextlib.asynccontextmanager
    async def request(self, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        self.answer = None
        async with self._session.request(**options, allow_redirects=False) as answer:
            # Read here, while it is open: who asks again for its text gets it.
            await answer.read()
            self.answer = answer
            yield answer


def _session(certificates: ssl.SSLContext) -> aiohttp.ClientSession:
    # No connection is kept: the org closes those that are idle, and a PUT must not meet that.
    connector = aiohttp.TCPConnector(ssl=certificates, force_close=True)
    return aiohttp.ClientSession(connector=connector)


@frameless
def _executor(
    settings: Settings,
) -> tuple[Any, str, credentials.Credentials, network.Proxy]:
    """Return the SDK's transport, configured, with the org's URL as it was spelt, and what it goes there by."""
    logging.getLogger(_SDK_LOGGER).addFilter(_is_not_muted)
    setter = ConfigSetter()
    config = setter._prune_config(setter.get_config())  # noqa: SLF001 - as the SDK's client does
    client = config["client"]
    url = str(settings.org_url or client.get("orgUrl", "")).strip().rstrip("/")
    client["orgUrl"] = url
    if settings.api_token is not None:
        client["token"] = settings.api_token.reveal()
        if client["authorizationMode"] == "PrivateKey":
            client["authorizationMode"] = "SSWS"
    credentials.check(settings, client)
    client["orgUrl"] = origin(url)
    proxy = network.proxy_of_sdk(client.get("proxy")) or network.find_proxy(client["orgUrl"])
    client["rateLimit"] = {"maxRetries": 0}  # it would wait in silence
    client["requestTimeout"] = _TIMEOUT_SECONDS
    config["testing"] = {"testingDisableHttpsCheck": True}  # checked above, but for a simulated org
    try:
        ConfigValidator(config)
        executor = RequestExecutor(config, NoOpCache())
        if not client.get("proxy"):
            # It knows no NO_PROXY, and none of the names in lower case.
            executor._http_client._proxy = proxy.url  # noqa: SLF001 - see above
    except Exception as error:  # noqa: BLE001 - its own checks, in its own words
        raise ConfigurationError(
            f"Okta's SDK cannot be configured like that: {_one_line(error)}"
        ) from None
    if client["authorizationMode"] == "PrivateKey":
        try:
            JWT.get_PEM_JWK(client["privateKey"])
        except Exception:  # noqa: BLE001 - whatever it is, its text may quote the key
            raise ConfigurationError(
                "OKTA_CLIENT_PRIVATEKEY cannot be read: it must be an RSA private key, as PEM with its line breaks, "
                "as a JWK, or as the path of a PEM file."
            ) from None
    return executor, url, credentials.used(settings, client), proxy


def _is_refused(error: BaseException | None) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError) and error.errno == errno.ECONNREFUSED


def _what_happened(error: BaseException | None) -> str:
    """Return an error of the connection as the system has it: aiohttp's text tells of TLS also where there is none."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return _one_line(error)
    reason = error.strerror
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = str(error.certificate_error)
    elif error.errno is not None and error.errno in errno.errorcode:
        reason = os.strerror(error.errno)
    return _one_line(f"Cannot connect to host {error.host}:{error.port}: {reason}")


def _one_line(error: BaseException | str | None) -> str:
    return " ".join(html.unescape(str(error)).split()) or type(error).__name__
