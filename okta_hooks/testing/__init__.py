"""Sample events and deliveries, for tests and for trying things out.

Everything in them is invented, in the shape that Okta sends: actor, targets and debug data are those of the
event type's family. Names are at ``example.com``; addresses are from the ranges set aside for documentation.
Nothing here knows Flask, the inbox, or the classes that events are read into.
"""

from .entities import make_id
from .samples import (
    SAMPLE_SOURCE,
    make_delivery,
    make_event,
    make_uuid,
    sample_event,
    warn_if_unknown,
)

__all__ = [
    "SAMPLE_SOURCE",
    "make_delivery",
    "make_event",
    "make_id",
    "make_uuid",
    "sample_event",
    "warn_if_unknown",
]
