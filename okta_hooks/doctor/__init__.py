"""What commonly goes wrong with a hook: found out, said in words, each with its cure.

The checks are functions over plain values; only ``examination`` knows the app, only ``probes`` sends requests.
Nothing here mends anything, stores an event or runs a receiver, and no text holds a secret, a token, a header's value
or anything of a payload.
"""

from .check import LEVELS, Check
from .examination import examine

__all__ = ["LEVELS", "Check", "examine"]
