"""Words the errors of usage: by option or argument, and never by value."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from starter.client.errors import InvalidInput

# The fields of requests that an option or argument of another name gives.
_GIVEN_BY = {
    "actor": ("actor",),
    "agent_id": ("name", "agent"),
    "max_per_transaction_minor": ("max_per_transaction",),
    "daily_limit_minor": ("daily_limit",),
    "approval_threshold_minor": ("approval_threshold",),
}


def wrong_usage(error: click.UsageError) -> str:
    """One line that names the error of usage and the next command."""
    command = error.ctx.command_path if error.ctx else "amends"
    return f"{_reason(error)}: see {command} --help"


def _reason(error: click.UsageError) -> str:
    match error:
        case click.NoSuchOption():
            return _no_such_option(error)
        case click.MissingParameter() if error.param:
            return f"{_called(error.param)} is missing"
        case click.BadParameter() if error.param:
            return f"{_called(error.param)}: {_needed(error.param.type)}"
        case click.BadOptionUsage():
            return f"{error.option_name}: a value is missing, or one too many"
    if error.ctx and isinstance(error.ctx.command, click.Group):
        missing = error.message.startswith("Missing")
        return "a command is missing" if missing else "no such command"
    return "an argument too many"


def _no_such_option(error: click.NoSuchOption) -> str:
    # What begins like an option may be a value: a negative number, or a name with a dash.
    known = re.fullmatch(r"--[a-z][a-z-]{1,30}", error.option_name)
    named = f"no option named {error.option_name}" if known else "no such option"
    return f"{named}, perhaps {error.possibilities[0]}" if error.possibilities else named


def _called(param: click.Parameter) -> str:
    """The name of an option as it is typed, of an argument as the help writes it."""
    if isinstance(param, click.Argument):
        return param.make_metavar(click.get_current_context(silent=True) or _NOWHERE).strip("[]")
    return max(param.opts, key=len)


_NOWHERE = click.Context(click.Command("amends"))


def _needed(kind: "click.ParamType[Any]") -> str:
    match kind:
        case click.IntRange():
            return f"a whole number from {kind.min} to {kind.max} is needed"
        case click.types.IntParamType():
            return "a whole number is needed"
        case click.Choice():
            return f"{' or '.join(map(str, kind.choices))} is needed"
        case click.Path():
            return "a file that exists and can be read is needed"
        case _:
            return "another value is needed"


def naming_options(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that its InvalidInput names fields as the person typed them."""

    @wraps(callback)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return callback(*arguments, **options)
        except InvalidInput as error:
            context = click.get_current_context()
            problems = [(_typed(field, context), reason) for field, reason in error.problems]
            raise InvalidInput(*problems[0], *problems[1:]) from None

    return called


def _typed(field: str, context: click.Context) -> str:
    """The name under which a field was typed: `--as` for `actor`, `NAME` for `agent_id`; a field of
    a file keeps its name."""
    top = re.split(r"[.\[]", field)[0]
    has_file = "file" in context.params
    for param in context.command.params:
        if param.name not in _GIVEN_BY.get(top, (top,)):
            continue
        source = context.get_parameter_source(param.name)
        if source is ParameterSource.COMMANDLINE or not has_file:
            return _called(param)
    return field
