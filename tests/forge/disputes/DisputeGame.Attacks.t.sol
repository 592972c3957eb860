// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice One regression test per known finding against dispute games, and per attack that the protocol names.
contract DisputeGameAttacksTest is Disputing {
    IDisputeRecords.State internal constant CONVICT = IDisputeRecords.State.Convict;

    function _expectWrongState(uint256 id, IDisputeRecords.State state) internal {
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_WrongState.selector, id, state));
    }

    /// @dev Finding: resolved before its subgame. A timeout cannot end a game while an answer that came in time, in
    /// another game, has passed the turn on.
    function test_finding_resolvedBeforeItsSubgame() public {
        uint256 first = _openStep(carol);
        skip(C - 1);
        uint256 second = _openStep(dave);
        _postTrace(second); // in the last second of the first game, through the second
        _passDeadlineOf(second);
        assertEq(uint8(_state(first)), uint8(IDisputeRecords.State.PickTensor));
        game.timeout(first); // carol's time is over, not alice's
        assertEq(uint8(_state(first)), uint8(IDisputeRecords.State.Acquitted));
        assertFalse(nodes.isConvicted(alice));
    }

    /// @dev Finding: moves after resolution.
    function test_finding_movesAfterResolution() public {
        uint256 id = _atConvict(carol);
        _passDeadlineOf(id);
        game.timeout(id);
        verifier.setVerdict(true);
        _expectWrongState(id, IDisputeRecords.State.Acquitted);
        game.convict(id, "witness");
        _expectWrongState(id, IDisputeRecords.State.Acquitted);
        game.timeout(id);
        _expectWrongState(id, IDisputeRecords.State.Acquitted);
        game.void(id);
        assertEq(game.balanceOf(carol), 0, "the bond is lost once and returned never");
    }

    /// @dev Finding: moves after the deadline, while nobody has called `timeout` yet.
    function test_finding_movesAfterTheDeadline() public {
        uint256 id = _openStep(carol);
        _passDeadlineOf(id);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_TooLate.selector);
        this.postTraceOutside(id);
        game.timeout(id);
        assertTrue(nodes.isConvicted(alice));
    }

    function postTraceOutside(uint256 id) external {
        _postTrace(id);
    }

    /// @dev Finding: a last-second move leaves the other side without time to answer.
    function test_finding_lastSecondMove_leavesAMinimumMove() public {
        uint256 id = _openStep(carol);
        skip(C); // alice answers in her very last second
        _postTrace(id);
        skip(C); // carol too
        _pickTensor(id, 1);
        assertEq(game.gameOf(id).deadline, block.timestamp + M);
        skip(M);
        _postRows(id, LINEAR);
        assertEq(game.gameOf(id).deadline, block.timestamp + M);
    }

    /// @dev Finding: clock arithmetic. However the sides divide their time, a game ends within 2C + 8M.
    function test_finding_clockArithmetic(uint256 seed) public {
        uint256 id = _openStep(carol);
        uint256 start = block.timestamp;
        _wait(id, seed, 0);
        _postTrace(id);
        _wait(id, seed, 1);
        _pickTensor(id, 1);
        _wait(id, seed, 2);
        _postRows(id, ATTENTION);
        _wait(id, seed, 3);
        _pickLeaf(id, 1);
        _wait(id, seed, 4);
        _postBytes(id, 1);
        _wait(id, seed, 5);
        _pickElement(id, 7);
        _wait(id, seed, 6);
        _postScores(id);
        assertLe(game.gameOf(id).deadline, start + 2 * C + 6 * M, "nine transactions: eight turns");
        assertLe(game.gameOf(id).deadline, start + nodes.longestGame());
        _passDeadlineOf(id);
        game.timeout(id);
    }

    /// @dev Uses an arbitrary part of the turn that is left, sometimes all of it.
    function _wait(uint256 id, uint256 seed, uint256 turn) internal {
        uint256 left = game.gameOf(id).deadline - block.timestamp;
        uint256 dice = uint256(keccak256(abi.encode(seed, turn)));
        skip(dice % 3 == 0 ? left : dice % (left + 1));
    }

    /// @dev Finding: too little gas forwarded. A step that runs out of gas decides nothing.
    function test_finding_tooLittleGasForwarded() public {
        uint256 id = _atConvict(carol);
        verifier.setVerdict(true);
        verifier.setGasNeeded(2_000_000);
        (bool done,) = address(game).call{gas: 1_000_000}(abi.encodeCall(game.convict, (id, "witness")));
        assertFalse(done);
        assertEq(uint8(_state(id)), uint8(CONVICT));
        game.convict(id, "witness");
        assertTrue(nodes.isConvicted(alice));
    }

    /// @dev Finding: bonds locked for ever. When one game convicts, all others about the node give their bonds back.
    function test_finding_bondsLockedForEver() public {
        uint256 loser = _openStep(dave);
        uint256 winner = _atConvict(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NodeNotConvicted.selector, alice));
        game.void(loser);
        verifier.setVerdict(true);
        game.convict(winner, "witness");
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NodeConvicted.selector, alice));
        game.timeout(loser);
        _void(loser);
        assertEq(game.balanceOf(dave), BOND);
        assertEq(nodes.node(alice).openGames, 0);
        assertEq(market.lineOf(session, alice).openGames, 0);
        _expectWrongState(loser, IDisputeRecords.State.Void);
        game.void(loser);
    }

    /// @dev Finding: spam that out-spends an honest defender. Any number of equal games costs the node one set of answers;
    /// each costs the spammer its bond. What the answers cost is paid once, by the first.
    function test_finding_spamOutSpendsAnHonestDefender(uint8 games) public {
        games = uint8(bound(games, 2, 12));
        vm.fee(1 gwei);
        uint256[] memory ids = new uint256[](games);
        for (uint256 i = 0; i < games; ++i) {
            ids[i] = _openStep(carol);
        }
        _postTrace(ids[games - 1]);
        for (uint256 i = 0; i < games; ++i) {
            assertEq(uint8(_state(ids[i])), uint8(IDisputeRecords.State.PickTensor), "one answer moved them all");
            _pickTensor(ids[i], 1);
        }
        _postRows(ids[0], LINEAR);
        for (uint256 i = 0; i < games; ++i) {
            assertEq(uint8(_state(ids[i])), uint8(IDisputeRecords.State.PickLeaf));
        }
        skip(C + 1);
        uint256 due = game.dueFor(game.gameOf(ids[0]).receipt);
        assertGt(due, 300_000 gwei);
        for (uint256 i = 0; i < games; ++i) {
            game.timeout(ids[i]);
        }
        assertEq(game.balanceOf(alice), due);
        uint256 ended = 230_000 gwei * 5 / 4; // whoever ended each game is paid for that
        assertEq(game.balanceOf(address(vault)), games * (BOND - ended) - due);
        assertEq(nodes.node(alice).openGames, 0);
        assertFalse(nodes.isConvicted(alice));
    }

    /// @dev Finding: a verdict thrown on purpose by the challenger's side. It immunises nothing.
    function test_finding_verdictThrownOnPurpose() public {
        uint256 thrown = _atConvict(dave); // the liar's friend comes first, and lets its game go
        skip(C - 1);
        uint256 honest = _atConvictAgain(carol);
        skip(1);
        game.timeout(thrown);
        verifier.setVerdict(true);
        game.convict(honest, "witness");
        assertTrue(nodes.isConvicted(alice));
        assertEq(game.balanceOf(dave), 0, "who threw its game earns nothing by its earlier commitment");
        assertEq(game.balanceOf(carol), BOND + BOUNTY);
    }

    /// @dev Another game up to CONVICT over answers that exist already.
    function _atConvictAgain(address challenger) internal returns (uint256 id) {
        id = _openStep(challenger);
        _pickTensor(id, 1);
        _pickLeaf(id, 1);
    }

    /// @dev Attack: copied openings. The copier commits after it has seen the original, so it never gets the bounty,
    /// even if it is the first to convict.
    function test_finding_copiedOpening() public {
        uint256 original = _openStep(carol);
        _postTrace(original);
        _pickTensor(original, 1);
        _postRows(original, LINEAR);
        _pickLeaf(original, 1);
        _postBytes(original, 1);
        uint256 copy = _atConvictAgain(dave);
        verifier.setVerdict(true);
        vm.prank(dave);
        game.convict(copy, "witness");
        assertEq(game.balanceOf(dave), BOND, "its bond and nothing else");
        assertEq(game.balanceOf(carol), BOUNTY);
        _void(original);
        assertEq(game.balanceOf(carol), BOND + BOUNTY);
    }

    /// @dev Attack: the earliest committer is rewarded whichever game convicts.
    function test_convict_earlierCommitmentOpenedLater_isRewarded() public {
        _commit(carol, _receipt());
        skip(2);
        uint256 first = _atConvict(dave);
        uint256 second = _openCommitted(carol, _receipt());
        _pickTensor(second, 1);
        _pickLeaf(second, 1);
        verifier.setVerdict(true);
        game.convict(first, "witness");
        assertEq(game.balanceOf(dave), BOND);
        assertEq(game.balanceOf(carol), BOUNTY);
    }

    /// @dev Attack: a node convicts itself for the reward. The bounty and its gas is all that it sees again.
    function test_finding_nodeConvictsItself() public {
        vm.deal(alice, BOND);
        uint256 id = _openStep(alice);
        _post(session, alice, 1 ether); // the liar's own user pays up now
        _passDeadlineOf(id);
        game.timeout(id);
        assertEq(game.balanceOf(user), 0);
        assertEq(game.balanceOf(alice), BOND + BOUNTY);
        _sweep(alice);
        assertEq(nodes.balanceOf(address(vault)) + game.balanceOf(address(vault)), 1 ether - BOUNTY);
        vm.prank(alice);
        vm.expectPartialRevert(INodeRegistry.NodeRegistry_Convicted.selector);
        nodes.completeUnbond();
    }

    /// @dev Attack: a liar's friend steps a right element to be acquitted.
    function test_finding_matchingStepAcquits() public {
        uint256 id = _atConvict(carol);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_StepMatches.selector);
        vm.prank(dave);
        game.convict(id, "a right element");
        assertEq(uint8(_state(id)), uint8(CONVICT));
    }

    /// @dev Attack: an answer that came too late for one game is posted through a younger one.
    function test_finding_lateAnswerThroughAYoungerGame() public {
        uint256 old = _openStep(carol);
        skip(C);
        uint256 young = _openStep(alice_friend());
        skip(1);
        _postTrace(young);
        game.timeout(old);
        assertTrue(nodes.isConvicted(alice));
    }

    function alice_friend() internal returns (address friend) {
        friend = makeAddr("a friend of alice");
        vm.deal(friend, 1 ether);
    }

    /// @dev Attack: a stake taken twice.
    function test_finding_secondConviction_takesNothing() public {
        uint256 one = _atConvict(carol);
        uint256 two = _atConvictAgain(dave);
        verifier.setVerdict(true);
        game.convict(one, "witness");
        game.convict(two, "witness"); // void: bond and gas, no second bounty
        assertEq(uint8(_state(two)), uint8(IDisputeRecords.State.Void));
        SignedDocuments.Receipt memory other = _receipt();
        other.outRoot = keccak256("another output");
        SignedDocuments.Receipt memory first = _receipt();
        _commit(carol, first);
        skip(1);
        bytes memory a = _signature(_receiptSecret(alice), SignedDocuments.hash(first));
        bytes memory b = _signature(_receiptSecret(alice), SignedDocuments.hash(other));
        vm.expectPartialRevert(INodeRegistry.NodeRegistry_Convicted.selector);
        vm.prank(carol);
        game.equivocate(first, a, other, b, SECRET);
    }

    /// @dev Attack: an honest node's settlement is blocked for ever. It is bounded by the game, whose end anyone brings.
    function test_finding_settlementBlocked() public {
        _post(session, alice, 1 ether);
        _close(session);
        vm.warp(market.lineOf(session, alice).end - 1);
        uint256 id = _openStep(carol);
        skip(1);
        vm.expectRevert();
        market.settle(session, alice);
        _postTrace(id);
        skip(C + 1);
        vm.prank(stranger);
        game.timeout(id);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.9 ether);
    }

    /// @dev Attack: a stake that leaves while a game is open.
    function test_finding_stakeLeavesDuringAGame() public {
        vm.prank(alice);
        nodes.requestUnbond();
        uint256 id = _openStep(carol);
        skip(T + W + G + 1);
        vm.expectPartialRevert(INodeRegistry.NodeRegistry_OpenGames.selector);
        vm.prank(alice);
        nodes.completeUnbond();
        game.timeout(id);
        assertTrue(nodes.isConvicted(alice));
    }

    /// @dev Attack: somebody posts a trace in the node's name, or answers for it with other rows: see
    /// `test_postTrace_withoutTheNodesSignature_reverts`. Whoever has the right rows may post them.
    function test_answers_byAnybodyWhoHasTheRows() public {
        uint256 id = _openStep(carol);
        vm.startPrank(stranger);
        _postTrace(id);
        vm.stopPrank();
        _pickTensor(id, 1);
        vm.startPrank(stranger);
        _postRows(id, LINEAR);
        vm.stopPrank();
        _pickLeaf(id, 1);
        vm.startPrank(stranger);
        _postBytes(id, 1);
        assertEq(uint8(_state(id)), uint8(CONVICT));
    }

    /// @dev Attack: the sequence, or the input, declared to be an attention's output, so that scores are asked of the
    /// node that it cannot have.
    function test_finding_scoresOfWhatNoAttentionMade() public {
        uint64[] memory shape = new uint64[](1);
        shape[0] = POSITIONS;
        verifier.setShape(0, 3, shape, 1);
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = PROMPT_TREE;
        uint256 id = _openStep(carol);
        _postTrace(id);
        _pickTensor(id, 0);
        game.postRows(id, _pathOf(0), _producer(ATTENTION), hashes);
        bytes32 receipt = game.gameOf(id).receipt;
        assertEq(game.answerOf(receipt, IDisputeRecords.State.Rows, 0, 0, 0, 0).kind, 0);
    }
}
