from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Config, Flask

from okta_hooks import settings
from okta_hooks.secret import Secret


def from_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> dict[str, Any]:
    """Return the configuration that Flask makes of environment variables."""
    for key, value in values.items():
        monkeypatch.setenv(f"FLASK_OKTA_HOOKS_{key}", value)
    app = Flask("host")
    app.config.from_prefixed_env()
    return app.config


def secrets(value: object, hook: str = "okta") -> tuple[str, ...]:
    """Return what a configured secret comes to for one hook."""
    return revealed_secrets(settings.read({"OKTA_HOOKS_SECRET": value}), hook)


def revealed_secrets(read: settings.Settings, hook: str = "okta") -> tuple[str, ...]:
    return tuple(secret.reveal() for secret in settings.secrets_of(read, hook))


def test_defaults() -> None:
    """An app that configures nothing but a secret gets the documented defaults."""
    read = settings.read({"OKTA_HOOKS_SECRET": "s3cret"})

    assert read.allow_unauthenticated is False
    assert read.auth_header == "Authorization"
    assert read.inbox == Secret("sqlite:///okta_hooks.sqlite3")
    assert read.worker == "thread"
    assert read.max_attempts == 20
    assert read.retention == timedelta(days=30)
    assert read.max_body == 10 * 1024 * 1024
    assert read.org_url is None
    assert read.api_token is None


def test_every_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key can be set by an environment variable alone."""
    config = from_environment(
        monkeypatch,
        SECRET="s3cret",
        ALLOW_UNAUTHENTICATED="true",
        AUTH_HEADER="X-Okta-Secret",
        INBOX="null",
        WORKER="external",
        MAX_ATTEMPTS="3",
        RETENTION="0.5",
        MAX_BODY="1048576",
        ORG_URL="https://example.okta.com",
        API_TOKEN="t0ken",
    )

    assert settings.read(config) == settings.Settings(
        secret=(Secret("s3cret"),),
        allow_unauthenticated=True,
        auth_header="X-Okta-Secret",
        inbox=None,
        worker="external",
        max_attempts=3,
        retention=timedelta(hours=12),
        max_body=1048576,
        org_url="https://example.okta.com",
        api_token=Secret("t0ken"),
    )


def test_other_keys_are_not_ours() -> None:
    """Configuration without the prefix is never read."""
    assert settings.read({"SECRET": "x", "SECRET_KEY": "y", "INBOX": None}) == settings.Settings()


def test_repr_shows_no_secret() -> None:
    """Nothing that opens a door shows in the representation: secret, token, database URL."""
    read = settings.read(
        {
            "OKTA_HOOKS_SECRET": {"okta": ["hush-1", "hush-2"]},
            "OKTA_HOOKS_API_TOKEN": "hush-3",
            "OKTA_HOOKS_INBOX": "postgresql://app:hush-4@db/app",
        }
    )

    assert "hush" not in repr(read)
    assert "hush" not in str(read)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("s3cret", ("s3cret",)),
        ("1234567890", ("1234567890",)),
        ("-17", ("-17",)),
        ("007", ("007",)),
        ('"1e5"', ("1e5",)),
        ('"s3cret"', ("s3cret",)),
        ("'s3cret'", ("'s3cret'",)),
        ("Basic dXNlcjpwYXNz", ("Basic dXNlcjpwYXNz",)),
        ("^&*$! ;#%", ("^&*$! ;#%",)),
        ("schlüssel", ("schlüssel",)),
        ("True", ("True",)),
        ('["new", "old"]', ("new", "old")),
        ('["new", 42]', ("new", "42")),
        ('{"okta": "mine", "other": "theirs"}', ("mine",)),
        ('{"okta": ["new", "old"]}', ("new", "old")),
        ('{"okta": 42}', ("42",)),
    ],
)
def test_secret_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: tuple[str, ...]
) -> None:
    """A secret is what was meant: digits are text again, quotes make JSON a string, lists rotate."""
    config = from_environment(monkeypatch, SECRET=variable)

    assert revealed_secrets(settings.read(config)) == expected


def test_secret_of_one_hook_by_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flask's double underscore sets one hook's secret in the mapping."""
    config = from_environment(monkeypatch, SECRET__okta="mine", SECRET__other="[1, 2]")

    read = settings.read(config)
    assert revealed_secrets(read) == ("mine",)
    assert revealed_secrets(read, "other") == ("1", "2")


def test_secret_as_tuple() -> None:
    """In Python, a tuple serves as well as a list."""
    assert secrets(("new", "old")) == ("new", "old")


