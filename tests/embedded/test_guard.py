"""Who reaches the embedded Temporal: our own user, and pages of the Web UI's own address."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from temporalio.client import Client

from worker.embedded.ports import HOST
from worker.embedded.private_network import Connections, is_possible
from worker.embedded.servers import EmbeddedServers

ANOTHER_USER = 65534
# It has imported all that it needs before it becomes another user, who may not read our files.
AS_ANOTHER = f"""
import asyncio, encodings.idna, os, socket, sys
from temporalio.client import Client
from workflows.contract.kinds import PAYMENTS

address, web_ui = sys.argv[1:]
os.setgroups([]); os.setgid({ANOTHER_USER}); os.setuid({ANOTHER_USER})

async def main():
    try:
        client = await Client.connect(address)
        await client.start_workflow(
            "PaymentSaga", {{}}, id="payment/of-another", task_queue=PAYMENTS.default
        )
    except RuntimeError as error:
        print("no start", type(error).__name__)

asyncio.run(main())
for url in (address, web_ui.removeprefix("http://")):
    host, port = url.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as silent:
        try:
            print("closed", silent.recv(1))
        except ConnectionError:
            print("closed", b"")
"""


@pytest.fixture
def guarded(servers: EmbeddedServers) -> EmbeddedServers:
    if not servers.temporal.guarded:
        pytest.skip("the system lets us make no network namespace: sysctl user.max_user_namespaces")
    return servers


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user: sudo make test")
async def test_another_user_of_this_machine_starts_nothing_and_reads_nothing(
    guarded: EmbeddedServers,
) -> None:
    where = (guarded.temporal.address, guarded.temporal.web_ui_url)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", AS_ANOTHER, *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    # The guard's descriptors are for us: it waits for no word of another user.
    assert done.stdout.splitlines() == ["no start RuntimeError", "closed b''", "closed b''"]
    client = await Client.connect(guarded.temporal.address)
    found = await client.count_workflows("WorkflowId = 'payment/of-another'")
    assert found.count == 0


def test_the_port_of_the_server_is_not_on_this_network(guarded: EmbeddedServers) -> None:
    assert guarded.temporal.process is not None
    pid = guarded.temporal.process.pid
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    listening = Path("/proc/self/net/tcp6").read_text()
    assert f":{guarded.temporal.port['temporal']:04X}" not in listening


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": HOST + ":{port}", "Origin": f"http://{HOST}:{{port}}"}, 200),
        # Another user of the machine may listen on that port of [::1], which has this name too.
        ({"Host": "localhost:{port}"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Host": "rebound.example:{port}"}, 403),
        ({"Host": HOST}, 403),
        ({"Origin": "http://another.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_the_web_ui_answers_its_own_address_and_its_own_pages(
    guarded: EmbeddedServers, headers: dict[str, str], status: int
) -> None:
    url, port = guarded.temporal.web_ui_url, guarded.temporal.port["ui"]
    sent = {name: text.format(port=port) for name, text in headers.items()}
    async with aiohttp.ClientSession() as http, http.get(url, headers=sent) as answer:
        text = await answer.text()
    assert answer.status == status
    assert ("<html" in text) == (status == 200)


async def test_a_request_with_a_body_and_a_long_answer_pass_unchanged(
    guarded: EmbeddedServers,
) -> None:
    url = guarded.temporal.web_ui_url
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/api/v1/namespaces") as answer:
            assert "default" in await answer.text()
        # It has an answer of its own for what it does not take: it got the body.
        async with http.post(f"{url}/api/v1/namespaces", json={"name": "A" * 70_000}) as answer:
            assert answer.status >= 400
            assert (await answer.json())["message"]


@pytest.mark.skipif(not is_possible(), reason="the table of connections is Linux's")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_connection_has_an_owner_as_long_as_its_other_end_is_open(
    family: socket.AddressFamily,
) -> None:
    connections = Connections()
    with socket.create_server((HOST, 0)) as server:
        client = socket.socket(family)
        mapped = "::ffff:" if family == socket.AF_INET6 else ""
        client.connect((mapped + HOST, server.getsockname()[1]))
        accepted, peer = server.accept()
        with accepted:
            assert connections.owner(peer, accepted.getsockname()) == os.geteuid()
            client.sendall(b"of whom?")
            client.close()
            # The kernel calls the owner of such a connection 0, as if it were root's.
            assert connections.owner(peer, accepted.getsockname()) is None
