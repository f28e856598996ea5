"""Runs a command; its outcome becomes an exit status and at most one line of error."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ledger.aggregates.errors import RowUnreadable
from ledger.words import plain, plain_lines
from starter.cli.commands import amends
from starter.cli.usage import wrong_usage
from starter.client.errors import AmendsError

# As shells report them: 128 and the signal's number.
_INTERRUPTED, _BROKEN_PIPE = 130, 141
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
# A defect of ours is none of the contract's statuses (sysexits.h: an internal software error).
_DEFECT = 70


def run(arguments: Sequence[str]) -> int:
    """Run `amends ARGUMENTS...`; returns the exit status: 0 done, 1 the saga ended otherwise, 2 bad
    usage or input, 3 a server can't be reached, 4 it waits for a person."""
    # Libraries that log say in many lines what our one line says.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        status = _complete() if "_AMENDS_COMPLETE" in os.environ else _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read us has enough (`amends log | head`).
        _leave_stdout()
        return _BROKEN_PIPE
    except OSError as error:
        return _unwritten(error)


def _complete() -> int:
    from starter.cli.completion import complete

    return complete(amends)


def _leave_stdout() -> None:
    """Drop what is still buffered, so that nothing fails at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritten(error: OSError) -> int:
    _leave_stdout()
    return _fail(f"the answer can't be written: {error.strerror}", 1)


def _require_text(arguments: Sequence[str]) -> None:
    # Python gives bytes that are no text as surrogates, and no server takes those.
    if any("\ud800" <= char <= "\udfff" for each in arguments for char in each):
        raise click.ClickException("an argument is no text in UTF-8")


def _run(arguments: Sequence[str]) -> int:
    try:
        _require_text(arguments)
        # Not `amends.main`: it ends a broken pipe with status 1, which is a saga's.
        with amends.make_context("amends", list(arguments)) as context:
            status = amends.invoke(context)
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (AmendsError, RowUnreadable) as error:
        # A row is read by its model only when it is shown.
        return _fail(str(error), getattr(error, "exit_status", 1))
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.ctx.get_help())
        return 0
    except click.UsageError as error:
        return _fail(wrong_usage(error), 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; a submitted saga goes on: see amends sagas", _INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the status must be ours, also for a defect
        if isinstance(error, OSError) and error.errno in _UNWRITTEN:
            return _unwritten(error)
        click.echo(plain_lines(traceback.format_exc()), err=True, nl=False)
        return _DEFECT


def _fail(message: str, status: int) -> int:
    line = " ".join(message.split())
    click.echo(f"amends: {plain(line)}", err=True)
    return status
