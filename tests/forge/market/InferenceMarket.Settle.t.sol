// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {Deployed} from "../Deployed.sol";
import {Forcer, Participant} from "../doubles/Receivers.sol";

/// @notice `close`, `closeLine`, `settle`, `settleMany`, `withdraw`.
contract InferenceMarketSettleTest is Deployed {
    // ---------------------------------------------------------------- close

    function test_close_fixesTheEndOfAllLines(uint256 after_) public {
        bytes32 session = _open(_caps(alice, 1 ether, bob, 1 ether));
        uint256 expiry = block.timestamp + T;
        skip(bound(after_, 0, 2 * T));
        uint256 end = (block.timestamp < expiry ? block.timestamp : expiry) + W;
        vm.expectEmit();
        emit IInferenceMarket.SessionClosed(session, end);
        _close(session);
        assertEq(market.sessionOf(session).end, end);
        assertEq(market.lineOf(session, alice).end, end);
        assertEq(market.lineOf(session, bob).end, end);
    }

    function test_close_byAnotherBeforeExpiry_reverts(address caller, uint256 after_) public {
        vm.assume(caller != user);
        bytes32 session = _open(_caps(alice, 1 ether));
        skip(bound(after_, 0, T));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NotAllowed.selector, caller));
        vm.prank(caller);
        market.close(session);
    }

    /// @dev Closing late buys no time: the end counts from the expiry.
    function test_close_byAnyoneAfterExpiry_endsAtExpiryPlusWindow(address caller, uint256 late) public {
        bytes32 session = _open(_caps(alice, 1 ether));
        uint256 expiry = block.timestamp + T;
        vm.warp(expiry + bound(late, 1, 1000 days));
        vm.prank(caller);
        market.close(session);
        assertEq(market.sessionOf(session).end, expiry + W);
    }

    function test_close_twice_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _close(session);
        uint256 end = block.timestamp + W;
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionClosed.selector, session, end));
        _close(session);
    }

    function test_close_unknownSession_reverts(bytes32 session) public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionUnknown.selector, session));
        market.close(session);
    }

    // ---------------------------------------------------------------- closeLine

    function test_closeLine_endsThatLineOnly() public {
        bytes32 session = _open(_caps(alice, 1 ether, bob, 1 ether));
        uint256 end = block.timestamp + W;
        vm.expectEmit();
        emit IInferenceMarket.LineClosed(session, alice, end);
        vm.prank(alice);
        market.closeLine(session);
        assertEq(market.lineOf(session, alice).end, end);
        assertTrue(market.lineOf(session, alice).closedByNode);
        assertEq(market.lineOf(session, bob).end, block.timestamp + T + W);
        assertEq(market.sessionOf(session).end, 0);
    }

    /// @dev The user cannot keep a node's money longer by closing after the node did.
    function test_closeLine_thenClose_keepsTheLinesOwnEnd(uint256 later) public {
        bytes32 session = _open(_caps(alice, 1 ether, bob, 1 ether));
        uint256 end = block.timestamp + W;
        vm.prank(alice);
        market.closeLine(session);
        skip(bound(later, 1, T));
        _close(session);
        assertEq(market.lineOf(session, alice).end, end);
        assertEq(market.lineOf(session, bob).end, block.timestamp + W);
    }

    function test_closeLine_afterExpiry_endsAtExpiryPlusWindow() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        uint256 expiry = block.timestamp + T;
        vm.warp(expiry + 5);
        vm.prank(alice);
        market.closeLine(session);
        assertEq(market.lineOf(session, alice).end, expiry + W);
    }

    function test_closeLine_byAnotherThanANodeOfTheSession_reverts(address caller) public {
        vm.assume(caller != alice);
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineUnknown.selector, session, caller));
        vm.prank(caller);
        market.closeLine(session);
    }

    function test_closeLine_twice_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.startPrank(alice);
        market.closeLine(session);
        uint256 end = block.timestamp + W;
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineClosed.selector, session, alice, end)
        );
        market.closeLine(session);
    }

    /// @dev Else a node could give its own line a later end than the session's.
    function test_closeLine_afterClose_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _close(session);
        uint256 end = block.timestamp + W;
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionClosed.selector, session, end));
        vm.prank(alice);
        market.closeLine(session);
    }

    function test_closeLine_afterSettle_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        skip(T + W + 1);
        market.settle(session, alice);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineSettled.selector, session, alice));
        vm.prank(alice);
        market.closeLine(session);
    }

    // ---------------------------------------------------------------- settle

    function test_settle_splitsToTheWei(uint96 cap, uint96 earned) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        earned = uint96(bound(earned, 0, cap));
        bytes32 session = _earned(alice, cap, earned);
        uint256 toVault = earned / 10;
        vm.expectEmit();
        emit IInferenceMarket.LineSettled(session, alice, earned - toVault, toVault, cap - earned, false);
        vm.prank(stranger);
        market.settle(session, alice);
        assertEq(market.balanceOf(address(vault)), toVault);
        assertEq(market.balanceOf(alice), earned - toVault);
        assertEq(market.balanceOf(user), cap - earned);
        assertEq(address(market).balance, cap);
        assertTrue(market.lineOf(session, alice).settled);
    }

    function test_settle_beforeTheEnd_reverts(uint256 after_) public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _close(session);
        uint256 end = block.timestamp + W;
        skip(bound(after_, 0, W));
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_TooEarly.selector, block.timestamp, end)
        );
        market.settle(session, alice);
    }

    function test_settle_neverClosed_afterExpiryAndWindow() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _post(session, alice, 0.4 ether);
        skip(T + W);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_TooEarly.selector);
        market.settle(session, alice);
        skip(1);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.36 ether);
        assertEq(market.balanceOf(user), 0.6 ether);
    }

    function test_settle_ownClosedLineWhileTheSessionIsOpen() public {
        bytes32 session = _open(_caps(alice, 1 ether, bob, 1 ether));
        _post(session, alice, 1 ether);
        vm.prank(alice);
        market.closeLine(session);
        skip(W + 1);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.9 ether);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_TooEarly.selector);
        market.settle(session, bob);
    }

    function test_settle_twice_reverts() public {
        bytes32 session = _earned(alice, 1 ether, 0.5 ether);
        market.settle(session, alice);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineSettled.selector, session, alice));
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.45 ether);
    }

    function test_settle_unknownLine_reverts() public {
        bytes32 session = _earned(alice, 1 ether, 0.5 ether);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineUnknown.selector, session, bob));
        market.settle(session, bob);
    }

    function test_settle_unknownSession_reverts(bytes32 session) public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionUnknown.selector, session));
        market.settle(session, alice);
    }

    function test_settleMany_oneLinesFailureNeverRevertsAnothers() public {
        bytes32 session = _open(_caps(alice, 1 ether, bob, 1 ether));
        _post(_voucher(session, alice, 1 ether, bob, 1 ether));
        vm.prank(bob);
        market.closeLine(session);
        skip(W + 1);
        address[] memory payees = new address[](4);
        (payees[0], payees[1], payees[2], payees[3]) = (stranger, alice, bob, bob);
        vm.expectEmit();
        emit IInferenceMarket.LineNotSettled(session, stranger);
        vm.expectEmit();
        emit IInferenceMarket.LineNotSettled(session, alice);
        vm.expectEmit();
        emit IInferenceMarket.LineSettled(session, bob, 0.9 ether, 0.1 ether, 0, false);
        vm.expectEmit();
        emit IInferenceMarket.LineNotSettled(session, bob);
        market.settleMany(session, payees);
        assertEq(market.balanceOf(bob), 0.9 ether);
        assertEq(market.balanceOf(alice), 0);
    }

    function test_settleMany_unknownSession_changesNothing(bytes32 session) public {
        address[] memory payees = new address[](1);
        payees[0] = alice;
        market.settleMany(session, payees);
        assertEq(market.balanceOf(alice), 0);
    }

    /// @dev A user cannot sign the whole lock away to a node of its own: other lines keep their money.
    function test_settle_everyPayeeHasItsOwnCap(uint96 own, uint96 honest) public {
        own = uint96(bound(own, 1, 1000 ether));
        honest = uint96(bound(honest, 1, 1000 ether));
        bytes32 session = _open(_caps(alice, own, bob, honest));
        _post(_voucher(session, alice, uint128(own) + honest, bob, honest)); // alice is the user's puppet
        _close(session);
        _passWindowOf(session, bob);
        market.settle(session, alice);
        market.settle(session, bob);
        assertEq(market.balanceOf(bob), honest - honest / 10);
        assertEq(market.balanceOf(user), own);
    }

    /// @dev Someone floods a node with sessions of one wei each: the node's own settlements and its leaving cost the
    /// same as before, because nothing on chain grows with the number of sessions that name it.
    function test_settle_dustSessionsDoNotBindANode() public {
        vm.deal(stranger, 50);
        for (uint256 i = 0; i < 50; ++i) {
            vm.prank(stranger);
            market.open{value: 1}(stranger, uint64(block.timestamp + T), _caps(alice, 1), bytes32(i));
        }
        bytes32 session = _open(_caps(alice, 1 ether));
        _post(session, alice, 1 ether);
        vm.startPrank(alice);
        market.closeLine(session);
        nodes.requestUnbond();
        skip(nodes.unbondingDelay() + 1);
        market.settle(session, alice);
        nodes.completeUnbond();
        assertEq(market.balanceOf(alice), 0.9 ether);
        assertEq(nodes.balanceOf(alice), 1 ether);
    }

    // ---------------------------------------------------------------- receivers

    function test_withdraw_sendsTheBalanceOnce() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        uint256 before = alice.balance;
        vm.expectEmit();
        emit IPullPayments.Withdrawn(alice, alice, 0.9 ether);
        vm.prank(alice);
        assertEq(market.withdraw(), 0.9 ether);
        assertEq(alice.balance - before, 0.9 ether);
        vm.expectRevert(abi.encodeWithSelector(IPullPayments.PullPayments_NothingOwed.selector, alice));
        vm.prank(alice);
        market.withdraw();
    }

    function test_withdrawTo_sendsElsewhere() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        vm.prank(alice);
        market.withdrawTo(payable(stranger));
        assertEq(stranger.balance, 0.9 ether);
    }

    function test_withdrawTo_nobody_reverts() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        vm.expectRevert(abi.encodeWithSelector(IPullPayments.PullPayments_SendFailed.selector, address(0), 0.9 ether));
        vm.prank(alice);
        market.withdrawTo(payable(address(0)));
    }

    /// @dev A user whose contract refuses money, or burns all gas, stops nobody else from being paid.
    function test_settle_userThatRefusesMoney_doesNotStopTheNode(uint8 mood) public {
        Participant contractUser = new Participant();
        contractUser.become(Participant.Mood(bound(mood, 1, 3)));
        vm.deal(address(this), 1 ether);
        bytes32 session = contractUser.open{value: 1 ether}(
            market, signer, uint64(block.timestamp + T), _caps(alice, 1 ether), NONCE
        );
        _post(session, alice, 0.5 ether);
        vm.warp(block.timestamp + T + W + 1);
        market.settle(session, alice);
        vm.prank(alice);
        assertEq(market.withdraw(), 0.45 ether);

        // The refusal costs the refuser nothing but its gas: the balance stays and can go elsewhere.
        vm.expectRevert();
        contractUser.withdraw{gas: 200_000}(market);
        assertEq(market.balanceOf(address(contractUser)), 0.5 ether);
        contractUser.withdrawTo(market, payable(stranger));
        assertEq(stranger.balance, 0.5 ether);
    }

    function test_withdraw_reentered_paysOnce() public {
        Participant node = new Participant();
        vm.deal(address(this), 1 ether);
        node.register{value: 1 ether}(nodes, makeAddr("receipt key"));
        bytes32 session = _earned(address(node), 1 ether, 1 ether);
        market.settle(session, address(node));
        _earnSomeElse();

        node.become(Participant.Mood.Reenter);
        vm.expectPartialRevert(IPullPayments.PullPayments_SendFailed.selector);
        node.withdraw(market);
        node.become(Participant.Mood.Accept);
        node.withdraw(market);
        assertEq(address(node).balance, 0.9 ether);
        assertEq(market.balanceOf(address(node)), 0);
    }

    /// @dev Forced ether belongs to nobody and shifts nothing.
    function test_settle_forcedEther_changesNoAmount(uint96 forced) public {
        vm.deal(address(this), forced);
        new Forcer{value: forced}(payable(address(market)));
        bytes32 session = _earned(alice, 1 ether, 0.5 ether);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.45 ether);
        assertEq(market.balanceOf(user), 0.5 ether);
        assertEq(market.balanceOf(address(vault)), 0.05 ether);
        assertEq(address(market).balance, 1 ether + uint256(forced));
    }

    function test_receive_plainEther_reverts() public {
        vm.deal(stranger, 2);
        vm.startPrank(stranger);
        (bool toMarket,) = address(market).call{value: 1}("");
        (bool toNodes,) = address(nodes).call{value: 1}("");
        assertFalse(toMarket || toNodes);
    }

    function _earnSomeElse() private {
        bytes32 session = _open(_caps(bob, 1 ether), "else");
        _post(session, bob, 1 ether);
        _close(session);
        _passWindowOf(session, bob);
        market.settle(session, bob);
    }
}
