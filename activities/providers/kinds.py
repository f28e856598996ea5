"""Finds the providers: the built-in ones, and those of installed packages by entry point.

A package of its own adds a provider with one line of its `pyproject.toml`, whose object is a
`ProviderType`:

    [project.entry-points."amends.providers"]
    cellar = "my_package.cellar:CELLAR"

Clients that plan and workers read the entry points, so install the package beside both. Kinds that
a resource in the ledger has must stay installed: without them its changes can't be planned.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

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
    if not url:
        return None
    # A client that plans knows the kinds, and never reaches a target.
    from activities.providers.postgres.provider import PostgresProvider

    return PostgresProvider(url)


BUILT_IN: Mapping[str, ProviderType] = {"postgres": ProviderType(POSTGRES_KINDS, _postgres)}

# As the contract has it for the kind of a resource.
_KIND = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
_WHAT_TO_DO = "correct or uninstall its package"


@cache
def installed() -> Mapping[str, ProviderType]:
    """All providers of this installation by name, read once. Raises ProviderNotLoaded."""
    return with_entry_points(entry_points(group=GROUP))


@cache
def known_kinds() -> Kinds:
    """The model of the spec of every kind that can be planned. Raises ProviderNotLoaded."""
    return {kind: spec for each in installed().values() for kind, spec in each.kinds.items()}


def created(environment: Mapping[str, str]) -> list[Provider]:
    """The providers that these environment variables configure. Raises ProviderNotLoaded."""
    made = [_created(name, each, environment) for name, each in installed().items()]
    return [provider for provider in made if provider is not None]


def with_entry_points(found: Iterable[EntryPoint]) -> Mapping[str, ProviderType]:
    """The built-in providers and those of the entry points. Raises ProviderNotLoaded."""
    providers = dict(BUILT_IN)
    owners = {kind: "Amends" for each in BUILT_IN.values() for kind in each.kinds}
    for point in sorted(found, key=lambda each: (each.name, each.value)):
        named = f"the provider {point.name} ({point.value})"
        if point.name in providers:
            raise ProviderNotLoaded(f"{named} has the name of another provider: uninstall one")
        providers[point.name] = provider = _loaded(point, named)
        for kind in provider.kinds:
            if kind in owners:
                raise ProviderNotLoaded(
                    f"{named} offers the kind {kind}, which {owners[kind]} has: uninstall one"
                )
            owners[kind] = named
    return providers


def _loaded(point: EntryPoint, named: str) -> ProviderType:
    try:
        provider = point.load()
    except (Exception, SystemExit) as error:
        # Whatever a module of somebody else's raises at its import.
        why = f"{type(error).__name__}: {error}"
        raise ProviderNotLoaded(f"{named} can't be loaded ({why}): {_WHAT_TO_DO}") from error
    if not isinstance(provider, ProviderType):
        raise ProviderNotLoaded(
            f"{named} is a {type(provider).__name__}, not an "
            f"activities.providers.kinds.ProviderType: {_WHAT_TO_DO}"
        )
    if not isinstance(provider.kinds, Mapping):
        raise ProviderNotLoaded(f"{named}: its kinds are not a mapping: {_WHAT_TO_DO}")
    for kind, spec in provider.kinds.items():
        if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
            raise ProviderNotLoaded(
                f"{named}: the kind {kind!r} is not like postgres.role, in lower case: "
                f"{_WHAT_TO_DO}"
            )
        if not (isinstance(spec, type) and issubclass(spec, Spec)):
            raise ProviderNotLoaded(
                f"{named}: the spec of {kind} is not a subclass of "
                f"activities.providers.provider.Spec: {_WHAT_TO_DO}"
            )
    return provider


def _created(
    name: str, provider_type: ProviderType, environment: Mapping[str, str]
) -> Provider | None:
    try:
        provider = provider_type.create(environment)
    except (Exception, SystemExit) as error:
        # Without its text, which may hold a secret of the environment.
        raise ProviderNotLoaded(
            f"the provider {name} can't be created ({type(error).__name__}): correct its settings"
        ) from error
    if provider is not None and dict(provider.kinds) != dict(provider_type.kinds):
        raise ProviderNotLoaded(
            f"the provider {name} has other kinds than its ProviderType: {_WHAT_TO_DO}"
        )
    return provider
