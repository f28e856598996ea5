"""What a server keeps in plain text: everything but payloads, and the search attributes."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes


def plain_text(message: Message) -> str:
    """The message as text, with the data of its payloads left out, but for search attributes."""
    copy = type(message)()
    copy.CopyFrom(message)
    _blank(copy)
    return copy.SerializeToString().decode("latin1")


def _blank(message: Message) -> None:
    if isinstance(message, Payload):
        message.data = b""
    if isinstance(message, Payload | SearchAttributes):
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in _messages(value):
                _blank(each)


def _messages(value: Any) -> Iterator[Message]:
    """The messages in the value of a field: itself, those of a list, or those of a map."""
    if isinstance(value, Message):
        yield value
        return
    for each in value.values() if hasattr(value, "values") else value:
        if isinstance(each, Message):
            yield each
