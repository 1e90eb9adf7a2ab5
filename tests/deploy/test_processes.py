"""What tests and the demo start their processes with."""

import random
import socket

from deploy.demo.processes import free_port


def test_a_port_is_told_once() -> None:
    assert len({free_port() for _ in range(500)}) == 500


def test_a_port_follows_no_seed() -> None:
    random.seed(1)
    first = [free_port() for _ in range(3)]
    random.seed(1)
    assert set(first).isdisjoint(free_port() for _ in range(3))


def test_a_port_that_somebody_has_is_not_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
        assert free_port() != port


def test_a_preferred_port_is_told_again() -> None:
    port = free_port()
    assert free_port(port) == port
