"""The org at Okta, as the app sees it: its API, the hooks that are registered there, and its System Log.

What the receivers need is planned and registered here, and the log is read into the inbox or compared with it.
Nothing here prints, asks a person, reads a command line or simulates an org: those are of ``cli`` and ``simulator``.
"""