@pytest.mark.parametrize("variable", ["", '""', "null", "[]"])
def test_missing_secret(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Without a secret there is no start: the error names the key, the hook and the variable to set."""
    read = settings.read(from_environment(monkeypatch, SECRET=variable))

    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_SECRET is not set") as caught:
        settings.secrets_of(read, "okta")
    assert "the hook 'okta'" in str(caught.value)
    assert "FLASK_OKTA_HOOKS_SECRET" in str(caught.value)


def test_unset_secret() -> None:
    """A key that is not there at all is refused like an empty one."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_SECRET is not set"):
        settings.secrets_of(settings.read({}), "okta")


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        (
            "FLASK_OKTA_HOOKS_SECRET",
            r"and was not read: call app.config.from_prefixed_env\(\) before",
        ),
        ("FLASK_OKTA_HOOKS_SECRET__okta", "and was not read"),
        ("OKTA_HOOKS_SECRET", "what begins with FLASK_: call it FLASK_OKTA_HOOKS_SECRET"),
        (
            "FLASK_OKTA_HOOK_SECRET",
            "^.*FLASK_OKTA_HOOK_SECRET stands .*: is FLASK_OKTA_HOOKS_SECRET meant",
        ),
        ("OKTA_HOOK_SECRET", "OKTA_HOOK_SECRET stands .*: is FLASK_OKTA_HOOKS_SECRET meant"),
        ("OKTA_SECRET", "OKTA_SECRET stands .*: is FLASK_OKTA_HOOKS_SECRET meant"),
        ("FLASK_OKTA_HOOKS_SECRETS", "SECRETS stands .*: is FLASK_OKTA_HOOKS_SECRET meant"),
    ],
)
def test_a_secret_that_has_not_got_here(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    """The environment has it, and the configuration has not: the error says why, and quotes nothing."""
    monkeypatch.setenv(variable, "hush")

    with pytest.raises(RuntimeError, match=said) as caught:
        settings.secrets_of(settings.read({}), "okta")
    assert "hush" not in str(caught.value)

    with pytest.raises(RuntimeError, match="Set it to the authentication secret"):
        secrets({"another": "x"})


@pytest.mark.parametrize(
    "mapping", [{}, {"other": "x"}, {"okta": ""}, {"okta": None}, {"okta": []}]
)
def test_mapping_without_the_hook(mapping: dict[str, Any]) -> None:
    """A mapping that has no secret for the hook is refused, naming the member that is missing."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_SECRET\['okta'\] is not set"):
        secrets(mapping)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1e5, "float"),
        (True, "bool"),
        (b"hush", "bytes"),
        ({"okta": {"deeper": "hush"}}, "dict"),
        ([["hush"]], "list"),
        (["fine", None], "NoneType"),
        ({"hush"}, "set"),
    ],
)
def test_secret_of_another_type(value: object, kind: str) -> None:
    """What is no string, list or mapping is refused by its type, with the cure, and never shown."""
    with pytest.raises(RuntimeError, match=rf"OKTA_HOOKS_SECRET.* holds a {kind} ") as caught:
        secrets(value)
    is_from_json = kind not in ("bytes", "set")
    assert ("double quotes inside the single ones" in str(caught.value)) is is_from_json
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (["hush", ""], "Remove it, or set it"),
        ({"okta": [""]}, "Remove it, or set it"),
        ("hush\n", "Strip it"),
        ("hu\nsh", "Strip it"),
        ("hu\rsh", "Strip it"),
        ("hu\0sh", "Strip it"),
        (" hush", "Strip it here and at Okta"),
        ("hush ", "Strip it here and at Okta"),
        ("hush\t", "Strip it here and at Okta"),
        ("\x1fhush", "Strip it here and at Okta"),
        ("hush\x7f", "Strip it here and at Okta"),
        ("\N{NO-BREAK SPACE}hush", "Strip it here and at Okta"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}hush", "Strip it here and at Okta"),
        (["fine", "hush "], "Strip it here and at Okta"),
        ("hu\udce9sh", "UTF-8"),
        ("\udce9", "UTF-8"),
    ],
)
def test_secret_that_cannot_be_right(value: object, cure: str) -> None:
    """What no header can carry as it stands is refused, with the cure and without showing it."""
    with pytest.raises(RuntimeError, match=r"^OKTA_HOOKS_SECRET") as caught:
        secrets(value)
    assert cure in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", [], {}, {"other": "x"}])
def test_allowed_to_run_without_a_secret(value: object) -> None:
    """A hook without a secret is allowed only when that was asked for."""
    config = {"OKTA_HOOKS_SECRET": value, "OKTA_HOOKS_ALLOW_UNAUTHENTICATED": True}

    assert settings.secrets_of(settings.read(config), "okta") == ()


def test_a_secret_counts_even_where_none_is_needed() -> None:
    """Being allowed to run without a secret does not switch a configured one off."""
    config = {"OKTA_HOOKS_SECRET": "s3cret", "OKTA_HOOKS_ALLOW_UNAUTHENTICATED": True}

    assert revealed_secrets(settings.read(config)) == ("s3cret",)


def test_a_bad_secret_is_refused_even_where_none_is_needed() -> None:
    """Being allowed to run without a secret does not excuse one that cannot be right."""
    config = {"OKTA_HOOKS_SECRET": [""], "OKTA_HOOKS_ALLOW_UNAUTHENTICATED": True}

    with pytest.raises(RuntimeError, match="empty secret"):
        settings.secrets_of(settings.read(config), "okta")


@pytest.mark.parametrize("variable", ["True", "yes", "1", "0", "null", '"true"', ""])
def test_allow_unauthenticated_is_a_bool(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The switch that opens the endpoint accepts a bool and nothing that looks like one."""
    config = from_environment(monkeypatch, ALLOW_UNAUTHENTICATED=variable)

    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_ALLOW_UNAUTHENTICATED is .* true or false"):
        settings.read(config)


@pytest.mark.parametrize(
    "name", ["X-Okta-Secret", "x-okta-secret", "AUTHORIZATION", "X!#$%&'*.^`|~1"]
)
def test_auth_header(name: str) -> None:
    """Any token of RFC 9110 without an underscore may carry the secret."""
    assert settings.read({"OKTA_HOOKS_AUTH_HEADER": name}).auth_header == name


@pytest.mark.parametrize(
    "name",
    ["", "X_Okta_Secret", "X Secret", "X-Secret:", "X-Sécret", "X-Secret\r\n", 7, None, ["X"]],
)
def test_auth_header_that_no_server_passes_on(name: object) -> None:
    """A name that is no header's, or that servers drop, is refused."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_AUTH_HEADER is .* underscore"):
        settings.read({"OKTA_HOOKS_AUTH_HEADER": name})


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "CONTENT-TYPE", "X-Okta-Verification-Challenge"]
)
def test_auth_header_with_a_meaning_of_its_own(name: str) -> None:
    """A header that HTTP or Okta uses for something else cannot carry the secret."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_AUTH_HEADER is .* Choose another at Okta"):
        settings.read({"OKTA_HOOKS_AUTH_HEADER": name})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://app@db/app",
        "postgresql://",
        "postgresql:///app?host=/run/postgresql",
        "postgresql://app:p:a/s?s@db:5432/app?sslmode=require",
        "postgresql://app@[::1]:5432/app",
        "postgresql://a,b/app?target_session_attrs=read-write",
        "sqlite:///sub/x.db",
        "sqlite:////my app/x.db",
        "sqlite:////my%20app/x",
        "sqlite:///.hidden",
    ],
)
def test_inbox_url(url: str) -> None:
    """The URL of the inbox is taken as it stands; SQLAlchemy takes each of these, too."""
    assert sa.make_url(url).render_as_string()
    assert settings.read({"OKTA_HOOKS_INBOX": url}).inbox == Secret(url)


