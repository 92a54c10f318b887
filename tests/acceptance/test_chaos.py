from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import LONG

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host


@pytest.mark.long
def test_what_was_acknowledged_is_handled(host: Host) -> None:
    """Processes die at random; each event of a 204 is handled, and only what was in hand runs twice.

    ``make chaos`` does it with many more.
    """
    events = 2000 if LONG else 1000
    chaos = host.chaos(f"--events={events}", "--seed=1", "--end-leases")

    status = chaos.await_end(300)

    chaos.read()
    assert status == 0, chaos.output
