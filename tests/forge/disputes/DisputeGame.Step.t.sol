// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {TensorCommitments} from "../../../contracts/step/libraries/TensorCommitments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice The moves of a step game, in order and out of order, and what their answers must contain.
contract DisputeGameStepTest is Disputing {
    function test_convict_takesTheStakeAndPaysFinderAndVault() public {
        vm.fee(1 gwei);
        _post(session, alice, 0.2 ether);
        uint256 id = _atConvict(carol);
        uint256 moves = game.gameOf(id).refund;
        verifier.setVerdict(true);
        verifier.setGasNeeded(7_000_000); // beyond what is ever refunded
        game.convict(id, "witness");

        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Convicted));
        assertTrue(nodes.isConvicted(alice));
        uint256 refund = moves + uint256(6_000_000 * 1 gwei) * 5 / 4;
        assertEq(nodes.balanceOf(address(vault)), 0.5 ether); // half of the stake of one ether
        assertEq(game.balanceOf(user), 0);
        assertEq(game.balanceOf(carol), BOND + refund + BOUNTY);
        assertEq(game.setAsideFor(alice), 0.5 ether - refund - BOUNTY);
        assertEq(address(game).balance, BOND + 0.5 ether);
        assertEq(game.claimsOn(alice), 0);
        assertEq(nodes.node(alice).openGames, 0);
        assertEq(market.lineOf(session, alice).openGames, 0);
        _close(session);
        _passWindowOf(session, alice);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), 1 ether, "the whole cap goes back");
        market.settle(session, bob);
        assertEq(market.lineOf(session, bob).settled, true, "co-workers are settled as ever");
    }

    function test_convict_byScores_ofAttention() public {
        uint256 id = _atConvict(carol, ATTENTION);
        _pickElement(id, 7);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Scores));
        _postScores(id);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.ConvictScores));
        verifier.setVerdict(true);
        game.convict(id, "witness");
        assertTrue(nodes.isConvicted(alice));
    }

    function test_convict_matchingStep_revertsAndAcquitsNobody() public {
        uint256 id = _atConvict(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_StepMatches.selector, id));
        vm.prank(alice);
        game.convict(id, "witness");
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Convict));
        verifier.setVerdict(true);
        game.convict(id, "witness");
        assertTrue(nodes.isConvicted(alice));
    }

    function test_convict_beforeItsTurn_reverts() public {
        uint256 id = _openStep(carol);
        vm.expectRevert(
            abi.encodeWithSelector(IDisputeRecords.DisputeGame_WrongState.selector, id, IDisputeRecords.State.Trace)
        );
        game.convict(id, "witness");
    }

    function test_postTrace_withoutTheNodesSignature_reverts() public {
        uint256 id = _openStep(carol);
        IStepVerifier.Boundary memory boundary;
        bytes32 structHash = SignedDocuments.hash(SignedDocuments.Trace(game.gameOf(id).receipt, _traceRoot()));
        bytes memory signature = _signature(_receiptSecret(bob), structHash);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.postTrace(id, roots, boundary, signature);
    }

    function test_postTrace_cutShortOrOfAnotherReceipt_reverts() public {
        uint256 id = _openStep(carol);
        IStepVerifier.Boundary memory boundary;
        bytes32[] memory list = roots;
        list[3] = keccak256("another output");
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_WrongRoot.selector);
        game.postTrace(id, list, boundary, "");
        list = roots;
        list[0] = keccak256("another input");
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_WrongRoot.selector);
        game.postTrace(id, list, boundary, "");
        verifier.setTensors(5);
        list = roots;
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_WrongCount.selector, 4, 5));
        game.postTrace(id, list, boundary, "");
    }

    function test_postRows_ofAnotherShape_reverts() public {
        uint256 id = _openStep(carol);
        _postTrace(id);
        _pickTensor(id, 1);
        verifier.setShape(1, 3, _shape(300, 3), 3); // what the program says is not what the node committed to
        bytes32[] memory path = _pathOf(1);
        bytes32[] memory hashes = _leafHashes();
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_WrongRoot.selector);
        game.postRows(id, path, _producer(LINEAR), hashes);
        verifier.setShape(1, 3, _shape(3, 300), 4);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_WrongCount.selector, 3, 4));
        game.postRows(id, path, _producer(LINEAR), hashes);
    }

    function test_postBytes_ofAnotherLeafOrLength_reverts() public {
        uint256 id = _openStep(carol);
        _postTrace(id);
        _pickTensor(id, 1);
        _postRows(id, LINEAR);
        _pickLeaf(id, 1);
        bytes32[] memory path = _pathOfLeaf(1);
        bytes memory other = rows[2];
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_WrongRoot.selector);
        game.postBytes(id, path, other);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_WrongCount.selector, 3, 1200));
        game.postBytes(id, path, "abc");
    }

    function test_picks_outsideOfWhatThereIs_revert() public {
        uint256 id = _openStep(carol);
        _postTrace(id);
        bytes32 trace = _posted(id);
        vm.startPrank(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BadIndex.selector, 4, 4));
        game.pickTensor(id, 4, trace);
        game.pickTensor(id, 1, trace);
        _postRows(id, ATTENTION);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BadIndex.selector, 3, 3));
        game.pickLeaf(id, 3, trace);
        game.pickLeaf(id, 0, trace);
        _postBytes(id, 0);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BadIndex.selector, 300, 300));
        game.pickElement(id, 300, trace);
    }

    function test_pickElement_ofAnythingButAttention_reverts() public {
        uint256 id = _atConvict(carol);
        bytes32 trace = _posted(id);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NotAttention.selector, id, LINEAR));
        vm.prank(carol);
        game.pickElement(id, 0, trace);
    }

    function test_picks_byAnother_revert() public {
        uint256 id = _openStep(carol);
        _postTrace(id);
        bytes32 trace = _posted(id);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NotChallenger.selector, id, dave));
        vm.prank(dave);
        game.pickTensor(id, 1, trace);
    }

    /// @dev A block with the trace that a pick was made for was replaced, and the node posted another trace: the pick is
    /// refused, whatever it picks.
    function test_picks_ofAnotherTrace_revert() public {
        uint256 id = _openStep(carol);
        uint256 before = vm.snapshotState();
        _postTrace(id);
        bytes32 seen = _posted(id);
        vm.revertToState(before);
        roots[2] = keccak256("another tensor 2");
        _postTrace(id);
        bytes32 found = _posted(id);
        bytes memory refusal = abi.encodeWithSelector(IDisputeRecords.DisputeGame_OtherTrace.selector, found, seen);
        vm.startPrank(carol);
        vm.expectRevert(refusal);
        game.pickTensor(id, 1, seen);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_OtherTrace.selector, found, bytes32(0)));
        game.pickTensor(id, 1, 0);
        game.pickTensor(id, 1, found);
        _postRows(id, ATTENTION);
        vm.expectRevert(refusal);
        game.pickLeaf(id, 1, seen);
        game.pickLeaf(id, 1, found);
        _postBytes(id, 1);
        vm.expectRevert(refusal);
        game.pickElement(id, 7, seen);
        game.pickElement(id, 7, found);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Scores));
    }

    /// @dev More leaves than one answer holds: one more pair of moves.
    function test_pickSubtree_ofATensorWithManyLeaves() public {
        uint256 leaves = 2048 + 5;
        bytes32[] memory hashes = new bytes32[](leaves);
        bytes memory row = new bytes(1024);
        for (uint256 i = 0; i < leaves; ++i) {
            hashes[i] = keccak256(abi.encode(i));
        }
        hashes[2050] = TensorCommitments.leafHash(row);
        bytes32[] memory first = new bytes32[](2048);
        bytes32[] memory last = new bytes32[](5);
        for (uint256 i = 0; i < leaves; ++i) {
            if (i < 2048) first[i] = hashes[i];
            else last[i - 2048] = hashes[i];
        }
        bytes32[] memory lastKept = abi.decode(abi.encode(last), (bytes32[]));
        bytes32[] memory subtrees = new bytes32[](2);
        (subtrees[0], subtrees[1]) = (_tree(first), _tree(last));
        verifier.setShape(1, 3, _shape(uint64(leaves), 256), leaves);
        roots[1] = _tensorRoot(_shape(uint64(leaves), 256), _tree(hashes));

        uint256 id = _openStep(carol);
        _postTrace(id);
        bytes32 trace = _posted(id);
        _pickTensor(id, 1);
        game.postRows(id, _pathOf(1), _producer(LINEAR), subtrees);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.PickSubtree));
        vm.startPrank(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BadIndex.selector, 2, 2));
        game.pickSubtree(id, 2, trace);
        game.pickSubtree(id, 1, trace);
        bytes32[] memory path = new bytes32[](1);
        path[0] = subtrees[0];
        game.postSubtree(id, path, lastKept);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BadIndex.selector, 7, leaves));
        game.pickLeaf(id, 7, trace); // in the other subtree
        game.pickLeaf(id, 2050, trace);
        // leaf 2 of 5: its neighbour, the pair before, the last one alone, then the other subtree
        bytes32[] memory siblings = new bytes32[](4);
        siblings[0] = lastKept[3];
        siblings[1] = TensorCommitments.nodeHash(lastKept[0], lastKept[1]);
        siblings[2] = lastKept[4];
        siblings[3] = subtrees[0];
        game.postBytes(id, siblings, row);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Convict));
    }

    /// @dev The largest answer: 2 048 tensor roots, calldata and event included. The bond reckons with three of 3 M.
    function test_postTrace_ofTheLargestSegment_fitsTheBond() public {
        verifier.setTensors(2048);
        bytes32[] memory many = new bytes32[](2048);
        for (uint256 i = 0; i < 2048; ++i) {
            many[i] = keccak256(abi.encode(i));
        }
        (many[0], many[2047]) = (roots[0], roots[3]);
        roots = many;
        uint256 id = _openStep(carol);
        IStepVerifier.Boundary memory boundary;
        bytes32 structHash = SignedDocuments.hash(SignedDocuments.Trace(game.gameOf(id).receipt, _traceRoot()));
        bytes memory signature = _signature(_receiptSecret(alice), structHash);
        bytes memory data = abi.encodeCall(game.postTrace, (id, many, boundary, signature));
        uint256 before = gasleft();
        (bool done,) = address(game).call(data);
        uint256 used = before - gasleft() + 21_000 + 16 * data.length;
        assertTrue(done);
        assertLt(used, 3_500_000);
        assertLt(used, ANSWERS_GAS / 2);
    }
}
