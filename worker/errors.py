"""The error that keeps a worker from running on servers that are not its own."""


class Unreachable(Exception):
    """A server that the settings name can't be used: start it, or correct the setting.

    Exit status 3. The message is one sentence, without addresses that may hold a password.
    """
