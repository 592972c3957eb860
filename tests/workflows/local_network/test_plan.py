"""What a local network is made of, before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.first_words import first_words
from nexus_chain.workflows.local_network.plan import (
    Places,
    first_node_port,
    gateway_child,
    node_child,
    nodes_of,
    port_is_free,
    require_port,
    threads_each,
    with_ports,
)
from nexus_chain.workflows.local_network.state import (
    CHAT,
    COMPLETION,
    EMBEDDING,
    DepositPlace,
    NetworkState,
    ServedVersion,
)

PLACES = Places(Path("/home"))
SERVED = {"tiny": ServedVersion("0xab", ("/s/layers-0-2.safetensors", "/s/layers-2-6.safetensors"), CHAT)}


def test_each_shard_has_a_node_before_any_has_a_spare() -> None:
    nodes = nodes_of(SERVED, 2, PLACES)
    assert [node.name for node in nodes] == [
        "node-tiny-layers-0-2-1", "node-tiny-layers-2-6-1", "node-tiny-layers-0-2-2", "node-tiny-layers-2-6-2",
    ]  # fmt: skip
    assert nodes[3].shard == "/s/layers-2-6.safetensors"
    assert len({node.data for node in nodes}) == 4


def test_nodes_keep_their_ports_and_move_only_where_others_have_them() -> None:
    nodes = nodes_of(SERVED, 1, PLACES)
    first, second = [node.name for node in nodes]
    fresh = with_ports(nodes, {}, 7070, is_free=lambda port: port != 7071)
    assert [(node.port, moved) for node, moved in fresh] == [(7070, False), (7072, False)]
    again = with_ports(nodes, {first: 7070, second: 7072}, 7070, is_free=lambda port: port != 7070)
    assert [(node.port, moved) for node, moved in again] == [(7071, True), (7072, False)]
    # A port that another node has is not given away while that node is down.
    other = with_ports(nodes[:1], {second: 7070}, 7070, is_free=lambda port: True)
    assert other[0][0].port == 7071


def test_a_port_in_use_is_named_with_the_flag_and_a_free_one() -> None:
    with pytest.raises(LocalNetworkError, match="port 80, where the gateway would listen") as error:
        require_port(80, "--port", "the gateway", is_free=lambda port: port > 81, patience=0)
    assert error.value.advice == "Give --port 82."
    with pytest.raises(LocalNetworkError, match="no port from 65535"):
        require_port(65_534, "--port", "the gateway", is_free=lambda port: False, patience=0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not port_is_free(server.getsockname()[1])


def test_a_port_that_is_being_given_up_is_waited_for() -> None:
    looks = iter([False, False, True, True])
    require_port(80, "--port", "the gateway", is_free=lambda port: next(looks), patience=60)


def test_processes_have_all_their_settings_as_flags() -> None:
    (node, _), *_ = with_ports(nodes_of(SERVED, 1, PLACES), {}, 7070, is_free=lambda port: True)
    plan = node_child(node, "http://127.0.0.1:8545", PLACES, 2)
    words = dict(zip(plan.command[4:-2:2], plan.command[5:-2:2], strict=True))
    assert plan.command[-2:] == ("start", "--yes")
    assert words["--listen"] == "127.0.0.1:7070"
    assert words["--home"] == "/home/up"
    assert words["--threads"] == "2" == str(plan.threads)
    gateway = gateway_child(11434, SERVED, "http://127.0.0.1:8545", PLACES, DepositPlace("0xdead", 7)).command
    assert gateway[-2:] == ("--model", "tiny=0xab")
    assert "/home/up/gateway/api-key" in gateway
    assert gateway[gateway.index("--deposits") + 1] == "0xdead"
    assert gateway[gateway.index("--deposits-block") + 1] == "7"
    assert gateway[gateway.index("--public-rpc") + 1] == "http://127.0.0.1:8545"  # the user's own, on this machine
    assert int(gateway[gateway.index("--open-answers") + 1]) >= 64  # the streams of the benchmark, by one key


def test_networks_of_two_homes_begin_at_ports_of_their_own(tmp_path: Path) -> None:
    firsts = [first_node_port(tmp_path / str(number)) for number in range(20)]
    assert firsts == [first_node_port(tmp_path / str(number)) for number in range(20)]
    assert len(set(firsts)) >= 15
    assert all(first >= 20_000 and first + 32 <= 32_768 for first in firsts)


def test_segments_share_the_cores() -> None:
    assert [threads_each(2, cores) for cores in (1, 2, 4, 9, None)] == [1, 1, 2, 4, 1]


@pytest.mark.parametrize(
    ("kind", "path"), [(CHAT, "chat/completions"), (COMPLETION, "completions"), (EMBEDDING, "embeddings")]
)
def test_what_is_pasted_fits_the_model(kind: str, path: str) -> None:
    state = NetworkState(
        gateway_port=1234, published={"m": ServedVersion("0xab", (), kind)}, models=("m",), chain_port=8545
    )
    lines = list(first_words(state, "sk-nexus-1"))
    assert lines[:2] == ["address  http://127.0.0.1:1234", "page     http://127.0.0.1:1234/app/"]
    assert lines[2] == "API key  sk-nexus-1"
    curl, openai, ollama = lines[-3:]
    assert curl.startswith(f"curl http://127.0.0.1:1234/v1/{path} -H 'Authorization: Bearer sk-nexus-1'")
    assert "base_url=" in openai
    assert ollama.startswith("OLLAMA_HOST=http://127.0.0.1:1234 ")
    for line in (openai, ollama):
        compile(line.split(" -c ", 1)[1].strip("'").replace("'\"'\"'", "'"), "pasted", "exec")
