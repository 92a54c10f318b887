"""All checks of one hook of an app, in the order in which they are of use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from okta_hooks import testing
from okta_hooks.calling import HttpSender, app_sender
from okta_hooks.database_url import scheme
from okta_hooks.exceptions import (
    ConfigurationError,
    InboxUnavailable,
    OktaRefused,
    OktaUnavailable,
    SubscriptionImpossible,
    as_sentence,
)
from okta_hooks.logs import plain_logger
from okta_hooks.org import lookup, subscription
from okta_hooks.org.client import OktaClient
from okta_hooks.org.credentials import OrgNotConfigured
from okta_hooks.org.ownership import Ownership, configured_url, ownership_of
from okta_hooks.org.refusals import cure
from okta_hooks.settings import CELERY
from okta_hooks.state import platform
from okta_hooks.state.engine import load
from okta_hooks.wire.protocol import path_of
from okta_hooks.work.retry import LONGEST_WAIT

from . import answers, configuration, engine, host, probes, registration, storage, vacuum
from .check import failure, skipped
from .refusals import Expected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.state import AppState, Reconfigured

    from .check import Check

logger = plain_logger(__name__)

#: So many receivers are named; `flask okta-hooks receivers` lists all.
_MOST_FAILING: Final = 3
_PLAN: Final = "flask okta-hooks plan compares the whole of it."


def examine(
    app: Flask,
    state: AppState,
    hook: str,
    *,
    url: str | None = None,
    name: str | None = None,
    offline: bool = False,
) -> Iterator[Check]:
    """Look at everything that commonly goes wrong with a hook, and yield what was seen, as it is seen.

    Nothing is raised, no receiver runs, and nothing is stored.

    :param hook: The hook's name.
    :param url: What is to be asked; by default what Okta posts to, if the app has an API token, and ``name`` or
        ``OKTA_HOOKS_URL`` says which hook is meant; else ``OKTA_HOOKS_URL``.
    :param name: What the hook is called at Okta; by default it is found by the URL, else by ``OKTA_HOOKS_URL`` or
        by what it has delivered.
    :param offline: Ask neither Okta nor the URL.
    """
    examination = _Examination(app, state, hook, url=url, name=name)
    yield from examination.guarded("secret", examination.configuration)
    yield from examination.guarded("receivers", examination.receivers)
    if not offline:
        yield from examination.guarded("registration", examination.registration)
    yield from examination.guarded("host", examination.host)
    if not offline:
        yield from examination.guarded("url", examination.endpoint)
    yield from examination.guarded(engine.NAME, examination.engine)
    # Last: an app that has just been started makes its inbox when it is asked the first time.
    yield from examination.guarded("inbox", examination.inbox)


class _Examination:
    def __init__(
        self, app: Flask, state: AppState, hook: str, *, url: str | None, name: str | None
    ) -> None:
        self._app = app
        self._state = state
        self._hook = hook
        self._url = url
        self._name = name
        #: Where a hook delivers to that only its deliveries show to be the app's: it is not sent the secret.
        self._unproved: RegisteredHook | None = None
        self._path: str | None = None
        self._no_path = ""
        self._receivers = state.hooks[hook].receivers
        self._connected = self._receivers.connected(app)
        self._names = [receiver.name for receiver in self._connected]
        self._secrets = [each.reveal() for each in state.secrets[hook]]
        self._own = Ownership(url=configured_url(state, hook))

    def guarded(self, name: str, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
        """Yield what checks find, and go on after one that fails itself."""
        try:
            yield from checks()
        except Exception as error:
            logger.debug("The check %(check)s failed.", {"check": name}, exc_info=True)
            yield failure(
                name,
                f"This could not be checked to its end: {type(error).__name__}.",
                "Logging at DEBUG has the traceback. It is a bug: please report it.",
            )

    def configuration(self) -> Iterator[Check]:
        settings = self._state.settings
        yield from configuration.secrets(
            self._secrets, allow_unauthenticated=settings.allow_unauthenticated
        )
        yield from configuration.auth_header(settings.auth_header)
        yield from configuration.limits(settings.max_body)
        yield from configuration.platform(platform.unfit(settings))

    def receivers(self) -> Iterator[Check]:
        patterns = {
            receiver.name: self._receivers.patterns_of(receiver, self._app)
            for receiver in self._connected
        }
        yield from configuration.receivers(patterns, is_external=self._is_external())
        yield from configuration.signatures(self._connected)

    def _is_external(self) -> bool:
        return self._state.settings.worker == "external"

    def engine(self) -> Iterator[Check]:
        """Look at the task queue, if there is one. It is no network of Okta's: it is asked offline, too."""
        settings = self._state.settings
        found = load(settings)
        if found is not None:
            report = found.examine(self._app, self._hook, self._connected)
            yield from engine.checks(
                report,
                is_sqlite=settings.inbox is not None and scheme(settings.inbox) == "sqlite",
            )

    def inbox(self) -> Iterator[Check]:
        has_inbox = self._state.settings.inbox is not None
        yield from configuration.mode(has_inbox=has_inbox)
        if not has_inbox:
            return
        try:
            inbox = self._state.runtime().inbox
        except InboxUnavailable as error:
            yield failure(
                "inbox", f"It cannot be used: {error.reason}.", "Correct OKTA_HOOKS_INBOX."
            )
            return
        path = inbox.path
        if path is not None:
            yield from storage.location(path)
            if not path.exists():
                return
        database = storage.database(inbox)
        yield database
        if database.level == "ok":
            try:
                yield from self._stored(inbox)
            finally:
                inbox.close()

    def _stored(self, inbox: Inbox) -> Iterator[Check]:
        now = inbox.clock()
        lanes = [lane for lane in inbox.overview.receivers() if lane.hook == self._hook]
        counts = inbox.overview.counts()
        living = inbox.workers.living()
        if self._state.settings.worker == CELERY:
            yield from engine.relays(living, lanes, self._names, now)
        else:
            yield from storage.worker(lanes, self._names, now, is_external=self._is_external())
        yield from engine.clocks(living)
        yield from storage.orphans(lanes, self._names, now)
        paused = inbox.pauses.paused()
        if paused:
            counts = replace(counts, oldest_pending_seconds=inbox.overview.backlog_seconds())
        yield from storage.backlog(counts, inbox.receipts.failing(limit=_MOST_FAILING), now)
        yield from storage.pauses([one for one in paused if one.hook == self._hook], now)
        yield from storage.dead_letters(counts)
        yield from storage.consistency(
            inbox.consistency.check(list(self._state.hooks), longest_wait=LONGEST_WAIT)
        )
        yield from self._vacuum(inbox)
        live = len(self._secrets)
        if live > 1:
            used = inbox.hours.secret_use(
                self._hook,
                self._state.secret_lists[self._hook],
                ignoring=testing.SAMPLE_SOURCE,
            )
            yield from storage.rotation(used, live, now)

    def _vacuum(self, inbox: Inbox) -> Iterator[Check]:
        try:
            report = inbox.vacuum.report(older_than=vacuum.LONG)
        except InboxUnavailable as error:
            yield skipped(vacuum.NAME, f"The server does not say how it is: {error.reason}.")
            return
        if report is not None:
            yield from vacuum.checks(report)

    def registration(self) -> Iterator[Check]:
        """Ask Okta for the hook; if no URL is given, the one that Okta has is asked afterwards."""
        name = registration.NAME
        try:
            with OktaClient(self._state.settings) as client:
                registered = client.hooks()
        except OrgNotConfigured:
            yield skipped(
                name,
                "Okta is not asked.",
                "Set OKTA_HOOKS_ORG_URL and OKTA_HOOKS_API_TOKEN, or configure Okta's SDK.",
            )
            return
        except ConfigurationError as error:
            yield failure(name, f"Okta cannot be asked: {as_sentence(error)}", _PLAN)
            return
        except OktaUnavailable as error:
            yield failure(
                name,
                f"Okta cannot be asked: {as_sentence(error)}",
                "See that OKTA_HOOKS_ORG_URL is right, and that this host may call it.",
            )
            return
        except OktaRefused as error:
            advice = cure(error, ("okta.eventHooks.read",), client.credentials)
            yield failure(
                name,
                f"Okta cannot be asked: {as_sentence(error)}",
                advice.strip() or _PLAN,
            )
            return
        try:
            yield from self._compared(registered)
        except SubscriptionImpossible as error:
            yield failure(name, as_sentence(error), _PLAN)

    def _compared(self, registered: Sequence[RegisteredHook]) -> Iterator[Check]:
        path, asked = self._own_path(), self._url
        self._own = ownership_of(self._state, self._hook)
        live = lookup.the_one(self._found(registered), name=self._name)
        if live is None and self._name is None and self._own.url is None:
            candidates = lookup.find(registered, path=path)
            if candidates:
                yield registration.unknown(candidates)
                return
        if live is None:
            url = asked or self._own.url
            yield from registration.missing(name=self._name, url=url, path=path)
            return
        if asked is None and self._name is None and not self._own.is_configured(live):
            self._unproved = live
        else:
            self._url = asked or live.url
        if not self._connected:
            yield skipped(registration.NAME, "Without receivers there is nothing to compare with.")
            return
        plan = subscription.plan(
            subscription.demand(self._receivers, self._app),
            live,
            name=live.name or self._hook,
            url=None,
            auth_header=self._state.settings.auth_header if self._secrets else None,
        )
        yield from registration.checks(plan, live, path, asked)

    def _found(self, registered: Sequence[RegisteredHook]) -> list[RegisteredHook]:
        """Return the hooks that are meant. The URL that is asked need not be Okta's: it may go around the proxy.

        A hook of which only the path is the app's own may be another app's: the secret is not for its URL.
        """
        if self._name is not None:
            return lookup.find(registered, name=self._name)
        at_url = lookup.find(registered, url=self._url) if self._url else []
        return at_url or self._own.of(registered)

    def _own_path(self) -> str | None:
        """Return the path of the hook in the app, or None if the app has no such URL."""
        if self._path is None:
            try:
                self._path = path_of(self._state.url_of(self._hook))
            except RuntimeError as error:
                self._no_path = str(error)
        return self._path

    def host(self) -> Iterator[Check]:
        path = self._own_path()
        if path is None:
            yield skipped("host", self._no_path, "Ask with --url.")
            return
        config = self._app.config
        posts_to = self._unproved.url if self._unproved else self._url
        url = f"https://{host.name_of(posts_to, config)}{path}"
        most = self._state.settings.max_body
        size = max(probes.LARGE, (config.get("MAX_CONTENT_LENGTH") or 0) + 1)
        with self._nothing_stored(), host.rate_limits(self._app) as limits:
            found = probes.ask_app(
                app_sender(self._app),
                url,
                header=self._state.settings.auth_header,
                live=self._secrets,
                large=min(size, most),
            )
        yield from host.checks(
            found,
            self._expected(url),
            config=config,
            has_csrf="csrf" in self._app.extensions,
            limits=limits,
        )

    def _expected(self, url: str) -> Expected:
        return Expected(
            url=url,
            header=self._state.settings.auth_header,
            path=self._own_path(),
        )

    def _nothing_stored(self) -> Reconfigured:
        """Let the app answer without opening its inbox or starting its worker."""
        return self._state.configure(inbox=None, worker="external")

    def endpoint(self) -> Iterator[Check]:
        if self._url is None and self._name is None:
            self._url = self._own.url
        if self._url is None and self._unproved is not None:
            yield registration.not_asked(self._unproved)
            return
        if self._url is None:
            yield skipped(
                "url",
                "Nothing was asked over the network.",
                "Say where Okta posts to: --url https://..., or OKTA_HOOKS_URL.",
            )
            return
        expected = self._expected(self._url)
        found = list(answers.url(expected))
        yield from found
        if any(check.level == "failure" for check in found):
            return
        yield from answers.checks(
            probes.ask(
                HttpSender(probes.PROBE_TIMEOUT),
                self._url,
                header=expected.header,
                live=self._secrets,
            ),
            expected,
        )
