"""``nexus-node`` as real processes on a real chain, driven over real TLS."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nexus_chain.chain.earnings import sum_settlements
from nexus_chain.chain.errors import UnfundedWalletError
from nexus_chain.chain.local import free_port
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Receipt
from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.digests import rows_request_digest
from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError
from nexus_chain.wire.tls_peer import dial
from node.daemon.upkeep.readiness import REGISTER_GAS, check_funds
from tests.support.network import PRICE, Network, NodeProcess, network
from tests.support.order_client import OrderClient
from tests.support.waiting import wait_until
from tests.support.workplace import PROMPT, PROMPT_TREE, whole_answer


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("network")) as made:
        yield made


@pytest.fixture(scope="module")
def pair(net: Network) -> Iterator[list[NodeProcess]]:
    """Two registered daemons that serve the whole model."""
    # The last one is lent less memory than its shard has bytes, and runs it from disk.
    streaming = ("--memory-limit", "100kB", "--verification", "lazy")
    nodes = [
        NodeProcess(net, net.folder / "first", 0, 1),
        NodeProcess(net, net.folder / "last", 1, 3, extra=streaming),
    ]
    for node in nodes:
        done = node.run("register", "--stake", str(10**17))
        assert done.returncode == 0, done.stderr
        node.start()
    yield nodes
    for node in nodes:
        if node.process is not None:
            node.stop()


@pytest.fixture
def client(net: Network, pair: list[NodeProcess]) -> Iterator[OrderClient]:
    for node in pair:
        if node.process is None:
            node.start()
    made = OrderClient(net, pair)
    yield made
    made.hang_up()


def test_answer_from_two_processes_is_the_whole_models_answer(client: OrderClient, pair: list[NodeProcess]) -> None:
    client.begin()
    client.pay(32)
    client.decode(32)
    receipts = client.close(len(PROMPT) + 32)
    assert client.tokens == whole_answer(PROMPT, 33)
    assert receipts[1].in_root == receipts[0].out_root
    assert client.peers[0].describe().context == 64
    for node, receipt in zip(pair, receipts, strict=True):
        served = json.loads(node.run("status", "--json").stdout)["served_answers"][-1]
        assert (served["tx_id"], served["node_id"]) == ("0x" + receipt.order_digest.hex(), node.address)
        assert (served["user_id"], served["tokens_processed"]) == (client.key.address, len(PROMPT) + 32)
        assert served["cost_wei"] == (len(PROMPT) + 32) * PRICE == served["node_share_wei"] + served["vault_share_wei"]


def test_killed_in_the_middle_of_an_answer_it_continues_with_the_same_bits(
    client: OrderClient, pair: list[NodeProcess]
) -> None:
    client.begin()
    client.pay(20)
    client.decode(7)
    client.hang_up()
    for node in pair:
        node.kill()
        assert node.code == -9
        status = json.loads(node.run("status", "--json").stdout)
        assert status["unposted_wei"] >= 25 * PRICE
        assert (status["running"], status["registered"]) == (False, True)
        assert (status["open_games"], status["answers_wei"], "warning" in status) == (0, 0, False)
        node.start()
    assert client.connect() == [12, 12]
    again = client.feed(10, client.sequence[10:12])
    assert again == client.tokens[6:8]
    client.decode(13)
    client.close(len(PROMPT) + 20)
    assert client.tokens == whole_answer(PROMPT, 21)
    reply = client.peers[1].receipts(client.digest)
    assert [Receipt.from_json(one.json).to_position for one in reply.receipts] == [5, 25]
    assert reply.log_size > max(reply.log_index)


def test_kept_rows_are_given_to_the_session_key(client: OrderClient, pair: list[NodeProcess]) -> None:
    client.begin()
    at = int(time.time())
    digest = rows_request_digest(client.digest, bytes.fromhex(pair[0].address[2:]), at)
    request = wire.BoundaryRowsRequest(order_digest=client.digest, time=at, signature=client.key.sign_digest(digest))
    kept = np.array(PROMPT, np.int32).tobytes()
    assert client.peers[0].boundary_rows(request).rows == kept
    request.from_position = 2
    assert client.peers[0].boundary_rows(request).rows == kept[8:]


def test_refusals_carry_their_name_and_advice(client: OrderClient) -> None:
    client.begin()
    with pytest.raises(NodeRefusedError, match="prepays the next chunk") as refusal:
        client.decode(1)
    assert refusal.value.error_name == "NotPrepaidError"
    with pytest.raises(NodeRefusedError) as refusal:
        client.peers[0].begin_close_chunk(bytes(32), 0, 5, [])()
    assert refusal.value.error_name == "UnknownOrderError"


def test_messages_that_make_no_sense_are_refused(client: OrderClient) -> None:
    client.connect()
    with pytest.raises(NodeRefusedError) as refusal:
        client.peers[1].begin_forward(client.digest, 0, np.array(PROMPT, np.int32))()
    assert refusal.value.error_name == "MalformedRequestError"


def test_a_node_of_the_answer_cannot_feed_another_in_the_clients_name(client: OrderClient) -> None:
    client.connect()
    order, voucher = (client.order, client.key.sign(client.order, client.domain)), client.voucher(len(PROMPT))
    other = dial(client.nodes[0].contact)
    calls = (
        lambda: other.begin_forward(client.digest, 0, np.array(PROMPT, np.int32))(),
        lambda: other.begin_close_chunk(client.digest, 0, 5, [])(),
    )
    for signer in (None, Wallet.ephemeral()):
        if signer is not None:
            other.open_order(order, 0, len(PROMPT), PROMPT, voucher, signer.sign_digest, prompt_tree=PROMPT_TREE)
        for call in calls:
            with pytest.raises(NodeRefusedError) as refusal:
                call()
            assert refusal.value.error_name == "NotAuthorisedError"
    other.close()
    client.tokens += client.feed(0, PROMPT)
    client.close(len(PROMPT))


def test_voucher_and_order_by_a_stranger_are_refused(client: OrderClient) -> None:
    client.begin()
    stranger = Wallet.ephemeral()
    document, _ = client.voucher(10)
    rows, forged = np.array([7], np.int32), (document, stranger.sign(document, client.domain))
    with pytest.raises(NodeRefusedError) as refusal:
        client.peers[0].begin_forward(client.digest, len(PROMPT), rows, voucher=forged)()
    assert refusal.value.error_name == "WrongSignerError"


def test_sigterm_ends_the_chunk_posts_the_vouchers_and_the_root(
    net: Network, client: OrderClient, pair: list[NodeProcess]
) -> None:
    client.begin()
    said = pair[0].stop()
    assert pair[0].code == 0
    assert "stopped" in said
    line = net.user.market.line_of(client.session, pair[0].address)
    assert line.cumulative == 5 * PRICE
    assert net.user.market.receipt_log_of(pair[0].address).count >= 1
    with pytest.raises(NodeUnreachableError):
        dial(pair[0].contact)


def test_a_closed_session_is_posted_settled_and_withdrawn_by_itself(
    net: Network, client: OrderClient, pair: list[NodeProcess]
) -> None:
    client.begin()
    market = net.user.market
    net.user.market.close(client.session)
    for node in pair:
        wait_until(lambda node=node: market.line_of(client.session, node.address).cumulative == 5 * PRICE)
    net.chain.advance(120)
    for node in pair:
        wait_until(lambda node=node: market.line_of(client.session, node.address).settled)
        wait_until(lambda node=node: market.balance_of(node.address) == 0)
    sums = sum_settlements(net.user, session=client.session)
    assert (sums.lines, sums.to_vault) == (2, 2 * (5 * PRICE // 10))
    told = json.loads(pair[0].run("status", "--earnings", "--json").stdout)
    assert told["earned_wei"] == sum_settlements(net.user, node=pair[0].address).to_nodes > 0
    assert told["vault_revenue_wei"] == sum_settlements(net.user).to_vault >= sums.to_vault


# --------------------------------------------------------------------- bad starts


@pytest.fixture
def fresh(net: Network, tmp_path: Path) -> NodeProcess:
    """A node that is not registered."""
    return NodeProcess(net, tmp_path / "node", 0, 1)


def test_start_without_registration_says_what_to_do(fresh: NodeProcess) -> None:
    done = fresh.run("start")
    assert done.returncode == 1
    assert "nexus-node register" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_chain_is_refused(fresh: NodeProcess) -> None:
    fresh.chain_id = 1
    done = fresh.run("register")
    assert done.returncode == 1
    assert "chain 31337" in done.stderr


def test_unfunded_wallet_is_told_what_it_needs(net: Network, fresh: NodeProcess) -> None:
    net.chain.set_balance(fresh.address, 0)
    done = fresh.run("register")
    assert done.returncode == 1
    assert f"to {fresh.address}" in done.stderr


def test_tampered_block_names_tensor_and_rows(fresh: NodeProcess, net: Network) -> None:
    assert fresh.run("register").returncode == 0
    original = net.block(0, 1)
    copy = net.block(0, 99)
    data = bytearray(original.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    index = original.with_name(original.name + ".index.json")
    copy.with_name(copy.name + ".index.json").write_bytes(index.read_bytes())
    fresh.end_layer = 99
    done = fresh.run("start")
    assert done.returncode == 1
    assert "differs from its commitment in rows" in done.stderr


def test_port_in_use_is_said(fresh: NodeProcess) -> None:
    assert fresh.run("register").returncode == 0
    with socket.create_server(("127.0.0.1", fresh.port)):
        done = fresh.run("start")
    assert done.returncode == 1
    assert "--listen" in done.stderr


def test_second_daemon_on_one_folder_is_refused(pair: list[NodeProcess]) -> None:
    if pair[1].process is None:
        pair[1].start()
    done = pair[1].run("start")
    assert done.returncode == 1
    assert "another daemon" in done.stderr


def test_register_again_brings_endpoint_and_stake_up_to_date(fresh: NodeProcess, net: Network) -> None:
    assert fresh.run("register").returncode == 0
    assert "nothing to change" in fresh.run("register").stdout
    fresh.port = free_port()
    done = fresh.run("register", "--stake", str(2 * 10**17))
    assert "changed the endpoint" in done.stdout
    record = net.user.nodes.node(fresh.address)
    assert (record.endpoint, record.stake) == (f"127.0.0.1:{fresh.port}", 2 * 10**17)


def refused(node: NodeProcess, net: Network, *words: str) -> str:
    """What a refused registration says: neither a wei nor a file is gone, and the chain knows no node."""
    before, files = net.chain.connection.balance(node.address), set(node.folder.iterdir())
    done = node.run(*words, "register")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert net.chain.connection.balance(node.address) == before
    assert set(node.folder.iterdir()) - files <= {node.folder / ".lock"}
    return done.stderr


def test_register_looks_at_everything_before_it_stakes(fresh: NodeProcess, net: Network) -> None:
    assert "there is no block /nonexistent" in refused(fresh, net, "--block", "/nonexistent")
    assert "is not a version id" in refused(fresh, net, "--model-version", "0x" + net.version.hex()[:8])
    assert "knows no model version" in refused(fresh, net, "--model-version", "0x" + "ab" * 32)
    assert "does not reach" in refused(fresh, net, "--endpoint", f"127.0.0.1:{free_port()}")
    assert "is not host:port" in refused(fresh, net, "--endpoint", "nowhere")
    with socket.create_server(("127.0.0.1", fresh.port)):
        assert "--listen" in refused(fresh, net)
    assert fresh.run("register").returncode == 0
    assert "price: 1000000000 -> 20" in fresh.run("--price", "20", "register").stdout


def test_no_registration_is_sent_with_more_gas_than_is_asked_for(net: Network) -> None:
    wallet = Wallet.ephemeral()
    net.chain.set_balance(wallet.address, 10**18)
    nodes = net.user.with_wallet(wallet).nodes
    sent = nodes.register("h" * 251 + ":7070", b"\xff" * 32, Wallet.ephemeral().address, stake=10**17)
    assert int(net.chain.connection.request("eth_getTransactionByHash", sent.hash)["gas"], 16) <= REGISTER_GAS
    with pytest.raises(UnfundedWalletError):
        check_funds(net.user, wallet.address, None, 10**18)


def test_a_second_folder_of_one_wallet_is_refused_while_the_first_serves(
    fresh: NodeProcess, net: Network, tmp_path: Path
) -> None:
    assert fresh.run("register").returncode == 0
    fresh.start()
    assert "nothing to change" in fresh.run("register").stdout
    assert "daemon does not answer there" in fresh.run("--endpoint", "127.0.0.1:1", "register").stderr
    other = NodeProcess(net, tmp_path / "other", 0, 1)
    (other.folder / "wallet.json").write_bytes((fresh.folder / "wallet.json").read_bytes())
    other.address = fresh.address
    assert "from another data folder" in refused(other, net)
    fresh.stop()


def test_unbonding_gives_the_stake_back_after_its_delay(fresh: NodeProcess, net: Network) -> None:
    assert fresh.run("register").returncode == 0
    assert "unbonding" in fresh.run("unbond").stdout
    early = fresh.run("unbond")
    assert early.returncode == 1
    net.chain.advance(net.user.nodes.unbonding_delay() + 1)
    assert "back in the wallet" in fresh.run("unbond").stdout
    assert net.user.nodes.node(fresh.address).stake == 0


def test_withdraw_by_command_settles_what_a_sleeping_node_earned(
    net: Network, client: OrderClient, pair: list[NodeProcess]
) -> None:
    client.begin()
    client.hang_up()
    for node in pair:
        node.kill()
    net.user.market.close(client.session)
    posted = pair[0].run("withdraw")
    assert "posted the voucher" in posted.stdout, posted.stderr
    net.chain.advance(61)
    settled = pair[0].run("withdraw")
    assert "settled the line" in settled.stdout
    assert "withdrew" in settled.stdout
    assert "nothing to settle" in pair[0].run("withdraw").stdout
    assert "root" in pair[0].run("post-root").stdout
