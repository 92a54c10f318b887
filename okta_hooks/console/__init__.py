"""The console: pages for people over what the inbox holds, and for what an operator does to it.

It reads what the parts of the inbox return, decides who may see what, and renders templates of its own.
No SQL lives here, no receiver is called, and nothing of a payload leaves unmasked but by a reveal that is audited.
"""

from .blueprint import Console

__all__ = ["Console"]
