"""Finds the providers: the built-in ones, and those of installed packages by entry point.

A package of its own adds a provider with one line of its `pyproject.toml`, whose object is a
`ProviderType`:

    [project.entry-points."amends.providers"]
    cellar = "my_package.cellar:CELLAR"

Clients that plan and workers read the entry points, so install the package beside both. Kinds that
a resource in the ledger has must stay installed: without them its changes can't be planned.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from activities.providers.postgres import PostgresProvider
from activities.providers.postgres.spec import KINDS as POSTGRES_KINDS
from activities.providers.provider import Provider, Spec

GROUP = "amends.providers"

Kinds = Mapping[str, type[Spec]]


@dataclass(frozen=True)
class ProviderType:
    """A provider as installed: `kinds` are the models of the specs, by kind; `create` makes the
    provider from the environment variables of a worker, or returns None where they do not configure
    it."""

    kinds: Kinds
    create: Callable[[Mapping[str, str]], Provider | None]


class ProviderNotLoaded(Exception):
    """A package's provider can't be used: correct or uninstall the package that the message names,
    then start again."""


def _postgres(environment: Mapping[str, str]) -> Provider | None:
    url = environment.get("AMENDS_POSTGRES_TARGET_URL")
    return PostgresProvider(url) if url else None


POSTGRES = ProviderType(POSTGRES_KINDS, _postgres)
BUILT_IN = (POSTGRES,)


@cache
def installed() -> tuple[ProviderType, ...]:
    """All providers of this installation, read once. Raises ProviderNotLoaded."""
    return with_entry_points(entry_points(group=GROUP))


@cache
def known_kinds() -> Kinds:
    """The model of the spec of every kind that can be planned. Raises ProviderNotLoaded."""
    return {kind: spec for each in installed() for kind, spec in each.kinds.items()}


def with_entry_points(found: Iterable[EntryPoint]) -> tuple[ProviderType, ...]:
    """The built-in providers and those of the entry points. Raises ProviderNotLoaded."""
    providers = list(BUILT_IN)
    owners = {kind: "Amends" for each in BUILT_IN for kind in each.kinds}
    for point in sorted(found, key=lambda each: each.name):
        named = f"the provider {point.name} ({point.value})"
        provider = _loaded(point, named)
        for kind, spec in provider.kinds.items():
            if not (isinstance(spec, type) and issubclass(spec, Spec)):
                raise ProviderNotLoaded(
                    f"{named}: the spec of {kind} is not a subclass of "
                    "activities.providers.provider.Spec: correct or uninstall its package"
                )
            if kind in owners:
                raise ProviderNotLoaded(
                    f"{named} offers the kind {kind}, which {owners[kind]} has: uninstall one"
                )
            owners[kind] = named
        providers.append(provider)
    return tuple(providers)


def _loaded(point: EntryPoint, named: str) -> ProviderType:
    try:
        provider = point.load()
    except Exception as error:
        # Whatever a module of somebody else's raises at its import.
        raise ProviderNotLoaded(
            f"{named} can't be loaded ({type(error).__name__}: {error}): correct or uninstall "
            f"its package"
        ) from error
    if not isinstance(provider, ProviderType):
        raise ProviderNotLoaded(
            f"{named} is a {type(provider).__name__}, not an "
            f"activities.providers.kinds.ProviderType: correct or uninstall its package"
        )
    return provider
