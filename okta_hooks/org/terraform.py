"""A plan as Terraform's configuration language has it, for those who keep the hook there.

https://registry.terraform.io/providers/okta/okta/latest/docs/resources/event_hook
https://registry.terraform.io/providers/okta/okta/latest/docs/resources/event_hook_verification
https://developer.hashicorp.com/terraform/language/syntax/configuration
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .urls import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .subscription import Plan

_RESOURCE: Final = "okta_event_hook"
_VERIFICATION: Final = "okta_event_hook_verification"
_INTRODUCER: Final = re.compile(r"([$%]+)\{")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def configuration(plan: Plan, hook: str) -> str:
    """Return the resource of a hook as it is to be, its verification, and the variables that it needs.

    What is or may be secret is a variable: the secret, the values of custom headers, a URL with a user or a query.

    :param hook: The hook's name in the app, which names the resource.
    """
    label = _identifier(hook)
    variables: list[str] = []

    def variable(name: str) -> str:
        variables.append(name)
        return f"var.{name}"

    uri = _quoted(plan.url)
    if shown(plan.url) != plan.url:
        uri = variable(f"{label}_url")
    channel = {"type": _quoted("HTTP"), "version": _quoted(_version(plan)), "uri": uri}
    body = [
        *_aligned({"name": _quoted(plan.name), "status": _quoted("ACTIVE")}),
        "events = [",
        *(f"  {_quoted(event_type)}," for event_type in plan.types),
        "]",
        *_map("channel", channel),
    ]
    if plan.auth_header is not None:
        key = _quoted(_as_registered(plan, plan.auth_header))
        value = variable(f"{label}_secret")
        body += _map("auth", {"type": _quoted("HEADER"), "key": key, "value": value})
    for number, key in enumerate(_headers(plan), 1):
        value = variable(f"{label}_header_{number}")
        body += ["", "headers {", *_indented(_aligned({"key": _quoted(key), "value": value})), "}"]
    lines: list[str] = []
    for name in variables:
        settings = _aligned({"type": "string", "sensitive": "true"})
        lines += [f'variable "{name}" {{', *_indented(settings), "}", ""]
    if plan.live is not None:
        lines.append(f"# It exists: terraform import {_RESOURCE}.{label} {_one_line(plan.live.id)}")
    lines += [f'resource "{_RESOURCE}" "{label}" {{', *_indented(body), "}", ""]
    lines += [f'resource "{_VERIFICATION}" "{label}" {{', *_indented(_verification(label)), "}"]
    return "\n".join(lines)


def not_held(plan: Plan) -> tuple[str, ...]:
    """Return what of a hook at Okta the resource has no place for: Terraform's next change of the hook drops it."""
    return tuple(each for each in plan.kept if not each.startswith("header "))


def _verification(label: str) -> list[str]:
    # The provider lets Okta verify when the resource is created, and never again; Okta wants it after each change
    # of the channel.
    return [
        f"event_hook_id = {_RESOURCE}.{label}.id",
        "",
        "lifecycle {",
        f"  replace_triggered_by = [{_RESOURCE}.{label}]",
        "}",
    ]


def _as_registered(plan: Plan, header: str) -> str:
    # To HTTP both spellings are the same, to Terraform the other one is a change.
    registered = (plan.live and plan.live.auth_header) or ""
    return registered if registered.lower() == header.lower() else header


def _version(plan: Plan) -> str:
    channel = plan.live.channel if plan.live else None
    return (channel and channel.version) or "1.0.0"


def _headers(plan: Plan) -> list[str]:
    channel = plan.live.channel if plan.live else None
    config = channel.config if channel else None
    return [header.key for header in (config.headers if config else ()) if header.key]


def _map(name: str, values: dict[str, str]) -> list[str]:
    return ["", f"{name} = {{", *_indented(_aligned(values)), "}"]


def _aligned(values: dict[str, str]) -> list[str]:
    """Return attributes as ``terraform fmt`` writes them."""
    width = max(map(len, values))
    return [f"{name:<{width}} = {value}" for name, value in values.items()]


def _indented(lines: Sequence[str]) -> list[str]:
    return [line and f"  {line}" for line in lines]


def _identifier(text: str) -> str:
    made = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    return made if re.match(r"[A-Za-z_]", made) else f"_{made}"


def _one_line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _quoted(text: str) -> str:
    """Return a text as a quoted template that stands for itself, whatever is in it.

    https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md#template-expressions
    """
    escaped = "".join(_ESCAPES.get(character) or _printable(character) for character in text)
    return f'"{_INTRODUCER.sub(_literal, escaped)}"'


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    point = ord(character)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004 - what \u can hold


def _literal(found: re.Match[str]) -> str:
    # Doubled, the last one introduces nothing; before two of them a third would be ambiguous.
    others, last = found[1][:-1], found[1][-1]
    return "".join(f"\\u{ord(each):04x}" for each in others) + f"{last}{last}{{"
