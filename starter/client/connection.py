"""Connects to Temporal as the environment says."""

from collections.abc import Mapping

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from starter.client.environment import DEFAULT_ADDRESS, options_of
from starter.client.errors import Unreachable
from workflows.contract.admission import DATA_CONVERTER


async def connect(environment: Mapping[str, str], runtime: Runtime | None = None) -> Client:
    """Connect to the Temporal that TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, ... name.

    Raises Unreachable, with what to do.
    """
    try:
        config = ClientConfig.load_client_connect_config(override_env_vars=dict(environment))
    except (RuntimeError, ValueError, OSError) as error:
        raise Unreachable(f"Temporal's settings are wrong: {_first_line(error)}") from None
    config.setdefault("target_host", DEFAULT_ADDRESS)
    address = config["target_host"]
    try:
        return await Client.connect(**config, data_converter=DATA_CONVERTER, runtime=runtime)
    except (RuntimeError, RPCError, ValueError) as error:
        raise Unreachable(
            f"Temporal at {address} can't be reached: run amends up here, or set "
            f"TEMPORAL_ADDRESS ({_cause(error)})"
        ) from None


def server_options(client: Client) -> str:
    """The options, after a space, with which a command of the official CLI finds the server of
    this client; empty where that looks by itself."""
    return options_of(client.service_client.config.target_host, client.namespace)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _cause(error: Exception) -> str:
    # Temporal's client wraps the error of the socket in five layers of its own.
    text = str(error)
    for known in ("Connection refused", "dns error", "timed out", "certificate", "Unauthenticated"):
        if known.lower() in text.lower():
            return known.lower()
    return type(error).__name__
