#!/usr/bin/env bash
# Which process is at the other end of a connection to 127.0.0.1, by the tables of Linux, when the client
# is one of gRPC's C core (grpcio: also the base of the clients for Ruby, PHP and Objective-C).
# Guess: a client that is given an IPv4 address has an IPv4 socket, so that its connection stands in
# /proc/net/tcp, as that of any other client of an IPv4 server.
# Seen: it connects an IPv6 socket to the mapped address: /proc/net/tcp has only the server's end, and the
# client's end, with its user, stands in /proc/net/tcp6 under ::ffff:127.0.0.1. A plain socket of the
# same process stands in /proc/net/tcp.
#   grpcio 1.85.3
#   plain socket: client's end in tcp
#   gRPC channel: client's end in tcp6
# What to do instead: look in both tables, the address with its mapped prefix in the second.
set -euo pipefail
[ "$(uname -s)" = Linux ] || { echo "the tables are Linux's"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  grpcio==1.85.3 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
import socket

import grpc

LOOPBACK = {"tcp": "0100007F", "tcp6": "0000000000000000FFFF00000100007F"}


def tables_with(port: int) -> list[str]:
    """The tables in which an established connection has this port at its own end."""
    found = []
    for name, address in LOOPBACK.items():
        with open(f"/proc/self/net/{name}") as table:
            rows = [line.split() for line in table]
        if any(row[1] == f"{address}:{port:04X}" and row[3] == "01" for row in rows[1:]):
            found.append(name)
    return found


print("grpcio", grpc.__version__)
with socket.create_server(("127.0.0.1", 0)) as server:
    address = server.getsockname()
    plain = socket.create_connection(address)
    accepted, peer = server.accept()
    plain_in = tables_with(peer[1])
    print("plain socket: client's end in", *plain_in)
    channel = grpc.insecure_channel("{}:{}".format(*address))
    channel.subscribe(lambda state: None, try_to_connect=True)
    joined, peer = server.accept()
    grpc_in = tables_with(peer[1])
    print("gRPC channel: client's end in", *grpc_in)
    channel.close()
assert plain_in == ["tcp"], plain_in
assert grpc_in == ["tcp6"], "gRPC's core has an IPv4 socket for an IPv4 address now"
PY
