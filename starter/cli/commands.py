"""The commands of `amends`, in the order of its help, each imported when it is asked for."""

from importlib import import_module

import click

from starter.cli.usage import naming_options

# The module of each command in this folder.
COMMANDS = {
    **dict.fromkeys(("up", "env", "migrate", "worker"), "servers"),
    **dict.fromkeys(("agent", "policy"), "rules"),
    "mandate": "mandates",
    "keys": "keys",
    **dict.fromkeys(("pay", "approve", "reject", "capture"), "payments"),
    **dict.fromkeys(("void", "refund", "cancel"), "payments"),
    **dict.fromkeys(("plan", "apply", "rollback"), "changes"),
    **dict.fromkeys(("reconcile", "case"), "statements"),
    "schedule": "schedules",
    **dict.fromkeys(("payments", "resources"), "lists"),
    "waiting": "waiting",
    **dict.fromkeys(("sagas", "saga"), "ledger"),
    **dict.fromkeys(("retry", "skip", "resolve"), "operator_actions"),
    "sweep": "sweep",
    **dict.fromkeys(("log", "follow"), "log"),
    **dict.fromkeys(("show", "diff", "blame"), "history"),
    "verify": "ledger",
    "rebuild": "rebuild",
    "schema": "schema",
    "completion": "completion",
}


class _Commands(click.Group):
    """Imports a command when it is asked for, and lists the commands by topic."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module = import_module(f"starter.cli.{COMMANDS[cmd_name]}")
            command: click.Command = getattr(module, cmd_name)
            _name_options(command)
            self.add_command(command, cmd_name)
        return self.commands.get(cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="amends")
def amends() -> None:
    """Durable sagas for payments and infrastructure.

    Exit status: 0 done; 1 the saga ended otherwise (denied, rejected, compensated, failed); 2 bad
    usage or input; 3 a server can't be reached; 4 it waits for a person, or needs attention.
    """


def _name_options(command: click.Command) -> None:
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _name_options(below)
    if command.callback is not None:
        command.callback = naming_options(command.callback)
