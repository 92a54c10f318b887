"""The group ``flask okta-hooks``: which commands it has, and where each is."""

from __future__ import annotations

from .lazy import LazyCommand, LazyGroup

group = LazyGroup(
    "okta-hooks",
    help="Receive Okta event hooks: the inbox, its worker, the registration.",
    lazy={
        "apply": LazyCommand(
            "okta_hooks.cli.subscription",
            "apply",
            "Bring the hook at Okta in step, after asking.",
        ),
        "audit": LazyCommand(
            "okta_hooks.cli.auditing",
            "audit",
            "Tell who has done what to the inbox, and why.",
        ),
        "backfill": LazyCommand(
            "okta_hooks.cli.backfill",
            "backfill",
            "Read Okta's System Log, and store what has not arrived.",
        ),
        "console": LazyCommand(
            "okta_hooks.cli.console",
            "console",
            "Serve the console on this host alone, to one browser.",
        ),
        "doctor": LazyCommand(
            "okta_hooks.cli.doctor",
            "doctor",
            "Find out what is wrong, and say what to do about it.",
        ),
        "events": LazyCommand("okta_hooks.cli.events", "events", "Look at stored events."),
        "inbox": LazyCommand(
            "okta_hooks.cli.inbox",
            "inbox",
            "Count events by state, and tell how old the oldest open one is.",
        ),
        "init-db": LazyCommand(
            "okta_hooks.cli.inbox",
            "init_db",
            "Create the inbox's tables, or what is missing of them.",
        ),
        "pause": LazyCommand(
            "okta_hooks.cli.pauses",
            "pause",
            "Give a receiver no more events until it is resumed.",
        ),
        "plan": LazyCommand(
            "okta_hooks.cli.subscription", "plan", "Show where the hook at Okta is out of step."
        ),
        "prune": LazyCommand(
            "okta_hooks.cli.inbox", "prune", "Forget what OKTA_HOOKS_RETENTION does not keep."
        ),
        "receivers": LazyCommand(
            "okta_hooks.cli.receivers",
            "receivers",
            "List the connected receivers, and what the inbox knows of each.",
        ),
        "reconcile": LazyCommand(
            "okta_hooks.cli.reconcile",
            "reconcile",
            "Compare what Okta meant for a hook with what has arrived.",
        ),
        "relay": LazyCommand(
            "okta_hooks.cli.relay",
            "relay",
            "Give what is due to Celery, until SIGTERM or SIGINT.",
        ),
        "replay": LazyCommand(
            "okta_hooks.cli.inbox", "replay", "Send done or dead events to their receivers again."
        ),
        "resume": LazyCommand(
            "okta_hooks.cli.pauses", "resume", "Let a receiver that was paused go on."
        ),
        "send": LazyCommand(
            "okta_hooks.cli.send",
            "send",
            "Send a sample delivery, and tell what the answer means.",
        ),
        "verify": LazyCommand(
            "okta_hooks.cli.subscription", "verify", "Let Okta verify the URL of the hook."
        ),
        "worker": LazyCommand(
            "okta_hooks.cli.worker",
            "worker",
            "Hand stored events to the receivers, until SIGTERM or SIGINT.",
        ),
    },
)
