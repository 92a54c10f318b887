"""The log's versions of events that hooks delivered otherwise: which of them are stored, and what people are told."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from okta_hooks.inbox.contradictions import Match
from okta_hooks.inbox.intake import NewDelivery, Stored, incoming
from okta_hooks.inbox.tables import log_key
from okta_hooks.wire.events import Delivery, Envelope

from .log import TIME_FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from okta_hooks.inbox.contradictions import Contradictions

#: What is to be stored of a page for a hook, and what the inbox has of its events, by their places.
Compared: TypeAlias = "tuple[NewDelivery, Mapping[int, Match]]"

#: People edit a preview now and then. More than this, in number and as a share, most likely has another reason.
_MOST_DIFFERENT: Final = 5
_MOST_DIFFERENT_SHARE: Final = 0.05
#: How many of the events that were compared before count, too: the pages of a backfill that follows the log are small.
_RECENT: Final = 100
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPage:
    """What one hook is to have of a page of the log.

    ``matches`` is what the inbox has of its events, by their places, as far as that is known; ``versions`` are the
    places of those that are stored under :func:`.log_key`, because a hook delivered another event under their uuid.
    """

    new: NewDelivery
    events: Sequence[Any]
    matches: Mapping[int, Match]
    versions: frozenset[int] = frozenset()

    @classmethod
    def of(cls, hook: str, events: Sequence[Any], received: Delivery) -> Self:
        """Return what is to be stored of some events of the log."""
        text = json.dumps({"data": {"events": events}}, separators=(",", ":"))
        new = incoming(hook, Envelope(events=tuple(events), text=text), received)
        return cls(new=new, events=events, matches={})

    def with_log_keys(self, matches: Mapping[int, Match], versions: Iterable[int]) -> Self:
        """Return the same, with another key for what was stored, or is to be stored, as the log's version."""
        made = frozenset(versions)
        events = tuple(
            item._replace(key=log_key(item.key))
            if place in made or matches.get(place) is Match.UNDER_LOG_KEY
            else item
            for place, item in enumerate(self.new.events)
        )
        new = replace(self.new, events=events)
        return replace(self, new=new, matches=matches, versions=made)

    def reduced_to_versions(self) -> Self:
        """Return the same without what is not stored under another key."""
        reduced = self._reduced(self.versions)
        return reduced.with_log_keys({}, range(len(reduced.events)))

    def late(self, stored: Stored) -> Self | None:
        """Return what a hook delivered after it was compared, and before it was stored; None if there is nothing."""
        places = set(stored.duplicate_places).difference(self.matches)
        return self._reduced(places) if places else None

    def _reduced(self, places: Collection[int]) -> Self:
        events = [self.events[place] for place in sorted(places)]
        return self.of(self.new.hook, events, self.new.delivery)


class DifferenceLimit:
    """Notices when so many events differ from what hooks delivered that edited previews are hardly the reason.

    Then storing the log's versions may have receivers run twice for everything.
    """

    def __init__(self) -> None:
        self._recent: deque[Match] = deque(maxlen=_RECENT)

    def warning(self, pages: Sequence[Compared]) -> str | None:
        """Return what people are to be told if too many differ of these and of those that were noted last, or None."""
        new = _comparable(pages)
        if Match.DIFFERENT not in new:
            return None
        compared = [*self._recent, *new]
        different = compared.count(Match.DIFFERENT)
        if different <= max(_MOST_DIFFERENT, _MOST_DIFFERENT_SHARE * len(compared)):
            return None
        return (
            f"{different} of {len(compared)} events differ from what hooks delivered. If somebody has sent so many "
            f"edited previews, flask okta-hooks backfill --since {_begin(pages)} --store-differing stores the log's "
            "versions beside them; if not, report it."
        )

    def note(self, pages: Sequence[Compared]) -> None:
        """Remember what was compared."""
        self._recent.extend(_comparable(pages))


def _comparable(pages: Sequence[Compared]) -> list[Match]:
    matches = (match for _, found in pages for match in found.values())
    return [match for match in matches if match in {Match.SAME, Match.DIFFERENT}]


def _begin(pages: Sequence[Compared]) -> str:
    """Return the time from which the log has to be read for all that differ."""
    times = [new.events[place].published for new, found in pages for place in _different(found)]
    known = [published for published in times if published is not None]
    return f"{datetime.fromtimestamp(min(known), UTC):{TIME_FORMAT}}" if known else "TIME"


class LogVersions:
    """Chooses which events of a page are stored though something is stored under their uuid.

    :param tell: Is called with a line for a person.
    :param is_limited: Whether none is stored while too many differ.
    """

    def __init__(
        self,
        contradictions: Contradictions,
        tell: Callable[[str], Any],
        *,
        is_limited: bool = True,
    ) -> None:
        self._contradictions = contradictions
        self._tell = tell
        self._is_limited = is_limited
        self._limit = DifferenceLimit()

    def choose(self, pages: Sequence[HookPage]) -> list[HookPage]:
        """Compare what the hooks are to have of a page with what is stored, and return how that is to be stored.

        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        compared = [
            (page.new, self._contradictions.compare(page.new, page.events)) for page in pages
        ]
        is_held_back = self._warning(compared) is not None
        return [
            page.with_log_keys(found, () if is_held_back else _different(found))
            for page, (_, found) in zip(pages, compared, strict=True)
        ]

    def note(self, pages: Sequence[HookPage]) -> None:
        """Remember what was compared of a page, once it is stored, and tell people if too much of it differs."""
        compared = [(page.new, page.matches) for page in pages]
        if warning := self._warning(compared):
            self._tell(f"{warning} Until then they are not stored, and count as duplicates.")
        self._limit.note(compared)

    def _warning(self, compared: Sequence[Compared]) -> str | None:
        return self._limit.warning(compared) if self._is_limited else None

    def announce(self, page: HookPage, stored: Stored) -> int:
        """Tell people which of the log's versions are new, and return how many."""
        places = sorted(page.versions.difference(stored.duplicate_places))
        if places:
            uuids = [str(page.events[place]["uuid"]) for place in places[:_MOST_NAMED]]
            more = ", ..." if len(places) > _MOST_NAMED else ""
            differ = f"{len(places)} events of the log differ"
            whose, are = "their", "are"
            if len(places) == 1:
                differ, whose, are = "1 event of the log differs", "its", "is"
            self._tell(
                f"{differ} from what is stored under {whose} uuid for the hook "
                f"{page.new.hook!r}, and {are} stored beside it: {', '.join(uuids)}{more}. "
                "flask okta-hooks events show '<uuid>~log' shows the log's, events show <uuid> also what a hook "
                "delivered; if nobody sent an edited preview, report it."
            )
        return len(places)


def _different(matches: Mapping[int, Match]) -> list[int]:
    return [place for place, match in matches.items() if match is Match.DIFFERENT]
