from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host


def test_what_was_acknowledged_is_handled(host: Host) -> None:
    """Processes die at random; each event of a 204 is handled, and only what was in hand runs twice.

    ``make chaos`` does it with many more.
    """
    chaos = host.chaos("--events=2000", "--seed=1", "--end-leases")

    status = chaos.await_end(300)

    chaos.read()
    assert status == 0, chaos.output
