"""``flask okta-hooks ...``: parse, call one function, print.

Exit status: 0 fine, 1 failed or something is missing, 2 used wrongly; of ``plan`` 2 is out of step.
"""

from . import backfill, doctor, inbox, receivers, reconcile, send, subscription, worker  # noqa: F401 - each adds its commands to the group
from .options import group

__all__ = ["group"]
