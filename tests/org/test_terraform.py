"""The resource of a hook for Terraform, read by a parser of its language."""

from __future__ import annotations

import re
from typing import Any

import hcl2
import pytest

from okta_hooks.org.hooks import (
    HookAuthScheme,
    HookChannel,
    HookConfig,
    HookEvents,
    HookHeader,
    RegisteredHook,
)
from okta_hooks.org.subscription import Plan
from okta_hooks.org.terraform import configuration, not_held

URL = "https://app.example.com/okta/events"
NEW = """\
variable "okta_secret" {
  type      = string
  sensitive = true
}

resource "okta_event_hook" "okta" {
  name   = "Offboarding"
  status = "ACTIVE"
  events = [
    "user.lifecycle.create",
    "user.lifecycle.deactivate",
  ]

  channel = {
    type    = "HTTP"
    version = "1.0.0"
    uri     = "https://app.example.com/okta/events"
  }

  auth = {
    type  = "HEADER"
    key   = "Authorization"
    value = var.okta_secret
  }
}

resource "okta_event_hook_verification" "okta" {
  event_hook_id = okta_event_hook.okta.id

  lifecycle {
    replace_triggered_by = [okta_event_hook.okta]
  }
}"""


def planned(**values: Any) -> Plan:
    """Return a plan of a hook that is to be created."""
    defaults = {
        "live": None,
        "name": "Offboarding",
        "url": URL,
        "auth_header": "Authorization",
        "types": ("user.lifecycle.create", "user.lifecycle.deactivate"),
        "add": (),
    }
    return Plan(**(defaults | values))


def registered(*headers: HookHeader, auth_header: str = "authorization") -> RegisteredHook:
    """Return a hook as an org has it."""
    scheme = HookAuthScheme(type="HEADER", key=auth_header)
    config = HookConfig(uri=URL, headers=headers, auth_scheme=scheme)
    channel = HookChannel(type="HTTP", version="1.0.1", config=config)
    return RegisteredHook(id="who1", name="Offboarding", channel=channel, events=HookEvents())


def resource(text: str, label: str = "okta") -> Any:
    """Return what a parser of HCL reads of the hook in a text, whose verification comes after it."""
    found, verification = hcl2.loads(f"{text}\n")["resource"]
    verified = verification['"okta_event_hook_verification"'][f'"{label}"']
    assert verified["event_hook_id"] == f"${{okta_event_hook.{label}.id}}"
    return found['"okta_event_hook"'][f'"{label}"']


def unescaped(template: str) -> str:
    """Return what a quoted template stands for, by HCL's specification; it must hold no introducer."""
    assert template[0] == template[-1] == '"'
    rule = re.compile(
        r'\\(?P<plain>["\\nrt])|\\u(?P<four>[0-9a-f]{4})|\\U(?P<eight>[0-9a-f]{8})'
        r"|(?P<doubled>\$\$\{|%%\{)|(?P<introducer>\$\{|%\{)|(?P<other>[^\\\"\n])",
    )

    def one(found: re.Match[str]) -> str:
        assert not found["introducer"]
        if found["plain"]:
            return {"n": "\n", "r": "\r", "t": "\t"}.get(found["plain"], found["plain"])
        if code := found["four"] or found["eight"]:
            return chr(int(code, 16))
        return found["doubled"][1:] if found["doubled"] else found[0]

    inner = template[1:-1]
    assert "".join(match[0] for match in rule.finditer(inner)) == inner
    return rule.sub(one, inner)


def test_a_hook_to_be_created() -> None:
    """It is as the provider documents it and as ``terraform fmt`` leaves it, and the secret is a variable."""
    text = configuration(planned(), "okta")

    assert text == NEW
    read = resource(text)
    assert read["channel"]["uri"] == f'"{URL}"'
    assert read["auth"]["value"] == "${var.okta_secret}"


def test_a_hook_that_is_there() -> None:
    """Its id is said for the import, and what Okta has is spelt as Okta has it, so that nothing changes."""
    text = configuration(planned(live=registered()), "okta")

    assert "\n# It exists: terraform import okta_event_hook.okta who1\nresource" in text
    assert resource(text)["auth"]["key"] == '"authorization"'
    assert resource(text)["channel"]["version"] == '"1.0.1"'
    other = planned(live=registered(auth_header="X-Secret"))
    assert resource(configuration(other, "okta"))["auth"]["key"] == '"Authorization"'


def test_custom_headers() -> None:
    """Each is a block, and its value, which may be a secret, a variable."""
    headers = HookHeader(key="X-Via", value="hush"), HookHeader(key="X-To", value="hush")
    text = configuration(planned(live=registered(*headers)), "okta")

    read = resource(text)["headers"]
    assert [(each["key"], each["value"]) for each in read] == [
        ('"X-Via"', "${var.okta_header_1}"),
        ('"X-To"', "${var.okta_header_2}"),
    ]
    assert "hush" not in text
    assert text.count("sensitive = true") == 3


def test_a_url_that_holds_a_secret() -> None:
    """With a user or a query in it, it is a variable."""
    text = configuration(planned(url=f"{URL}?key=hush"), "okta")

    assert resource(text)["channel"]["uri"] == "${var.okta_url}"
    assert "hush" not in text
    assert 'variable "okta_url"' in text


def test_no_secret() -> None:
    """Then there is no authentication, and no variable."""
    text = configuration(planned(auth_header=None), "okta")

    assert "auth" not in resource(text)
    assert "variable" not in text


@pytest.mark.parametrize(
    "name",
    [
        'Jane\'s "hook"',
        "C:\\hooks\\new",
        "${var.secret}",
        "%{ if true }",
        "$${a}",
        "$$${a} %$%{b} $",
        "\\${a}",
        "two\nlines\r\n\tand a tab",
        "bell \a, escape \x1b, \x7f, \u2028, \U000e0001",
        "Zoë 日本 {a}",
    ],
)
def test_any_name_stands_for_itself(name: str) -> None:
    """Whatever a hook is called, Terraform reads that name, and evaluates nothing in it."""
    text = configuration(planned(name=name), "okta")

    line = next(line for line in text.splitlines() if line.startswith("  name   = "))
    assert unescaped(line.partition(" = ")[2]) == name
    assert line.isprintable()
    assert resource(text)["status"] == '"ACTIVE"'


@pytest.mark.parametrize(("hook", "label"), [("my.hook", "my_hook"), ("2nd", "_2nd"), ("é", "_")])
def test_the_label_is_an_identifier(hook: str, label: str) -> None:
    """Whatever a hook is called in the app, its resource has a name that Terraform takes."""
    assert resource(configuration(planned(), hook), label)["auth"]["value"] == (
        f"${{var.{label}_secret}}"
    )


def test_what_the_resource_has_no_place_for() -> None:
    """Custom headers it has; a description and filters it has not."""
    assert not_held(planned(kept=("description", "header X-Via", "filter of a.b"))) == (
        "description",
        "filter of a.b",
    )
