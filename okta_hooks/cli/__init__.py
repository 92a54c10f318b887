"""``flask okta-hooks ...``: each command reads its options, calls one function of another folder, and prints.

Exit status: 0 fine, 1 failed or something is missing, 2 used wrongly; of ``plan`` 2 is out of step.
What is done lives elsewhere: nothing here is imported by another folder, decides, or talks to Okta or the database
by itself.
"""

from .commands import group

__all__ = ["group"]
