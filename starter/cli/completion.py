"""`amends completion`: the script with which a shell completes commands, options and values."""

import os

import click
from click.shell_completion import get_completion_class, shell_complete

from starter.cli import options, output
from starter.client.errors import BadRequest

# Set by the script when the shell asks for completions: `bash_complete`, `zsh_complete`, ...
ASKED_BY = "_AMENDS_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@options.as_json
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script of SHELL: bash, zsh or fish.

    \b
    bash: eval "$(amends completion bash)"       in ~/.bashrc (bash 4.4 or newer)
    zsh:  eval "$(amends completion zsh)"        in ~/.zshrc, after compinit
    fish: amends completion fish | source        in ~/.config/fish/config.fish
    """
    root = click.get_current_context().find_root().command
    made = get_completion_class(shell)
    if made is None:
        raise BadRequest(f"no completion for {shell}: one of {', '.join(_SHELLS)} is needed")
    script = made(root, {}, "amends", ASKED_BY).source()
    if as_json:
        output.document({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)


def complete(commands: click.Command) -> int:
    """Answer the shell that asks for completions; returns the exit status."""
    return shell_complete(commands, {}, "amends", ASKED_BY, os.environ[ASKED_BY])
