"""What a connection makes of a server's answers: values, or an error of this package whatever the server says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexus_chain.chain.abi_values import encode_abi
from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.dispute_game import DisputeGame
from nexus_chain.chain.errors import ContractRevertedError, RpcRefusedError, TransactionError
from nexus_chain.chain.inference_market import InferenceMarket
from nexus_chain.chain.interface_calls import contract_call, event_in, event_topics
from nexus_chain.chain.provider import RpcProvider
from nexus_chain.chain.rpc_answers import BlockHead, LogEntry, TransactionReceipt
from nexus_chain.keccak import keccak256
from nexus_chain.market.documents import checksum

pytestmark = pytest.mark.fast

MARKET = checksum("0x" + "ab" * 20)
HASH = "0x" + "0f" * 32
BLOCK = {"number": "0x7", "hash": HASH, "timestamp": "0x10", "baseFeePerGas": "0x5"}
RECEIPT = {
    "transactionHash": HASH, "blockNumber": "0x7", "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x3",
    "contractAddress": None, "logs": [],
}  # fmt: skip
UNKNOWN_SESSION = keccak256(b"InferenceMarket_SessionUnknown(bytes32)")[:4] + bytes(32)


class Told(RpcProvider):
    """A provider that has one answer to everything, and remembers what it was asked."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(["http://127.0.0.1:1"], timeout=1.0, retries=0)
        self.answer, self.asked = answer, list[tuple[str, Any]]()

    def make_request(self, method: str, params: Any) -> dict[str, Any]:
        self.asked.append((method, params))
        return self.answer


def connection(**answer: Any) -> ChainConnection:
    return ChainConnection(Told(answer))


def test_what_is_asked_and_what_is_made_of_it() -> None:
    assert connection(result="0x7a69").chain_id() == 31337
    assert connection(result=BLOCK).block() == BlockHead(7, bytes([15]) * 32, 16, 5)
    assert connection(result={**BLOCK, "baseFeePerGas": None}).block(7).base_fee is None
    assert connection(result=None).find_block(8) is None
    assert connection(error={"code": -32000, "message": "header not found"}).find_block(8) is None
    assert connection(result=RECEIPT).receipt(HASH) == TransactionReceipt(HASH, 7, True, 21_000, 3, None, ())
    assert connection(result=None).receipt(HASH) is None
    told = Told({"result": "0x"})
    assert ChainConnection(told).call({"to": MARKET, "data": b"\x01", "value": 3}, 16) == b""
    assert told.asked == [("eth_call", [{"to": MARKET, "data": "0x01", "value": "0x3"}, "0x10"])]


@pytest.mark.parametrize("value", [None, "", "0x", "12", "0xg1", "-0x5", "0x" + "1" * 65, 5, [], {}, True, "0x1 "])
def test_what_is_no_number_makes_no_sense(value: object) -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        connection(result=value).balance(MARKET)


@pytest.mark.parametrize("value", [None, "", "12", "0x1", "0xgg", 5, [], {}])
def test_what_are_no_bytes_makes_no_sense(value: object) -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        connection(result=value).code(MARKET)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (ChainConnection.block, []),
        (ChainConnection.block, None),
        (ChainConnection.block, {**BLOCK, "hash": "0x12"}),
        (ChainConnection.block, {**BLOCK, "timestamp": None}),
        (lambda asked: asked.receipt(HASH), {**RECEIPT, "logs": None}),
        (lambda asked: asked.receipt(HASH), {**RECEIPT, "contractAddress": "0x12"}),
        (lambda asked: asked.receipt(HASH), "mined"),
        (lambda asked: asked.transaction(HASH), "mined"),
        (lambda asked: asked.logs(MARKET, [], 1, 2), {}),
        (lambda asked: asked.logs(MARKET, [], 1, 2), [{"address": MARKET}]),
    ],
)
def test_objects_with_parts_missing_make_no_sense(read: Callable[[ChainConnection], object], value: object) -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        read(connection(result=value))


