"""The search attributes of sagas, for clients to list by and for a worker to register."""

from collections.abc import Mapping

# Name, type and meaning. None holds personal data.
SEARCH_ATTRIBUTES: Mapping[str, tuple[str, str]] = {
    "SagaKind": ("Keyword", "the kind: the first part of the workflow id"),
    "SagaState": ("Keyword", "the state of the saga"),
    "SagaStep": ("Keyword", "where the saga waits or needs attention; empty while it runs"),
    "SagaActor": ("Keyword", "the actor that asked"),
    "SagaSubjects": ("KeywordList", "the aggregates that the saga is about"),
    "SagaNeedsAttention": ("Bool", "whether somebody has to act: see `waits` of `progress`"),
}
