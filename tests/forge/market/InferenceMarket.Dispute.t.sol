// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {InferenceMarket} from "../../../contracts/market/InferenceMarket.sol";
import {NodeRegistry} from "../../../contracts/nodes/NodeRegistry.sol";
import {Deployed} from "../Deployed.sol";

/// @notice The door that the dispute contract uses: games hold what a line earned, a conviction forfeits it.
contract InferenceMarketDisputeTest is Deployed {
    function test_openGame_byAnother_reverts(address caller) public {
        vm.assume(caller != address(dispute));
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NotDispute.selector, caller));
        market.openGame(session, alice);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NotDispute.selector, caller));
        market.closeGame(session, alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotDispute.selector, caller));
        nodes.openGame(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotDispute.selector, caller));
        nodes.closeGame(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotDispute.selector, caller));
        nodes.slash(alice, caller);
    }

    /// @dev A deployment without a dispute contract has nobody who could slash, not even its deployer.
    function test_openGame_noDisputeContract_reverts() public {
        NodeRegistry lone = new NodeRegistry(models, address(vault), address(0), MINIMUM_STAKE, _timing());
        InferenceMarket loneMarket = new InferenceMarket(lone);
        vm.expectPartialRevert(INodeRegistry.NodeRegistry_NotDispute.selector);
        lone.slash(alice, address(this));
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_NotDispute.selector);
        loneMarket.openGame(0, alice);
    }

    function test_openGame_holdsWhatWasEarnedAndNothingElse(uint96 cap, uint96 earned) public {
        cap = uint96(bound(cap, 2, 1000 ether));
        earned = uint96(bound(earned, 0, cap - 1));
        bytes32 session = _disputed(cap, earned);

        vm.expectEmit();
        emit IInferenceMarket.LineRefunded(session, alice, cap - earned);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), cap - earned);
        assertEq(market.balanceOf(alice), 0);
        assertTrue(market.lineOf(session, alice).refunded);

        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_OpenGames.selector, session, alice, 1));
        market.settle(session, alice);

        dispute.close(session, alice);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), cap - earned);
        assertEq(market.balanceOf(alice), earned - earned / 10);
        assertEq(market.balanceOf(address(vault)), earned / 10);
    }

    /// @dev Nothing earned and a game open: the line must neither vanish nor block.
    function test_openGame_nothingEarned_refundsEverythingAtOnce() public {
        bytes32 session = _disputed(1 ether, 0);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), 1 ether);
        dispute.close(session, alice);
        market.settle(session, alice);
        assertTrue(market.lineOf(session, alice).settled);
        assertEq(market.balanceOf(user), 1 ether);
    }

    function test_openGame_everythingEarned_settleReverts() public {
        bytes32 session = _disputed(1 ether, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_OpenGames.selector, session, alice, 1));
        market.settle(session, alice);
    }

    /// @dev Any number of games by any number of challengers: the money waits for the last of them.
    function test_openGame_manyGames_waitForTheLast(uint8 games) public {
        games = uint8(bound(games, 1, 40));
        bytes32 session = _open(_caps(alice, 1 ether));
        _post(session, alice, 1 ether);
        for (uint256 i = 0; i < games; ++i) {
            dispute.open(session, alice);
        }
        assertEq(market.lineOf(session, alice).openGames, games);
        assertEq(nodes.node(alice).openGames, games);
        skip(T + W + 1);
        for (uint256 i = 0; i < games; ++i) {
            vm.expectPartialRevert(IInferenceMarket.InferenceMarket_OpenGames.selector);
            market.settle(session, alice);
            dispute.close(session, alice);
        }
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.9 ether);
    }

    /// @dev A game holds the disputed line only; the node's other lines and its co-workers' are paid.
    function test_openGame_holdsNoOtherLine() public {
        bytes32 disputed = _open(_caps(alice, 1 ether, bob, 1 ether));
        bytes32 other = _open(_caps(alice, 1 ether), "other");
        _post(_voucher(disputed, alice, 1 ether, bob, 1 ether));
        _post(other, alice, 1 ether);
        dispute.open(disputed, alice);
        skip(T + W + 1);
        market.settle(disputed, bob);
        market.settle(other, alice);
        assertEq(market.balanceOf(bob), 0.9 ether);
        assertEq(market.balanceOf(alice), 0.9 ether);
    }

    function test_openGame_afterTheEnd_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _close(session);
        uint256 end = block.timestamp + W;
        vm.warp(end);
        dispute.open(session, alice);
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_TooLate.selector, end + 1, end));
        dispute.open(session, alice);
    }

    function test_openGame_settledLine_reverts() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_TooLate.selector);
        dispute.open(session, alice);
    }

    function test_openGame_nodeNotAllotted_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineUnknown.selector, session, bob));
        dispute.open(session, bob);
    }

    function test_openGame_convictedNode_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        dispute.convict(alice, stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, alice));
        dispute.open(session, alice);
    }

    function test_closeGame_withoutOne_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_OpenGames.selector, session, alice, 0));
        dispute.close(session, alice);
    }

    // ---------------------------------------------------------------- conviction

    function test_convict_wholeCapGoesBackToTheUser(uint96 cap, uint96 earned) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        earned = uint96(bound(earned, 0, cap));
        bytes32 session = _open(_caps(alice, cap));
        _post(session, alice, earned);
        dispute.convict(alice, stranger);
        _close(session);
        _passWindowOf(session, alice);
        vm.expectEmit();
        emit IInferenceMarket.LineSettled(session, alice, 0, 0, cap, true);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), cap);
        assertEq(market.balanceOf(alice), 0);
        assertEq(market.balanceOf(address(vault)), 0);
    }

    /// @dev The user got `cap - cumulative` while the game ran; after the conviction the rest follows, no wei twice.
    function test_convict_afterPartialRefund_returnsTheRestOnce(uint96 cap, uint96 earned) public {
        cap = uint96(bound(cap, 2, 1000 ether));
        earned = uint96(bound(earned, 1, cap - 1));
        bytes32 session = _disputed(cap, earned);
        market.settle(session, alice);
        dispute.convict(alice, stranger);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), cap);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_LineSettled.selector);
        market.settle(session, alice);
        assertEq(address(market).balance, cap);
    }

    /// @dev Games that are void because the node was convicted elsewhere neither hold the user's money nor get stuck.
    function test_convict_withOtherGamesOpen_forfeitsAndGamesStillClose() public {
        bytes32 session = _disputed(1 ether, 1 ether);
        dispute.convict(alice, stranger);
        market.settle(session, alice);
        assertEq(market.balanceOf(user), 1 ether);
        dispute.close(session, alice);
        assertEq(market.lineOf(session, alice).openGames, 0);
        assertEq(nodes.node(alice).openGames, 0);
    }

    function test_convict_forfeitsLinesInEverySession() public {
        bytes32 first = _open(_caps(alice, 1 ether));
        bytes32 second = _open(_caps(alice, 2 ether, bob, 1 ether), "second");
        _post(first, alice, 1 ether);
        _post(_voucher(second, alice, 2 ether, bob, 1 ether));
        dispute.convict(alice, stranger);
        skip(T + W + 1);
        market.settle(first, alice);
        market.settle(second, alice);
        market.settle(second, bob);
        assertEq(market.balanceOf(user), 3 ether);
        assertEq(market.balanceOf(alice), 0);
        assertEq(market.balanceOf(bob), 0.9 ether, "an honest co-worker is paid");
    }

    /// @dev What was settled before stays settled: a conviction cannot claw back, nor block a withdrawal.
    function test_convict_leavesSettledLinesAlone() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        dispute.convict(alice, stranger);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_LineSettled.selector);
        market.settle(session, alice);
        vm.prank(alice);
        assertEq(market.withdraw(), 0.9 ether);
    }

    /// @dev The node asks to leave the second after a session was opened; however late the last game is opened and
    /// however long it lasts, the stake is still there when it ends.
    function test_convict_nodeThatRequestedUnbondingAtOnce_stakeIsStillThere() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.prank(alice);
        nodes.requestUnbond();
        skip(T + W);
        dispute.open(session, alice);
        skip(G);
        vm.expectPartialRevert(INodeRegistry.NodeRegistry_TooEarly.selector);
        vm.prank(alice);
        nodes.completeUnbond();
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_OpenGames.selector, alice, 1));
        vm.prank(alice);
        nodes.completeUnbond();
        (uint256 taken,) = dispute.convict(alice, stranger);
        assertEq(taken, 1 ether);
    }

    /// @dev Delay is bounded: without new games after the end, a line is payable T + W + G after opening.
    function test_settle_delayIsBoundedWhateverAnyoneDoes() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _post(session, alice, 1 ether);
        skip(T + W);
        dispute.open(session, alice);
        skip(G); // by its clocks the game is over now
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_TooLate.selector);
        dispute.open(session, alice);
        dispute.close(session, alice);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.9 ether);
    }

    /// @dev One line, one game, the window over.
    function _disputed(uint128 cap, uint128 earned) private returns (bytes32 session) {
        session = _open(_caps(alice, cap));
        _post(session, alice, earned);
        dispute.open(session, alice);
        _close(session);
        _passWindowOf(session, alice);
    }
}
