"""Histories by chance: a seed says what happens, so that a history can be had again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from .model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .model import Bench

_ANY: Final = 2**16

#: How often each rule is applied, unless a history prefers others.
WEIGHTS: Final[dict[str, tuple[float, int]]] = {
    "step": (100, 1),
    "finish": (14, 2),
    "pass_time": (8, 1),
    "deliver": (4, 4),
    "start": (2, 1),
    "fail": (5, 2),
    "die": (0.7, 1),
    "poison": (1.5, 2),
    "stop": (0.8, 1),
    "cut_off": (0.3, 1),
    "freeze": (0.4, 1),
    "jump": (0.4, 2),
    "sleep_long": (0.05, 1),
    "change_receiver": (0.4, 2),
    "change_handlers": (0.4, 2),
    "remove_lock": (0.1, 0),
    "replay": (1.0, 2),
    "prune_dead": (0.1, 0),
    "settle_down": (0.3, 0),
}
#: By how much a history may prefer a rule: what some never do lets others go far.
_PREFERENCES: Final = (0.0, 0.3, 1.0, 1.0, 3.0)
_CONSTANT: Final = frozenset({"step", "deliver", "start", "finish", "settle_down"})
STEPS: Final = 800


def play(
    bench: Bench,
    seed: int,
    *,
    steps: int = STEPS,
    prefer: Mapping[str, float] | None = None,
    trace: Callable[[str], None] | None = None,
) -> Model:
    """Play one history to its end.

    :param prefer: How many times as often rules are applied as usual.
    :param trace: Is told what is done.
    :raises Violation: if something happens that must not.
    """
    chance = random.Random(seed)
    names = list(WEIGHTS)
    weights = [
        weight * (1.0 if name in _CONSTANT else chance.choice(_PREFERENCES))
        for name, (weight, _) in WEIGHTS.items()
    ]
    if prefer is not None:
        usual = (weight for weight, _ in WEIGHTS.values())
        weights = [
            weight * prefer.get(name, 1.0) for name, weight in zip(names, usual, strict=True)
        ]
    model = Model(bench)
    try:
        model.start(0)
        for name in chance.choices(names, weights, k=steps):
            given = [chance.randrange(_ANY) for _ in range(WEIGHTS[name][1])]
            if name == "deliver":
                given[1] = given[1] % 4
                given[3] = given[3] % 8 if given[3] % 3 == 0 else 0
            if trace is not None:
                trace(f"{model.steps} {model.world.now:.2f} {name} {given}")
            getattr(model, name)(*given)
            model.steps += 1
            model.check()
        if trace is not None:
            trace("settle down")
        model.settle_down()
    finally:
        model.close()
    return model
