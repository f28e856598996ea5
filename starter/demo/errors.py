"""The errors of the tour."""


class DemoServersFailed(Exception):
    """The servers of the tour did not start; the message says where to look."""
