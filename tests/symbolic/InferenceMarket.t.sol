// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedDocuments} from "../../contracts/market/SignedDocuments.sol";
import {SymbolicDeployment} from "./SymbolicDeployment.sol";

/// @notice What a line pays and to whom, and when it ends, for every cap, voucher and timestamp.
contract InferenceMarketProofs is SymbolicDeployment {
    function setUp() public {
        _deploy(address(this));
        _register(1 ether);
    }

    function check_settlementAddsUp(uint104 cap, uint104 earned) public {
        bytes32 session = _earned(cap, earned);
        _close(session);
        _afterWindow(session);
        market.settle(session, NODE);
        _assertSplit(cap, earned);
    }

    function check_refundAndVerdictAddUp(uint104 cap, uint104 earned) public {
        vm.assume(earned < cap);
        bytes32 session = _earned(cap, earned);
        market.openGame(session, NODE);
        _close(session);
        _afterWindow(session);
        market.settle(session, NODE);
        assertEq(market.balanceOf(USER), uint256(cap) - earned);
        assertEq(market.balanceOf(NODE) + market.balanceOf(VAULT), 0);

        market.closeGame(session, NODE);
        market.settle(session, NODE);
        _assertSplit(cap, earned);
    }

    function check_convictedNodeForfeitsTheLine(uint104 cap, uint104 earned, bool refundedBefore) public {
        vm.assume(earned < cap);
        bytes32 session = _earned(cap, earned);
        market.openGame(session, NODE);
        _close(session);
        _afterWindow(session);
        if (refundedBefore) market.settle(session, NODE);
        nodes.slash(NODE, CAROL);
        market.settle(session, NODE);
        assertEq(market.balanceOf(USER), cap);
        assertEq(market.balanceOf(NODE) + market.balanceOf(VAULT), 0);
    }

    /// @dev Each publisher's share that a session can be opened with would be a multiplication of two unknowns: one that
    /// divides nothing stands for them all.
    function check_settlementWithAShareAddsUp(uint104 cap, uint104 earned) public {
        vm.assume(cap != 0 && earned <= cap);
        bytes32 session = _openFor(cap, 777);
        assertTrue(_tryPost(session, earned));
        _close(session);
        _afterWindow(session);
        market.settle(session, NODE);
        uint256 share = uint256(earned) * 777 / 10_000;
        assertEq(market.balanceOf(PUBLISHER), share);
        assertEq(market.balanceOf(VAULT), earned / 10);
        assertEq(market.balanceOf(NODE), earned - earned / 10);
        assertEq(market.balanceOf(USER), address(market).balance - earned - share);
        assertEq(address(market).balance, uint256(cap) + uint256(cap) * 777 / 10_000);
    }

    function check_settlesOnce(uint104 cap, uint104 earned, uint40 later) public {
        bytes32 session = _earned(cap, earned);
        _close(session);
        _afterWindow(session);
        market.settle(session, NODE);
        vm.assume(later > block.timestamp);
        vm.warp(later);
        (bool again,) = address(market).call(abi.encodeCall(market.settle, (session, NODE)));
        assertFalse(again);
    }

    function check_postOnlyRaisesAndStaysUnderCap(uint104 cap, uint104 standing, uint128 offered) public {
        bytes32 session = _earned(cap, standing);
        bool taken = _tryPost(session, offered);
        uint256 now_ = market.lineOf(session, NODE).cumulative;
        assertGe(now_, standing);
        assertLe(now_, cap);
        if (taken) assertLe(offered, cap);
        assertEq(now_, taken && offered > standing ? offered : standing);
    }

    function check_nothingIsEarnedAfterTheEnd(uint104 cap, uint104 standing, uint128 offered, uint40 later) public {
        bytes32 session = _earned(cap, standing);
        _close(session);
        vm.assume(later > market.lineOf(session, NODE).end);
        vm.warp(later);
        _tryPost(session, offered);
        assertEq(market.lineOf(session, NODE).cumulative, standing);
    }

    function check_capOnlyRises(uint104 cap, uint128 asked, uint128 sent) public {
        vm.assume(cap != 0);
        bytes32 session = _open(cap);
        vm.deal(USER, sent);
        vm.prank(USER);
        (bool done,) = address(market).call{value: sent}(abi.encodeCall(market.allot, (session, NODE, asked)));
        uint256 now_ = market.lineOf(session, NODE).cap;
        assertEq(now_, done ? asked : cap);
        assertGe(now_, cap);
        assertEq(address(market).balance, now_);
    }

    /// @dev min(now, expiry) + W, whoever closes and whenever; never later than the end of a session nobody closes.
    function check_endOfAClosedSession(uint40 closing) public {
        vm.assume(closing >= START && closing < LATEST);
        bytes32 session = _open(1);
        vm.warp(closing);
        _close(session);
        uint256 expiry = START + T;
        uint256 end = market.lineOf(session, NODE).end;
        assertEq(end, (closing < expiry ? closing : expiry) + W);
        assertLe(end, expiry + W);
    }

    function check_lineClosedByItsNodeEndsNoLater(uint40 closing, uint40 after_) public {
        vm.assume(closing >= START && closing <= after_ && after_ < LATEST);
        bytes32 session = _open(1);
        vm.warp(closing);
        vm.prank(NODE);
        market.closeLine(session);
        uint256 end = market.lineOf(session, NODE).end;
        vm.warp(after_);
        _close(session);
        assertEq(market.lineOf(session, NODE).end, end);
        assertLe(end, market.sessionOf(session).end);
    }

    function check_noSettlementWithinTheWindow(uint40 closing, uint40 settling) public {
        vm.assume(closing >= START && closing <= settling && settling < LATEST);
        bytes32 session = _open(1);
        vm.warp(closing);
        _close(session);
        uint256 end = market.lineOf(session, NODE).end;
        vm.warp(settling);
        (bool done,) = address(market).call(abi.encodeCall(market.settle, (session, NODE)));
        assertEq(done, settling > end);
    }

    /// @dev Whether or not the node closed its line before.
    function check_noGameAfterTheSessionsEnd(uint40 left, uint40 closing, uint40 opening) public {
        vm.assume(left >= START && left <= closing && closing <= opening && opening < LATEST);
        bytes32 session = _open(1);
        vm.warp(left);
        vm.prank(NODE);
        market.closeLine(session);
        vm.warp(closing);
        _close(session);
        uint256 end = market.sessionOf(session).end;
        vm.warp(opening);
        (bool done,) = address(market).call(abi.encodeCall(market.openGame, (session, NODE)));
        assertEq(done, opening <= end);
    }

    // ---------------------------------------------------------------- inside

    function _assertSplit(uint256 cap, uint256 earned) private view {
        uint256 toVault = market.balanceOf(VAULT);
        assertEq(toVault, earned / 10);
        assertEq(market.balanceOf(NODE), earned - toVault);
        assertEq(market.balanceOf(USER), cap - earned);
        assertEq(market.balanceOf(NODE) + toVault + market.balanceOf(USER), cap);
        assertEq(address(market).balance, cap);
    }

    function _earned(uint104 cap, uint104 earned) private returns (bytes32 session) {
        vm.assume(cap != 0 && earned <= cap);
        session = _open(cap);
        assertTrue(_tryPost(session, earned));
    }

    function _tryPost(bytes32 session, uint128 cumulative) private returns (bool taken) {
        SignedDocuments.Line[] memory lines = new SignedDocuments.Line[](1);
        lines[0] = SignedDocuments.Line({node: NODE, cumulative: cumulative});
        SignedDocuments.Voucher memory voucher = SignedDocuments.Voucher({session: session, lines: lines});
        bytes32 digest = SignedDocuments.digest(market.domainSeparator(), SignedDocuments.hash(voucher));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SESSION_KEY, digest);
        // Every key signs with a low s; the market refuses the other one.
        vm.assume(uint256(s) <= 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0);
        (taken,) = address(market).call(abi.encodeCall(market.post, (voucher, abi.encodePacked(r, s, v))));
    }

    function _close(bytes32 session) private {
        vm.prank(USER);
        market.close(session);
    }

    function _afterWindow(bytes32 session) private {
        vm.warp(market.lineOf(session, NODE).end + 1);
    }
}
