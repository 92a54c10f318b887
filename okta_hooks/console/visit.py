"""One look at one page: by whom, at which hooks of which app, and through which door the inbox is read."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from okta_hooks.state import app_object

from .reads import SECONDS_TO_ACT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.receivers import Receiver
    from okta_hooks.state import AppState

    from .org import Org
    from .reads import Reads
    from .visitor import Visitor

T = TypeVar("T")

_NOTHING_STORED: Final = (
    "OKTA_HOOKS_INBOX is None: events go to receivers at once, and nothing is stored."
)


class NotThere(Exception):
    """What was asked for is not there, or is no longer."""


class NotAllowed(Exception):
    """Whoever looks may not do that."""


class NoInbox(Exception):
    """The app stores nothing, so that there is nothing to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What the functions that make pages are given.

    ``only`` are the hooks that the console is about, empty for all of the app's; ``section`` is where in the
    navigation the page belongs; ``asked_hook`` is the hook that is asked for, whether there is one of that name or not;
    ``reason`` is why something is done, if that is said.
    """

    app: Flask
    state: AppState
    only: tuple[str, ...]
    visitor: Visitor
    reads: Reads
    org: Org
    section: str
    asked_hook: str | None
    reason: str | None

    @property
    def hooks(self) -> list[str]:
        """The names of the hooks that may be looked at."""
        return [name for name in self.state.hooks if not self.only or name in self.only]

    @property
    def hook(self) -> str | None:
        """The hook that is looked at alone; None if all are.

        :raises NotThere: if no hook of that name may be looked at.
        """
        if not self.asked_hook:
            return None
        if self.asked_hook not in self.hooks:
            raise NotThere("There is no such hook.")
        return self.asked_hook

    @property
    def scope(self) -> str | None:
        """The hook that links of the page keep to; None for all."""
        try:
            return self.hook
        except NotThere:
            return None

    @property
    def shown_hooks(self) -> list[str]:
        """The names of the hooks that this page is about."""
        return self.hooks if self.hook is None else [self.hook]

    def one_hook(self, inbox: Inbox) -> str | None:
        """Return the hook to which a list keeps that can be of one or of all; None if all in the inbox may be seen."""
        if self.hook is not None or not self.hooks:
            return self.hook
        others = set(inbox.overview.hooks()) - set(self.hooks)
        return self.hooks[0] if others else None

    def connected(self) -> dict[tuple[str, str], Receiver]:
        """Return the receivers that are connected in this process, by hook and name."""
        return {
            (name, receiver.name): receiver
            for name in self.shown_hooks
            for receiver in self.state.hooks[name].receivers.connected(self.app)
        }

    def read(self, question: Callable[[Inbox], T]) -> T:
        """Return what a question returns of the inbox.

        :raises InboxUnavailable: if the database does not answer in time.
        :raises NoInbox: if there is none.
        """
        if self.state.settings.inbox is None:
            raise NoInbox(_NOTHING_STORED)
        return self.reads.ask(self.state.runtime().inbox, question)

    @contextmanager
    def acting(self) -> Iterator[Inbox]:
        """Change something in the inbox within the block, in this thread: handlers of signals are called.

        :raises InboxUnavailable: if the database does not do it in time.
        :raises NoInbox: if there is none.
        """
        if self.state.settings.inbox is None:
            raise NoInbox(_NOTHING_STORED)
        inbox = self.state.runtime().inbox
        # Handlers of signals may need the context of the app that they are connected for.
        context = nullcontext() if app_object() is self.app else self.app.app_context()
        with inbox.database.within(SECONDS_TO_ACT), context:
            yield inbox

    @property
    def who(self) -> str:
        """Who this is, for the audit."""
        return self.visitor.name or "(no name)"

    def must_operate(self) -> None:
        """Go on only if whoever looks may act.

        :raises NotAllowed: if not.
        """
        if not self.visitor.may_operate:
            raise NotAllowed('This needs the role "operate", and you have "read".')