@pytest.mark.parametrize("value", ["None", "", "okta.sqlite3", False, 0])
def test_inbox_that_is_no_url(value: object) -> None:
    """What is neither a URL nor None is refused, with the word for None in the environment."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_INBOX must be .* null"):
        settings.read({"OKTA_HOOKS_INBOX": value})


def test_inbox_error_shows_no_password() -> None:
    """The refusal of an inbox does not quote it: it may hold a password."""
    with pytest.raises(RuntimeError) as caught:
        settings.read({"OKTA_HOOKS_INBOX": "postgresql:app:hush@db"})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", ["Thread", "", None, True, ["thread"]])
def test_unknown_worker(value: object) -> None:
    """There are three kinds of worker, and the error names them."""
    with pytest.raises(
        RuntimeError, match=r'OKTA_HOOKS_WORKER is .* "thread", "external" or "celery"'
    ):
        settings.read({"OKTA_HOOKS_WORKER": value})


@pytest.mark.parametrize("key", ["MAX_ATTEMPTS", "MAX_BODY"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "20", "ten", None])
def test_counts_are_whole_numbers(key: str, value: object) -> None:
    """A count is a whole number from 1."""
    with pytest.raises(RuntimeError, match=rf"OKTA_HOOKS_{key} is .* whole number from 1"):
        settings.read({f"OKTA_HOOKS_{key}": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, timedelta(days=7)),
        (0.25, timedelta(hours=6)),
        (timedelta(minutes=5), timedelta(minutes=5)),
    ],
)
def test_retention(value: object, expected: timedelta) -> None:
    """Retention is a number of days, or a timedelta."""
    assert settings.read({"OKTA_HOOKS_RETENTION": value}).retention == expected


@pytest.mark.parametrize(
    "value", [0, -1, timedelta(0), True, "30", None, float("nan"), float("inf"), 10**12]
)
def test_retention_that_is_no_time(value: object) -> None:
    """What is no length of time above zero is refused."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_RETENTION is .* days above 0"):
        settings.read({"OKTA_HOOKS_RETENTION": value})


