"""The error of a reader that meets what a newer release wrote."""


class UnknownEvent(Exception):
    """An event whose type or version this release can't read: skipping it would falsify the
    fold."""
