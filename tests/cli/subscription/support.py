from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from okta_hooks.cli import group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.simulator import Simulator


TOKEN = "00a-token-nobody-may-see"
SECRET = "correct horse battery staple"
CREATE, DEACTIVATE = "user.lifecycle.create", "user.lifecycle.deactivate"


class World:
    """A simulated org, an app that is served, and the requests that the org has seen."""

    def __init__(
        self, simulator: Simulator, make_app: Callable[..., Flask], *hooks: EventHook
    ) -> None:
        self.simulator = simulator
        self.org = simulator.org
        self.make_app = make_app
        self.hooks = hooks
        self.url = ""
        self.app = self.configure()
        self.requests: list[str] = []

    def configure(self, **config: Any) -> Flask:
        """Make the app that the commands run in; the one that is served may be another."""
        defaults = {"SECRET": SECRET, "ORG_URL": self.org.url, "API_TOKEN": TOKEN}
        if self.url:
            defaults["URL"] = self.url
        self.app = self.make_app(*self.hooks, **(defaults | config))
        return self.app

    def run(self, *arguments: str, status: int = 0) -> Result:
        """Run a command that ends as it should, and gives no secret away."""
        result: Result = self.app.test_cli_runner().invoke(group, arguments)
        assert result.exit_code == status, result.output
        assert isinstance(result.exception, SystemExit | None)
        assert SECRET not in result.output
        assert TOKEN not in result.output
        return result

    def fail(self, *arguments: str) -> str:
        """Run a command that fails, and return its last line, the error."""
        return self.run(*arguments, status=1).stderr.splitlines()[-1]

    def asked(self) -> list[str]:
        """Return what the org was asked since the last time."""
        asked, self.requests[:] = list(self.requests), []
        return asked

    def create(self, *event_types: str, **changes: Any) -> str:
        """Create a hook as an administrator does by hand, verify it, and return its id."""
        config = {
            "uri": self.url,
            "authScheme": {"type": "HEADER", "key": "authorization", "value": SECRET},
        }
        made = self.org.create_hook(
            {
                "name": "Staff",
                "events": {"type": "EVENT_TYPE", "items": list(event_types)},
                "channel": {"type": "HTTP", "version": "1.0.0", "config": config},
                **changes,
            }
        )
        self.org.verify_hook(made["id"])
        return str(made["id"])


def write_host(folder: Path, first: str = "") -> None:
    (folder / "host.py").write_text(
        f"{first}\n"
        "from flask import Flask\n"
        "from okta_hooks import EventHook\n"
        "okta = EventHook('okta')\n"
        "okta.on('user.lifecycle.create', 'user.lifecycle.deactivate')(lambda *_, **__: None)\n"
        "app = Flask(__name__)\n"
        "app.config.from_prefixed_env()\n"
        "app.register_blueprint(okta)\n"
    )


def environment(org_url: str = "") -> dict[str, str]:
    return {
        **os.environ,
        "FLASK_OKTA_HOOKS_SECRET": SECRET,
        "FLASK_OKTA_HOOKS_ORG_URL": org_url,
        "FLASK_OKTA_HOOKS_API_TOKEN": TOKEN,
    }