@pytest.mark.parametrize(("key", "value"), [("ORG_URL", 90210), ("API_TOKEN", 90210.5)])
def test_texts_are_strings(key: str, value: float) -> None:
    """A number where a text belongs is refused by its type, without showing it."""
    with pytest.raises(RuntimeError, match=rf"OKTA_HOOKS_{key} must be a string, not a ") as caught:
        settings.read({f"OKTA_HOOKS_{key}": value})
    assert "90210" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [("t", ["t"]), (["new", "old"], ["new", "old"]), (90210, ["90210"]), (None, []), ("", [])],
)
def test_tokens_of_operations(value: object, tokens: list[str]) -> None:
    """One, several during a change, digits, or none."""
    read = settings.read({"OKTA_HOOKS_OPERATIONS_TOKEN": value})

    assert [one.reveal() for one in read.operations_token or ()] == tokens
    assert "90210" not in repr(read)


@pytest.mark.parametrize("value", [{"okta": "hush"}, ["hush", ""], "hush ", True, ["hush\n"]])
def test_a_token_that_no_machine_can_present(value: object) -> None:
    """It is refused by the name of its key, and not shown."""
    with pytest.raises(RuntimeError, match="OKTA_HOOKS_OPERATIONS_TOKEN") as caught:
        settings.read({"OKTA_HOOKS_OPERATIONS_TOKEN": value})
    assert "hush" not in str(caught.value)


def test_a_token_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's digits arrive as a number, and are taken as the digits of a token."""
    monkeypatch.setenv("FLASK_OKTA_HOOKS_API_TOKEN", "90210")
    config = Config("")
    config.from_prefixed_env()

    assert settings.read(config).api_token == Secret("90210")
    with pytest.raises(RuntimeError, match="must be a string, not a bool"):
        settings.read({"OKTA_HOOKS_API_TOKEN": True})


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        (b"hush", r"holds a bytes .* Decode it: secret.decode\(\)\.$"),
        ({"hush", "hush, too"}, r"holds a set .* Several secrets are a list, the new one first\.$"),
        (1e5, "holds a float .* In the environment, put double quotes inside the single ones"),
    ],
)
def test_the_cure_of_a_secret_of_another_type(configured: object, said: str) -> None:
    """What the environment cannot have made has a cure in Python."""
    with pytest.raises(RuntimeError, match=said) as caught:
        settings.secrets_of(settings.read({"OKTA_HOOKS_SECRET": configured}), "okta")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"OKTA": "x"}, r"The mapping has 'OKTA': is 'okta' meant\?"),
        ({"hush": "okta"}, r"Names of other hooks that the mapping has: 1\."),
    ],
)
def test_a_mapping_without_the_hook(mapping: dict[str, str], said: str) -> None:
    """A name like the hook's is told; another is not, for it may be a secret."""
    with pytest.raises(RuntimeError, match=said) as caught:
        settings.secrets_of(settings.read({"OKTA_HOOKS_SECRET": mapping}), "okta")

    assert "hush" not in str(caught.value)


def test_a_key_of_a_mapping_is_not_quoted() -> None:
    """A secret may stand there under a wrong key, in a mapping the wrong way round."""
    with pytest.raises(RuntimeError, match=r"^OKTA_HOOKS_URL must .* hook names to URLs") as caught:
        settings.read({"OKTA_HOOKS_URL": {"hush": "okta"}})

    assert "hush" not in str(caught.value)
