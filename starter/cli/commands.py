"""The commands of `amends`, in the order of its help."""

import click

from starter.cli import (
    changes,
    history,
    ledger,
    lists,
    log,
    operator_actions,
    payments,
    rebuild,
    rules,
    schedules,
    schema,
    servers,
    sweep,
    waiting,
)
from starter.cli.usage import naming_options

COMMANDS = (
    *(servers.up, servers.env, servers.migrate, servers.worker),
    *(rules.agent, rules.policy),
    *(payments.pay, payments.approve, payments.reject, payments.capture, payments.cancel),
    *(changes.plan, changes.apply, changes.rollback, schedules.schedule),
    *(lists.payments, lists.resources),
    *(waiting.waiting, ledger.sagas, ledger.saga),
    *(operator_actions.retry, operator_actions.skip, operator_actions.resolve),
    *(sweep.sweep, log.log, log.follow),
    *(history.show, history.diff, history.blame, ledger.verify),
    rebuild.rebuild,
    schema.schema,
)


class _InOrder(click.Group):
    """Lists the commands by topic, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
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


for command in COMMANDS:
    _name_options(command)
    amends.add_command(command)
