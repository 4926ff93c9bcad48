import socket

import pytest

from rgacli.errors import RunFailed
from rgacli.reproduction.executors.ray import RayExecutor

pytest.importorskip("ray")


def test_an_address_that_nobody_answers_at_is_told_at_once(monkeypatch):
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray would wait"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RunFailed, match=f"there is no Ray cluster at 127.0.0.1:{port}: "):
        RayExecutor(f"127.0.0.1:{port}").run([], lambda: None)


@pytest.mark.parametrize("address", [None, "auto", "ray://head:10001"])
def test_other_addresses_are_rays_to_find(address, monkeypatch):
    def refuse(**given):
        assert given["address"] == address
        raise ConnectionError("no cluster\nhere")

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(RunFailed, match=r"there is no Ray cluster at .*: no cluster here"):
        RayExecutor(address).run([], lambda: None)
