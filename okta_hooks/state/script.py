"""What is told of an app that is made by the script that was started: ``python app.py``.

Python knows that module as ``__main__``. Whoever else imports it, a worker or the script's own parts, gets another
copy of it, by another name.
"""

from __future__ import annotations

import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.logs import plain_logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType, ModuleType

    from flask import Flask

    from okta_hooks.receivers import Hook

logger = plain_logger(__name__)

_MAIN: Final = "__main__"


#: The name of the module that made each hook of this process.
_made: Final[weakref.WeakKeyDictionary[Hook, str]] = weakref.WeakKeyDictionary()


def remember(hook: Hook, maker: FrameType | None) -> None:
    """Remember which module has made a hook.

    :param maker: The frame that called for it; those of constructors of classes below the hook's are passed over.
    """
    while maker is not None and maker.f_locals.get("self") is hook:
        maker = maker.f_back
    if maker is not None:
        _made[hook] = str(maker.f_globals.get("__name__"))


def tell_of_names(app: Flask, hooks: Mapping[str, Hook]) -> None:
    """Log which receivers have names that no other process knows, because they are the script's."""
    names = [
        name
        for hook in hooks.values()
        for name in hook.receivers.unnamed(app)
        if name.startswith(f"{_MAIN}:")
    ]
    if not names:
        return
    module = _name_of(sys.modules[_MAIN])
    cure = names[0].replace(_MAIN, module or "my-app", 1)
    logger.warning(
        "Receivers are named after the script that was started: %(receivers)s. A worker or another server, which "
        "imports that module, knows them by other names, and does not go on with what they have begun. "
        "Give each a name: @okta.on(..., name=%(meant)r).",
        {"receivers": ", ".join(names), "meant": cure},
    )


def tell_of_second_copy(hooks: Mapping[str, Hook]) -> None:
    """Log which receivers are connected to a hook's copy, which a second import of the script has made."""
    main = sys.modules[_MAIN]
    for copy in _copies_of(main):
        for other, module in list(_made.items()):
            hook = hooks.get(other.name) if module == copy.__name__ else None
            if hook is None or hook is other:
                continue
            mine = {_in(copy, name) for name in hook.receivers.names}
            lost = sorted({_in(copy, name) for name in other.receivers.names} - mine)
            if lost:
                logger.error(
                    "The script that was started was imported once more, as %(module)r, and made a second hook "
                    "%(hook)r: nothing that arrives here reaches what is connected to that, %(receivers)s. "
                    "Put the hook into a module of its own, which both import.",
                    {"hook": hook.name, "module": copy.__name__, "receivers": ", ".join(lost)},
                )


def _copies_of(main: ModuleType) -> list[ModuleType]:
    """Return the modules that were made of the same file."""
    file = getattr(main, "__file__", None)
    if not isinstance(file, str):
        return []
    path = Path(file).resolve()
    names = (path.name, Path(file).name)  # of a link, too
    found = []
    for module in list(sys.modules.values()):
        other = _file_of(module)
        # A text first: a path for each of a thousand modules would be most of what the first answer takes.
        if module is main or not isinstance(other, str) or not other.endswith(names):
            continue
        if Path(other).resolve() == path:
            found.append(module)
    return found


def _file_of(module: ModuleType) -> Any:
    """Return what a module has as its file, without waking a lazy one: that may raise anything."""
    try:
        return vars(module).get("__file__")
    except Exception:  # noqa: BLE001 - anything may stand in sys.modules, None too
        return None


def _in(copy: ModuleType, name: str) -> str:
    """Return the name of a receiver as it is in a copy of the script."""
    return name.replace(f"{_MAIN}:", f"{copy.__name__}:", 1) if name.startswith(_MAIN) else name


def _name_of(main: ModuleType) -> str | None:
    """Return by which name Flask's command imports the script, if it has a file."""
    if main.__spec__ is not None:  # python -m
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(file).resolve()
    parts = [path.stem]
    for folder in path.parents:
        if not (folder / "__init__.py").exists():
            break
        parts.insert(0, folder.name)
    return ".".join(parts)
