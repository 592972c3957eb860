// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice Who is paid what: no coalition with a lie in it gains, a finder with cover never loses, and making an honest
/// node late costs many times what it earns. Gas costs one gwei unless a test says otherwise.
contract DisputeGameMoneyTest is Disputing {
    uint256 internal constant FEE = 1 gwei;
    uint256 internal constant FIRST_OPENING = 800_000 * FEE * 5 / 4;
    uint256 internal constant OPENING = 450_000 * FEE * 5 / 4;
    uint256 internal constant PICK = 130_000 * FEE * 5 / 4;
    uint256 internal constant TIMEOUT = 230_000 * FEE * 5 / 4;
    uint256 internal constant CONTRADICTION = 350_000 * FEE * 5 / 4;
    uint256 internal constant LATE = 185_000 * FEE * 5 / 4;

    address internal friend = makeAddr("a friend of the liar");

    function setUp() public override {
        super.setUp();
        vm.fee(FEE);
        vm.deal(friend, 1000 ether);
    }

    // ---------------------------------------------------------------- proofs that a liar makes itself

    function _madeUp(bytes32 output) internal view returns (SignedDocuments.Receipt memory receipt) {
        receipt = _receipt();
        receipt.orderDigest = keccak256("nobody's order");
        receipt.outRoot = output;
    }

    function _equivocate(address sender) internal {
        (SignedDocuments.Receipt memory one, SignedDocuments.Receipt memory two) = (_madeUp("one"), _madeUp("two"));
        bytes memory first = _signature(_receiptSecret(alice), SignedDocuments.hash(one));
        bytes memory second = _signature(_receiptSecret(alice), SignedDocuments.hash(two));
        vm.prank(sender);
        game.equivocate(one, first, two, second, SECRET);
    }

    /// @dev The liar sees that the next transaction convicts it, and convicts itself first, with receipts made up for it.
    function test_equivocationOfOnesOwn_paysTheOpenFinderFirst() public {
        uint256 id = _atConvict(carol);
        assertEq(game.claimsOn(alice), FIRST_OPENING + 2 * PICK);
        _commit(friend, _madeUp("one"));
        skip(1);
        _equivocate(friend);
        assertEq(game.balanceOf(friend), BOUNTY + CONTRADICTION, "its gas, a quarter more, and the bounty");
        _void(id);
        assertEq(game.balanceOf(carol), BOND + FIRST_OPENING + 2 * PICK, "all that the finder's moves cost, and more");
        assertEq(game.claimsOn(alice), 0);
        _sweep(alice);
        uint256 toVault = nodes.balanceOf(address(vault)) + game.balanceOf(address(vault));
        assertEq(toVault, 1 ether - BOUNTY - CONTRADICTION - FIRST_OPENING - 2 * PICK);
    }

    /// @dev Whoever copies an equivocation in front of its finder is refused, and the finder gets what it found.
    function test_equivocationCopied_isRefusedAndBurnsNothing() public {
        _commit(carol, _madeUp("one"));
        skip(1);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        this.equivocateOutside(beneficiary);
        assertFalse(nodes.isConvicted(alice));
        _equivocate(carol);
        assertEq(game.balanceOf(carol), BOUNTY + CONTRADICTION);
    }

    function equivocateOutside(address sender) external {
        _equivocate(sender);
    }

    /// @dev The liar's user signs everything away in front of the opening: the cap comes back, once, and nothing else.
    function test_voucherInFront_isNoSecondRefund() public {
        _commit(carol, _receipt());
        skip(1);
        _post(session, alice, 0.6 ether);
        uint256 id = _openCommitted(carol, _receipt());
        _passDeadlineOf(id);
        _timeout(id);
        vm.warp(market.lineOf(session, alice).end + 1);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), 1 ether);
        assertEq(game.balanceOf(user), 0);
        assertEq(game.balanceOf(carol), BOND + FIRST_OPENING + TIMEOUT + BOUNTY);
    }

    function _traceSignature(address node, bytes32 receipt, bytes32 root) internal view returns (bytes memory) {
        return _signature(_receiptSecret(node), SignedDocuments.hash(SignedDocuments.Trace(receipt, root)));
    }

    function _contradict(address sender, bytes32 receipt, bytes32 one, bytes32 two) internal {
        (bytes memory a, bytes memory b) = (_traceSignature(alice, receipt, one), _traceSignature(alice, receipt, two));
        vm.prank(sender);
        game.contradict(alice, receipt, one, a, two, b, SECRET);
    }

    function contradictOutside(address sender, bytes32 receipt, bytes32 one, bytes32 two) external {
        _contradict(sender, receipt, one, two);
    }

    /// @dev A node that signs another trace once a re-organisation took the first one back.
    function test_contradict_twoTracesOfOneReceipt() public {
        bytes32 receipt = _digest(SignedDocuments.hash(_receipt()));
        bytes32 first = _digest(SignedDocuments.hash(SignedDocuments.Trace(receipt, "one")));
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        this.contradictOutside(carol, receipt, "one", "two");
        vm.prank(carol);
        game.commit(keccak256(abi.encode(first, carol, SECRET)));
        skip(1);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NoContradiction.selector);
        this.contradictOutside(carol, receipt, "one", "one");
        _contradict(carol, receipt, "one", "two");
        assertTrue(nodes.isConvicted(alice));
        assertEq(game.balanceOf(carol), BOUNTY + CONTRADICTION);
        assertEq(nodes.balanceOf(address(vault)), 0.5 ether);
        assertEq(game.balanceOf(address(vault)), 0);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_TooEarly.selector);
        game.sweep(alice);
        _sweep(alice);
        assertEq(game.balanceOf(address(vault)), 0.5 ether - BOUNTY - CONTRADICTION);
    }

    // ---------------------------------------------------------------- moves that another proof came in front of

    /// @dev The finder has committed; a friend convicts in front of its opening. Gas and money come back.
    function test_openingThatComesTooLate_isPaid() public {
        _commit(carol, _receipt());
        _commit(friend, _madeUp("one"));
        skip(1);
        _equivocate(friend);
        uint256 left = game.setAsideFor(alice);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.prank(carol);
        assertEq(game.openStep{value: BOND}(opening), 0, "no game");
        assertEq(game.balanceOf(carol), BOND + LATE);
        assertEq(game.setAsideFor(alice), left - LATE);
        assertEq(game.gameCount(), 0);
        _sweep(alice);
        assertEq(game.setAsideFor(alice), 0);
        assertEq(game.balanceOf(address(vault)), left - LATE);
        assertEq(address(game).balance, game.balanceOf(carol) + game.balanceOf(friend) + game.balanceOf(address(vault)));
    }

    /// @dev Eight payments by friends of the liar leave the finder's: all of the rest of the stake waits for an hour.
    function test_openingThatComesTooLate_isPaidAfterManyOthers() public {
        _commit(carol, _receipt());
        _commit(friend, _madeUp("one"));
        bytes32 digest = _digest(SignedDocuments.hash(_receipt()));
        for (uint256 i = 0; i < 8; ++i) {
            vm.prank(friend);
            game.commit(keccak256(abi.encode(digest, friend, bytes32(i))));
        }
        skip(1);
        _equivocate(friend);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        for (uint256 i = 0; i < 8; ++i) {
            opening.salt = bytes32(i);
            vm.prank(friend);
            game.openStep(opening);
        }
        opening.salt = SECRET;
        vm.prank(carol);
        game.openStep(opening);
        assertEq(game.balanceOf(carol), LATE);
    }

    /// @dev Who commits once the conviction is there has found nothing.
    function test_openingCommittedAfterTheConviction_reverts() public {
        _commit(friend, _madeUp("one"));
        skip(1);
        _equivocate(friend);
        skip(1);
        _commit(carol, _receipt());
        skip(1);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NodeConvicted.selector, alice));
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    /// @dev The finder's witness is on its way when the liar convicts itself: its game is void, and its gas is paid.
    function test_proofThatComesTooLate_isPaidLikeAVerdict() public {
        uint256 id = _atConvict(carol);
        _commit(friend, _madeUp("one"));
        skip(1);
        _equivocate(friend);
        vm.prank(friend);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NotChallenger.selector, id, friend));
        game.void(id); // nobody ends the game in front of its proof
        verifier.setVerdict(true);
        verifier.setGasNeeded(6_000_000);
        uint256 left = game.setAsideFor(alice);
        game.convict(id, "witness");
        uint256 verdict = 6_000_000 * FEE * 5 / 4;
        assertEq(game.balanceOf(carol), BOND + FIRST_OPENING + 2 * PICK + verdict);
        assertEq(game.setAsideFor(alice), left - verdict);
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Void));
        assertEq(nodes.node(alice).openGames, 0);
    }

    /// @dev Zeros that pad a witness are paid at what a zero byte costs on the chain, the others at theirs.
    function test_paddedWitness_paysNoMoreThanItCosts() public {
        uint256 full = _verdictPaid(_filled(32_000, 0xff));
        vm.revertToState(_before);
        uint256 padded = _verdictPaid(bytes.concat(_filled(32_000, 0xff), new bytes(8001)));
        assertEq(padded - full, (3 * 8001 + 10 * 8001) * FEE * 5 / 4);
    }

    uint256 private _before;

    function _filled(uint256 length, uint8 value) internal pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            data[i] = bytes1(value);
        }
    }

    function _verdictPaid(bytes memory witness) internal returns (uint256) {
        _before = vm.snapshotState();
        uint256 id = _atConvict(carol);
        verifier.setVerdict(true);
        game.convict(id, witness);
        return game.balanceOf(carol);
    }

    function test_contradict_byAnothersKey_reverts() public {
        bytes32 receipt = _digest(SignedDocuments.hash(_receipt()));
        bytes memory mine = _traceSignature(alice, receipt, "one");
        bytes memory others = _traceSignature(bob, receipt, "two");
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.contradict(alice, receipt, "one", mine, "two", others, SECRET);
        address nobody = makeAddr("nobody");
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.contradict(nobody, receipt, "one", "", "two", "", SECRET);
    }

    /// @dev The node has left with its stake: convicted all the same, and there is nothing to pay out.
    function test_equivocation_afterTheStakeLeft_paysNothing() public {
        vm.startPrank(alice);
        nodes.requestUnbond();
        skip(nodes.unbondingDelay() + 1);
        nodes.completeUnbond();
        vm.stopPrank();
        _commit(carol, _madeUp("one"));
        skip(1);
        _equivocate(carol);
        assertTrue(nodes.isConvicted(alice));
        assertEq(game.balanceOf(carol), 0);
        assertEq(address(game).balance, 0);
    }

    // ---------------------------------------------------------------- ranks

    /// @dev A friend comes first and stalls: once its time is over, that nobody has said so yet earns it nothing.
    function test_stalledGame_hasNoRank() public {
        uint256 stalled = _atConvict(friend);
        skip(C - 1);
        uint256 honest = _openStep(carol);
        _pickTensor(honest, 1);
        _pickLeaf(honest, 1);
        skip(1);
        assertGt(block.timestamp, game.gameOf(stalled).deadline);
        verifier.setVerdict(true);
        game.convict(honest, "witness");
        assertEq(game.balanceOf(friend), 0);
        assertGe(game.balanceOf(carol), BOND + OPENING + 2 * PICK + BOUNTY);
    }

    /// @dev A friend that comes first and only waits takes the bounty, which is all that it can take: the gas of the
    /// verdict is whose who brought it.
    function test_earlierFriend_takesTheBountyAlone() public {
        uint256 waiting = _atConvict(friend);
        uint256 honest = _openStep(carol);
        _pickTensor(honest, 1);
        _pickLeaf(honest, 1);
        verifier.setVerdict(true);
        verifier.setGasNeeded(6_000_000);
        game.convict(honest, "witness");
        assertEq(game.balanceOf(carol), BOND + OPENING + 2 * PICK + 6_000_000 * FEE * 5 / 4);
        assertEq(game.balanceOf(friend), BOUNTY);
        _void(waiting);
        assertEq(game.balanceOf(friend), BOUNTY + BOND + FIRST_OPENING + 2 * PICK);
    }

    /// @dev A game whose node fell silent is won, not stalled: it keeps its rank past the deadline.
    function test_silence_paysTheEarliestThoughItsDeadlineIsOver() public {
        uint256 first = _openStep(carol);
        uint256 second = _openStep(dave);
        _passDeadlineOf(second);
        _timeout(second);
        assertEq(game.balanceOf(carol), BOUNTY);
        _void(first);
        assertEq(game.balanceOf(carol), BOUNTY + BOND + FIRST_OPENING);
        assertEq(game.balanceOf(dave), BOND + OPENING + TIMEOUT);
    }

    // ---------------------------------------------------------------- cover

    function _another(uint256 number) internal view returns (SignedDocuments.Receipt memory receipt) {
        receipt = _receipt();
        receipt.price = uint128(number); // another receipt of the same rows
    }

    function _coveredOpening(address challenger, uint256 number) internal {
        _commit(challenger, _another(number));
        skip(1);
        IDisputeRecords.Opening memory opening = _opening(_another(number));
        opening.onlyCovered = true;
        vm.prank(challenger);
        game.openStep{value: BOND}(opening);
    }

    function coveredOpeningOutside(address challenger, uint256 number) external {
        _coveredOpening(challenger, number);
    }

    function test_onlyCovered_refusesTheNinthGame() public {
        for (uint256 i = 0; i < 8; ++i) {
            assertTrue(game.coveredNow(alice));
            _coveredOpening(dave, i);
        }
        assertFalse(game.coveredNow(alice));
        assertTrue(game.coveredNow(bob));
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_NotCovered.selector, alice));
        this.coveredOpeningOutside(carol, 8);
        uint256 uncovered = _openStep(carol, _another(9));
        assertFalse(game.gameOf(uncovered).covered);
        assertEq(game.gameOf(uncovered).refund, 0);
        assertEq(game.claimsOn(alice), 8 * FIRST_OPENING);

        skip(C - 20);
        _postTrace(1);
        skip(C + 1);
        _timeout(1); // acquitted: its place is free
        assertEq(game.claimsOn(alice), 7 * FIRST_OPENING);
        assertTrue(game.coveredNow(alice));
    }

    /// @dev Where gas is so dear that half of the stake could not pay it back, nobody is promised that.
    function test_coverEndsWithThePool(uint64 baseFee) public {
        vm.fee(bound(baseFee, 1 gwei, 2000 gwei));
        uint256 bond = game.bondNow();
        vm.deal(carol, 100 * bond);
        for (uint256 i = 0; i < 9; ++i) {
            bool promised = game.coveredNow(alice);
            uint256 id = _openStep(carol, _another(i));
            assertEq(game.gameOf(id).covered, promised);
            assertEq(game.gameOf(id).refund, promised ? 1_000_000 * block.basefee : 0);
        }
        _postTrace(1);
        _pickTensor(1, 1);
        assertLe(game.claimsOn(alice), 0.5 ether);
        uint256 claims = game.claimsOn(alice);
        _passDeadlineOf(2);
        _timeout(2);
        uint256 left = claims - (game.claimsOn(alice));
        assertGe(game.balanceOf(carol), bond + left, "and the verdict has its own share");
        for (uint256 i = 1; i <= 9; ++i) {
            if (i != 2) _void(i);
        }
        assertEq(game.claimsOn(alice), 0);
        _sweep(alice);
        assertEq(address(game).balance, game.balanceOf(carol) + game.balanceOf(address(vault)));
    }

    /// @dev 40 games on 40 receipts, one of which an honest node answers too late: the loss, against what is won.
    function test_overload_costsTenTimesWhatItEarns() public {
        (uint256 lost, uint256 earned) = _overload(40, 1 gwei);
        assertEq(lost, 31 * BOND / 2, "half a bond for each game without cover, but the one that convicts");
        assertEq(earned, BOUNTY + (TIMEOUT + 8 * FIRST_OPENING) / 5);
        assertGe(lost, 10 * earned);
    }

    /// @dev The same from the fifteenth game on, however dear gas is: bonds follow it.
    function test_overload_fromFifteenGamesOn(uint64 baseFee) public {
        (uint256 lost, uint256 earned) = _overload(15, bound(baseFee, 0, 20 gwei));
        assertGe(lost, 10 * earned);
    }

    /// @dev What is gained counts as if the schedule were all burned: a quarter more than four fifths.
    function _overload(uint256 games, uint256 baseFee) internal returns (uint256 lost, uint256 earned) {
        vm.fee(baseFee);
        uint256 bond = game.bondNow();
        uint256 fund = games * bond;
        vm.deal(carol, fund);
        uint256[] memory ids = new uint256[](games);
        for (uint256 i = 0; i < games; ++i) {
            ids[i] = _openStep(carol, _another(i));
        }
        for (uint256 i = 0; i + 1 < games; ++i) {
            _postTrace(ids[i]);
        }
        _passDeadlineOf(ids[games - 1]);
        uint256 claims = game.claimsOn(alice);
        _timeout(ids[games - 1]);
        for (uint256 i = 0; i + 1 < games; ++i) {
            _void(ids[i]);
        }
        uint256 back = game.balanceOf(carol);
        uint256 refunds = claims + 230_000 * baseFee * 5 / 4;
        lost = fund + BOUNTY + refunds - back;
        earned = BOUNTY + refunds / 5;
    }

    // ---------------------------------------------------------------- bonds

    /// @dev Opened where gas is cheap, asked where it is dear: the pick has to bring what an opening would, and so the
    /// node's answers are paid whole.
    function test_bondFollowsTheBaseFee() public {
        vm.fee(0.1 gwei);
        uint256 id = _openStep(carol);
        _postTrace(id);
        vm.fee(100 gwei);
        uint256 needed = game.bondNow();
        assertEq(needed, 2 * ANSWERS_GAS * 100 gwei);
        assertEq(game.topUp(id), needed - BOND);
        bytes32 trace = _posted(id);
        vm.startPrank(carol);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BondTooLow.selector, BOND, needed));
        game.pickTensor(id, 1, trace);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BondTooLow.selector, needed - 1, needed));
        game.pickTensor{value: needed - BOND - 1}(id, 1, trace);
        game.pickTensor{value: needed - BOND}(id, 1, trace);
        vm.stopPrank();
        assertEq(game.gameOf(id).bond, needed);
        assertEq(game.topUp(id), 0);
        _postRows(id, LINEAR);
        _pickLeaf(id, 1);
        _postBytes(id, 1);
        uint256 due = game.dueFor(game.gameOf(id).receipt);
        assertGt(due, 2 * 300_000 * 100 gwei);
        _passDeadlineOf(id);
        _timeout(id);
        assertEq(game.balanceOf(alice), due, "every answer, at the base fee of its own block");
        assertEq(game.balanceOf(address(vault)), needed - due - 230_000 * 100 gwei * 5 / 4, "less what ending it cost");
    }

    /// @dev Whoever owns node and challenger loses games on purpose: what comes back is what its answers cost.
    function test_lostBonds_areNotRecycled() public {
        uint256 due;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 id = _openStep(friend, _another(i));
            _postTrace(id);
            due += game.dueFor(game.gameOf(id).receipt);
            _passDeadlineOf(id);
            _timeout(id);
        }
        assertEq(due, 5 * (300_000 + 52 * 32 * 4) * FEE);
        assertEq(game.balanceOf(alice), due);
        assertEq(game.balanceOf(address(vault)), 5 * (BOND - TIMEOUT) - due);
    }

    /// @dev What one bond did not pay stays due, and is paid by the next one that is lost.
    function test_unpaidAnswers_stayDue() public {
        uint256 one = _openStep(carol);
        uint256 two = _openStep(dave);
        vm.fee(10_000 gwei);
        _postTrace(one);
        uint256 due = game.dueFor(game.gameOf(one).receipt);
        assertGt(due, 2 * BOND);
        _passDeadlineOf(two);
        _timeout(one);
        assertEq(game.balanceOf(alice), BOND);
        assertEq(game.dueFor(game.gameOf(one).receipt), due - BOND);
        _timeout(two);
        assertEq(game.balanceOf(alice), 2 * BOND);
    }

    // ---------------------------------------------------------------- for how long

    /// @dev A node that closed its line, and settled it, still answers for what it signs until the session is over.
    function test_closedAndSettledLine_isStillDisputed() public {
        vm.prank(alice);
        market.closeLine(session);
        _passWindowOf(session, alice);
        market.settle(session, alice);
        vm.warp(market.sessionOf(session).expiry + W - 1);
        uint256 id = _openStep(carol);
        _passDeadlineOf(id);
        _timeout(id);
        assertTrue(nodes.isConvicted(alice));
        assertEq(nodes.stakeOf(alice), 0);
        assertTrue(market.lineOf(session, alice).settled);
        assertEq(market.lineOf(session, alice).openGames, 0);
        assertEq(market.balanceOf(user), 1 ether, "paid once");
    }

    /// @dev A stake that may leave is not held by new games, one after the other.
    function test_leavingStake_isNotHeldForEver() public {
        vm.prank(alice);
        nodes.requestUnbond();
        uint256 last = nodes.node(alice).unbondableAfter;
        vm.warp(last - 1);
        vm.prank(address(game));
        nodes.openGame(alice);
        skip(2);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_TooLate.selector, last + 1, last));
        vm.prank(address(game));
        nodes.openGame(alice);
        vm.prank(address(game));
        nodes.closeGame(alice);
        vm.prank(alice);
        nodes.completeUnbond();
        assertEq(nodes.balanceOf(alice), 1 ether);
    }
}
