// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice The schedules of gas by which moves are refunded and answers paid are at least what the moves take: as
/// transactions of their own, calldata at the dearer of the two prices of EIP-7623 included.
contract DisputeGameGasTest is Disputing {
    uint256 internal constant FEE = 1 gwei;

    function setUp() public override {
        super.setUp();
        vm.fee(FEE);
    }

    /// @dev Gas of a transaction: storage is cold, as in a transaction that nothing came before.
    function _gasOf(address from, uint256 value, bytes memory data) internal returns (uint256 used) {
        vm.cool(address(game));
        vm.cool(address(nodes));
        vm.cool(address(market));
        vm.cool(address(models));
        vm.cool(address(verifier));
        vm.prank(from);
        uint256 before = gasleft();
        (bool done,) = address(game).call{value: value}(data);
        used = before - gasleft();
        assertTrue(done);
        uint256 tokens;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        uint256 floor = 10 * tokens;
        used += 4 * tokens;
        used = 21_000 + (used < floor ? floor : used);
    }

    function _committed(address who, bytes32 digest) internal returns (uint256 used) {
        used = _gasOf(who, 0, abi.encodeCall(game.commit, (keccak256(abi.encode(digest, who, SECRET)))));
        skip(1);
    }

    function _openingGas(address who) internal returns (uint256 id, uint256 used) {
        used = _committed(who, _digest(SignedDocuments.hash(_receipt())));
        used += _gasOf(who, game.bondNow(), abi.encodeCall(game.openStep, (_opening(_receipt()))));
        id = game.gameCount();
    }

    /// @dev The claim is of all that a game costs beside its picks: commitment, opening, `void` and `withdraw`.
    function test_openingIsRefundedWhole() public {
        (uint256 first, uint256 firstGas) = _openingGas(carol);
        (uint256 second, uint256 secondGas) = _openingGas(dave);
        uint256 refunded = game.gameOf(first).refund;
        uint256 again = game.gameOf(second).refund;
        _equivocate(makeAddr("a third"));
        firstGas += _gasOf(carol, 0, abi.encodeCall(game.void, (first)));
        firstGas += _gasOf(carol, 0, abi.encodeCall(IPullPayments.withdraw, ()));
        secondGas += _gasOf(dave, 0, abi.encodeCall(game.void, (second)));
        secondGas += _gasOf(dave, 0, abi.encodeCall(IPullPayments.withdraw, ()));
        emit log_named_uint("first", firstGas);
        emit log_named_uint("second", secondGas);
        _assertCovers(refunded, firstGas);
        _assertCovers(again, secondGas);
    }

    function test_picksAreRefundedWhole() public {
        uint256 id = _openStep(carol);
        _postTrace(id);
        uint256 before = game.gameOf(id).refund;
        uint256 used = _gasOf(carol, 0, abi.encodeCall(game.pickTensor, (id, 1, _posted(id))));
        emit log_named_uint("pickTensor", used);
        _assertCovers(game.gameOf(id).refund - before, used);
        _postRows(id, ATTENTION);
        before = game.gameOf(id).refund;
        used = _gasOf(carol, 0, abi.encodeCall(game.pickLeaf, (id, 1, _posted(id))));
        emit log_named_uint("pickLeaf", used);
        _assertCovers(game.gameOf(id).refund - before, used);
        _postBytes(id, 1);
        before = game.gameOf(id).refund;
        used = _gasOf(carol, 0, abi.encodeCall(game.pickElement, (id, 7, _posted(id))));
        emit log_named_uint("pickElement", used);
        _assertCovers(game.gameOf(id).refund - before, used);
    }

    function test_timeoutIsRefundedWhole() public {
        uint256 id = _openStep(carol);
        uint256 before = game.gameOf(id).refund + game.gameOf(id).bond;
        _passDeadlineOf(id);
        uint256 used = _gasOf(carol, 0, abi.encodeCall(game.timeout, (id)));
        emit log_named_uint("timeout", used);
        _assertCovers(game.balanceOf(carol) - before - BOUNTY, used);
    }

    function test_verdictIsRefundedWhole(uint256 stepGas) public {
        stepGas = bound(stepGas, 0, 2_000_000);
        uint256 id = _atConvict(carol);
        uint256 before = game.gameOf(id).refund + game.gameOf(id).bond;
        verifier.setVerdict(true);
        verifier.setGasNeeded(stepGas);
        bytes memory witness = new bytes(4096);
        for (uint256 i = 0; i < 4096; ++i) {
            witness[i] = 0x01;
        }
        uint256 used = _gasOf(carol, 0, abi.encodeCall(game.convict, (id, witness)));
        emit log_named_uint("convict beyond its step", used - stepGas);
        uint256 paid = game.balanceOf(carol) - before - BOUNTY;
        _assertCovers(paid, used);
        assertLe(paid, 3_750_000 * FEE);
    }

    function test_contradictionsAreRefundedWhole() public {
        address finder = makeAddr("a finder");
        _equivocate(finder);
    }

    function _equivocate(address finder) internal {
        (SignedDocuments.Receipt memory one, SignedDocuments.Receipt memory two) = (_receipt(), _receipt());
        two.outRoot = keccak256("another output");
        (one.predecessors, two.predecessors) = (new bytes32[](16), new bytes32[](16));
        bytes memory a = _signature(_receiptSecret(alice), SignedDocuments.hash(one));
        bytes memory b = _signature(_receiptSecret(alice), SignedDocuments.hash(two));
        uint256 used = _committed(finder, _digest(SignedDocuments.hash(one)));
        used += _gasOf(finder, 0, abi.encodeCall(game.equivocate, (one, a, two, b, SECRET)));
        uint256 earned = game.balanceOf(finder);
        used += _gasOf(finder, 0, abi.encodeCall(IPullPayments.withdraw, ()));
        emit log_named_uint("equivocate", used);
        _assertCovers(earned - BOUNTY, used);
    }

    function _assertCovers(uint256 paid, uint256 used) internal pure {
        assertGe(paid * 4 / 5, used * FEE, "no more is taken than is refunded");
        assertLe(paid * 4 / 5, 2 * used * FEE, "and the schedule is no gift");
    }

    // ---------------------------------------------------------------- answers

    function _answered(uint256 id, bytes memory data) internal {
        bytes32 receipt = game.gameOf(id).receipt;
        uint256 before = game.dueFor(receipt);
        uint256 used = _gasOf(stranger, 0, data);
        uint256 due = game.dueFor(receipt) - before;
        emit log_named_uint("answer takes", used);
        emit log_named_uint("        is due", due / FEE);
        assertGe(due, used * FEE, "every answer is paid whole");
        assertLe(due, 3 * used * FEE);
    }

    function test_answersArePaidWhole() public {
        uint256 id = _openStep(carol);
        IStepVerifier.Boundary memory boundary;
        bytes memory signature = _signature(
            _receiptSecret(alice), SignedDocuments.hash(SignedDocuments.Trace(game.gameOf(id).receipt, _traceRoot()))
        );
        _answered(id, abi.encodeCall(game.postTrace, (id, roots, boundary, signature)));
        _pickTensor(id, 1);
        _answered(id, abi.encodeCall(game.postRows, (id, _pathOf(1), _producer(ATTENTION), _leafHashes())));
        _pickLeaf(id, 1);
        _answered(id, abi.encodeCall(game.postBytes, (id, _pathOfLeaf(1), rows[1])));
        _pickElement(id, 7);
        (bytes memory records, bytes memory scores) = (_dense(3000), _dense(20_000));
        bytes32 root = keccak256(abi.encode(uint32(7), records, scores));
        SignedDocuments.Scores memory document = SignedDocuments.Scores(game.gameOf(id).receipt, 1, 1, 7, root);
        signature = _signature(_receiptSecret(alice), SignedDocuments.hash(document));
        _answered(id, abi.encodeCall(game.postScores, (id, _producer(ATTENTION), records, scores, signature)));
    }

    function test_largestTraceIsPaidWhole() public {
        verifier.setTensors(2048);
        bytes32[] memory many = new bytes32[](2048);
        for (uint256 i = 0; i < 2048; ++i) {
            many[i] = keccak256(abi.encode(i));
        }
        (many[0], many[2047]) = (roots[0], roots[3]);
        roots = many;
        uint256 id = _openStep(carol);
        IStepVerifier.Boundary memory boundary;
        bytes memory signature = _signature(
            _receiptSecret(alice), SignedDocuments.hash(SignedDocuments.Trace(game.gameOf(id).receipt, _traceRoot()))
        );
        _answered(id, abi.encodeCall(game.postTrace, (id, many, boundary, signature)));
        assertLt(game.dueFor(game.gameOf(id).receipt), ANSWERS_GAS / 2 * FEE);
    }

    function _dense(uint256 length) internal pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            data[i] = 0xa5;
        }
    }
}
