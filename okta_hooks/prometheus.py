"""The inbox for Prometheus: a collector for a registry of the host's. It needs the extra ``prometheus``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.registry import Collector

from .exceptions import InboxUnavailable
from .logs import get_logger
from .metrics import Metrics, families
from .outage import Lines, Outage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from prometheus_client import Metric

__all__ = ["InboxCollector"]

logger = get_logger(__name__)

_LINES: Final = Lines(
    begins="The inbox could not be read for a scrape, which has no metrics of it: %(error)s",
    goes_on="Scrapes have had no metrics of the inbox for %(seconds).0f s now, %(count)d of them. "
    "The last: %(error)s",
    ends="Scrapes have metrics of the inbox again, after %(seconds).0f s in which %(count)d had none.",
)


class InboxCollector(Collector):
    """Collects the metrics of an app's inbox, which are read from the database at each scrape.

    So every process says the same, whichever is scraped: ``REGISTRY.register(InboxCollector(app))``.
    A database that does not answer costs a scrape less than a second. It has no metrics of the inbox then, and the
    log says why; those of other collectors are not touched.

    :param app: The app, in which at least one hook has to be registered by the first scrape.
    """

    def __init__(self, app: Flask) -> None:
        self._metrics = Metrics(app)
        self._outage = Outage(logger, _LINES)

    def describe(self) -> Iterator[Metric]:
        """Return the families without samples: a registry looks for names that are taken."""
        return families(None)

    def collect(self) -> Iterator[Metric]:
        """Read the inbox, and return its metrics."""
        try:
            figures = self._metrics.figures()
        except InboxUnavailable as error:
            self._outage.failed(error)
            return
        self._outage.worked()
        if figures is not None:
            yield from families(figures)