def test_an_answer_without_a_result_makes_no_sense() -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        connection(id=1).block_number()


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted", "data": "0x" + UNKNOWN_SESSION.hex()},
        {"code": -32015, "message": "VM execution error.", "data": "Reverted 0x" + UNKNOWN_SESSION.hex()},
    ],
)
def test_a_contracts_refusal_is_named(error: dict[str, object]) -> None:
    market = InferenceMarket(connection(error=error), MARKET)
    with pytest.raises(ContractRevertedError, match="InferenceMarket_SessionUnknown") as raised:
        market.session_of(bytes(32))
    assert raised.value.arguments == {"session": bytes(32)}


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted"},
        {"message": "VM Exception while processing transaction: revert"},
        {"message": "execution reverted", "data": None},
        {"message": "reverted", "data": {"0xab": {"error": "revert"}}},
        {"message": "execution reverted", "data": "no hexadecimal"},
    ],
)
def test_a_refusal_without_its_data_is_one_all_the_same(error: dict[str, object]) -> None:
    with pytest.raises(ContractRevertedError, match="Unknown"):
        connection(error=error).call({"to": MARKET, "data": b""})


def test_a_servers_refusal_is_shown_by_its_first_line_and_kept_whole() -> None:
    with pytest.raises(RpcRefusedError, match="refused: Nonce too low") as raised:
        connection(error={"code": -32000, "message": "Nonce too low\nat line 7"}).gas_price()
    assert "at line 7" in raised.value.said
    with pytest.raises(RpcRefusedError, match="no reason given"):
        connection(error=" ").gas_price()


@pytest.mark.parametrize("returned", ["0x", "0x00", "0x" + "00" * 32, "0x" + "ff" * 160])
def test_what_is_no_value_of_the_calls_type_makes_no_sense(returned: str) -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        InferenceMarket(connection(result=returned), MARKET).session_of(bytes(32))


def test_arguments_of_another_type_are_said_before_anything_is_asked() -> None:
    with pytest.raises(TransactionError, match="sessionOf cannot be called"):
        contract_call("InferenceMarket", MARKET, "sessionOf", (b"short",))


# ---------------------------------------------------------------------- events


def settled(topics: int = 3, data: bytes = bytes(128)) -> LogEntry:
    found = [part or bytes(32) for part in event_topics("InferenceMarket", "LineSettled", {})]
    return LogEntry(MARKET, tuple(found[:topics]), data, 7, HASH, 0)


def test_an_event_has_its_arguments_by_name() -> None:
    name, arguments = event_in("InferenceMarket", settled())
    assert name == "LineSettled"
    assert arguments == {
        "session": bytes(32), "node": checksum("0x" + "00" * 20), "toNode": 0, "toVault": 0, "toUser": 0,
        "forfeited": False,
    }  # fmt: skip


@pytest.mark.parametrize("log", [settled(0), settled(1), settled(2), settled(data=b""), settled(data=bytes(33))])
def test_a_log_that_is_no_event_of_the_contract_makes_no_sense(log: LogEntry) -> None:
    with pytest.raises(TransactionError, match="makes no sense"):
        event_in("InferenceMarket", log)


def test_only_indexed_arguments_can_be_looked_for() -> None:
    with pytest.raises(ValueError, match="no indexed toNode"):
        event_topics("InferenceMarket", "LineSettled", {"toNode": 1})


def signature_in(data: bytes) -> bytes | None:
    return DisputeGame(connection(result={"input": "0x" + data.hex(), "to": MARKET}), MARKET).trace_signature(HASH)


def test_a_call_that_was_not_packed_as_usual_is_read_as_the_contract_reads_it() -> None:
    """A node chooses how its transaction is packed: what the contract takes is evidence, however it is packed."""
    descriptors = (0, 0, [], [])
    game = DisputeGame(connection(), MARKET)
    call = game.call("postTrace", 1, [bytes(32)], (descriptors, descriptors), b"\x07" * 65)
    assert signature_in(call.data) == b"\x07" * 65
    moved = (len(call.data) - 4 + 32).to_bytes(32, "big")
    tail = encode_abi(["bytes"], [b"\x08" * 65])[32:-31]  # without its padding
    packed = call.data[: 4 + 3 * 32] + moved + call.data[4 + 4 * 32 :] + bytes(32) + tail
    assert signature_in(packed) == b"\x08" * 65
    assert signature_in(bytes(4) + call.data[4:]) is None
    assert signature_in(call.data[:80]) is None
