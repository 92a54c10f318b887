"""Why an event that was named is not replayed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.tables import CLAIMED, DEAD, DONE, PENDING

from .output import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from okta_hooks.inbox.overview import EventDetails, Overview, StoredReceipt
    from okta_hooks.inbox.selection import Selection

#: Of so many uuids it is told, each of which is looked up.
_MOST_UUIDS: Final = 20


class Obstacles:
    """What keeps each uuid of a selection from being replayed, if anything does.

    :param receiver: Whose receipt alone is to be reset, or None.
    """

    def __init__(self, overview: Overview, chosen: Selection, receiver: str | None) -> None:
        self._overview = overview
        self._chosen = chosen
        self._receiver = receiver
        #: A line for each uuid that is not replayed.
        self.lines = [line for uuid in chosen.uuids[:_MOST_UUIDS] for line in self._of(uuid)]

    def _of(self, uuid: str) -> list[str]:
        found = self._overview.show(uuid)
        if not found:
            return [f"There is no event {uuid!r}."]
        fitting = {one.id for one in self._overview.find(replace(self._chosen, uuids=(uuid,)))}
        lines = []
        for item in found:
            line = (
                self._obstacle(item)
                if item.event.id in fitting
                else f"{uuid} of the hook {item.event.hook} is not what the other options choose."
            )
            if line is None:
                return []
            lines.append(line)
        return lines

    def _obstacle(self, item: EventDetails) -> str | None:
        event = item.event
        if not event.has_body:
            return f"The body of {event.uuid} is gone: OKTA_HOOKS_RETENTION does not keep it."
        if event.state == PENDING:
            return f"{event.uuid} is still open: no worker has taken it up yet."
        if self._receiver is not None:
            return self._obstacle_of_receiver(item, self._receiver)
        if event.state == CLAIMED:
            return f"{event.uuid} is still open: {'; '.join(_open(item.receipts))}."
        return None

    def _obstacle_of_receiver(self, item: EventDetails, receiver: str) -> str | None:
        mine = [receipt for receipt in item.receipts if receipt.receiver == receiver]
        if not mine:
            return f"{item.event.uuid} did not go to {receiver}."
        if mine[0].state not in (DONE, DEAD):
            return f"{item.event.uuid} is still open: {'; '.join(_open(mine))}."
        return None


def _open(receipts: Iterable[StoredReceipt]) -> Iterator[str]:
    for receipt in receipts:
        if receipt.state == PENDING:
            yield f"{receipt.receiver} is due at {iso(receipt.due)}"
        elif receipt.state == CLAIMED:
            yield f"{receipt.receiver} has it in hand"
