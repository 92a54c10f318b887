from __future__ import annotations

from .screenshots import PICTURES, pictures


def test_each_picture_of_a_page_is_made_by_the_target() -> None:
    """No picture is there that `make screenshots` would not make anew, and none is missing."""
    assert {path.name for path in PICTURES.glob("*.png")} == {
        path.name for _, _, path in pictures()
    }
