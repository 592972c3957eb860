// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {Deployed} from "../Deployed.sol";

/// @notice `open`, `payPerInference`, `allot`.
contract InferenceMarketOpenTest is Deployed {
    function test_open_locksExactlyTheCaps(uint96 first, uint96 second) public {
        first = uint96(bound(first, 1, 1000 ether));
        second = uint96(bound(second, 1, 1000 ether));
        IInferenceMarket.Cap[] memory caps = _caps(alice, first, bob, second);
        bytes32 expected = market.sessionId(user, NONCE);

        vm.expectEmit();
        emit IInferenceMarket.SessionOpened(expected, user, signer, uint64(block.timestamp + T), caps);
        bytes32 session = _open(caps);

        assertEq(session, expected);
        assertEq(address(market).balance, uint256(first) + second);
        IInferenceMarket.Session memory entry = market.sessionOf(session);
        assertEq(entry.user, user);
        assertEq(entry.signer, signer);
        assertEq(entry.expiry, block.timestamp + T);
        assertEq(entry.end, 0);
        assertEq(entry.lineCount, 2);
        IInferenceMarket.LineView memory line = market.lineOf(session, alice);
        assertEq(line.cap, first);
        assertEq(line.cumulative, 0);
        assertEq(line.end, block.timestamp + T + W);
        assertEq(market.lineOf(session, bob).cap, second);
        assertEq(market.lineOf(session, stranger).cap, 0);
    }

    function test_open_valueIsNotTheSumOfCaps_reverts(uint96 first, uint96 second, uint96 value) public {
        uint256 sum =
            uint256(first = uint96(bound(first, 1, 1000 ether))) + (second = uint96(bound(second, 1, 1000 ether)));
        vm.assume(value != sum);
        vm.deal(user, value);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_WrongValue.selector, value, sum));
        vm.prank(user);
        market.open{value: value}(signer, uint64(block.timestamp + T), _caps(alice, first, bob, second), NONCE);
    }

    /// @dev Caps so large that their sum would wrap in 128 bits must not pass for a small lock.
    function test_open_capsThatOverflow128Bits_reverts() public {
        IInferenceMarket.Cap[] memory caps = _caps(alice, type(uint128).max, bob, 2);
        vm.expectRevert();
        vm.prank(user);
        market.open{value: 1}(signer, uint64(block.timestamp + T), caps, NONCE);
    }

    function test_open_capAbove104Bits_reverts() public {
        uint128 huge = uint128(type(uint104).max) + 1;
        vm.deal(user, huge);
        vm.expectRevert();
        vm.prank(user);
        market.open{value: huge}(signer, uint64(block.timestamp + T), _caps(alice, huge), NONCE);
    }

    function test_open_badExpiry_reverts(uint64 expiry) public {
        vm.assume(expiry <= block.timestamp || expiry > block.timestamp + T);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceMarket.InferenceMarket_BadExpiry.selector, expiry, block.timestamp, block.timestamp + T
            )
        );
        vm.prank(user);
        market.open{value: 1}(signer, expiry, _caps(alice, 1), NONCE);
    }

    function test_open_withoutSigner_reverts() public {
        vm.expectRevert(IInferenceMarket.InferenceMarket_NoSigner.selector);
        vm.prank(user);
        market.open{value: 1}(address(0), uint64(block.timestamp + T), _caps(alice, 1), NONCE);
    }

    function test_open_withoutLines_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_BadLineCount.selector, 0, 32));
        _open(new IInferenceMarket.Cap[](0));
    }

    function test_open_thirtyTwoLines_isTheMost() public {
        IInferenceMarket.Cap[] memory caps = _manyCaps(32);
        assertEq(market.sessionOf(_open(caps)).lineCount, 32);

        caps = _manyCaps(33);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_BadLineCount.selector, 33, 32));
        _open(caps, "another");
    }

    function test_open_nodeNamedTwice_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_DuplicateNode.selector, alice));
        _open(_caps(alice, 1 ether, alice, 1 ether));
    }

    function test_open_zeroCap_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_CapMustRise.selector, bob, 0, 0));
        _open(_caps(alice, 1 ether, bob, 0));
    }

    function test_open_nodeNotRegistered_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, stranger));
        _open(_caps(stranger, 1 ether));
    }

    function test_open_nodeUnbonding_reverts() public {
        vm.prank(alice);
        nodes.requestUnbond();
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, alice));
        _open(_caps(bob, 1 ether, alice, 1 ether));
    }

    function test_open_nodeConvicted_reverts() public {
        dispute.convict(alice, stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, alice));
        _open(_caps(alice, 1 ether));
    }

    function test_open_sameNonceAgain_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionExists.selector, session));
        _open(_caps(bob, 1 ether));
    }

    /// @dev Else old vouchers would count again.
    function test_open_sameNonceAfterEverythingIsSettled_reverts() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionExists.selector, session));
        _open(_caps(alice, 1 ether));
    }

    function test_open_idsOfDifferentUsersNeverCollide(address other, bytes32 nonce) public {
        vm.assume(other != user);
        assertNotEq(market.sessionId(user, nonce), market.sessionId(other, nonce));
        // Front-running with the victim's nonce yields the attacker's own id.
        vm.deal(stranger, 1);
        vm.prank(stranger);
        market.open{value: 1}(stranger, uint64(block.timestamp + T), _caps(alice, 1), NONCE);
        assertEq(market.sessionOf(_open(_caps(alice, 1 ether))).user, user);
    }

    function test_payPerInference_opensASessionForOneOrder(uint96 cap, bytes32 orderDigest) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        bytes32 session = market.sessionId(user, NONCE);
        vm.expectEmit();
        emit IInferenceMarket.OrderPaid(session, orderDigest, cap);
        vm.prank(user);
        bytes32 opened = market.payPerInference{value: cap}(
            signer, uint64(block.timestamp + T), _caps(alice, cap), NONCE, orderDigest
        );
        assertEq(opened, session);

        _post(session, alice, cap);
        _close(session);
        _passWindowOf(session, alice);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), cap - cap / 10);
    }

    function test_payPerInference_wrongValue_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_WrongValue.selector, 1, 2));
        vm.prank(user);
        market.payPerInference{value: 1}(signer, uint64(block.timestamp + T), _caps(alice, 2), NONCE, 0);
    }

    // ---------------------------------------------------------------- allot

    function test_allot_addsALineForFailover(uint96 cap) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectEmit();
        emit IInferenceMarket.Allotted(session, bob, cap);
        vm.prank(user);
        market.allot{value: cap}(session, bob, cap);
        assertEq(market.lineOf(session, bob).cap, cap);
        assertEq(market.sessionOf(session).lineCount, 2);
        assertEq(address(market).balance, 1 ether + uint256(cap));
    }

    function test_allot_raisesACap(uint96 more) public {
        more = uint96(bound(more, 1, 1000 ether));
        bytes32 session = _open(_caps(alice, 1 ether));
        _post(session, alice, 0.5 ether);
        vm.prank(user);
        market.allot{value: more}(session, alice, 1 ether + uint128(more));
        assertEq(market.lineOf(session, alice).cap, 1 ether + uint256(more));
        assertEq(market.lineOf(session, alice).cumulative, 0.5 ether);
        assertEq(market.sessionOf(session).lineCount, 1);
    }

    function test_allot_capFalls_reverts(uint128 cap) public {
        cap = uint128(bound(cap, 0, 1 ether));
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_CapMustRise.selector, alice, 1 ether, cap)
        );
        vm.prank(user);
        market.allot(session, alice, cap);
    }

    function test_allot_valueIsNotTheDifference_reverts(uint96 value) public {
        vm.assume(value != 1 ether);
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.deal(user, value);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_WrongValue.selector, value, 1 ether));
        vm.prank(user);
        market.allot{value: value}(session, alice, 2 ether);
    }

    function test_allot_byAnotherThanTheUser_reverts(address caller) public {
        vm.assume(caller != user);
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.deal(caller, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NotAllowed.selector, caller));
        vm.prank(caller);
        market.allot{value: 1 ether}(session, bob, 1 ether);
    }

    function test_allot_unknownSession_reverts(bytes32 session) public {
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionUnknown.selector, session));
        vm.prank(user);
        market.allot{value: 1}(session, bob, 1);
    }

    function test_allot_afterClose_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        _close(session);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceMarket.InferenceMarket_SessionClosed.selector, session, block.timestamp + W
            )
        );
        vm.prank(user);
        market.allot{value: 1 ether}(session, bob, 1 ether);
    }

    /// @dev At the expiry a line can still be added (it has its whole window), a second later no more.
    function test_allot_afterExpiry_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        uint256 expiry = block.timestamp + T;
        vm.warp(expiry);
        vm.prank(user);
        market.allot{value: 1 ether}(session, bob, 1 ether);
        assertEq(market.lineOf(session, bob).end, expiry + W);

        vm.warp(expiry + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionExpired.selector, session, expiry)
        );
        vm.prank(user);
        market.allot{value: 1 ether}(session, bob, 2 ether);
    }

    function test_allot_afterCloseLine_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.prank(alice);
        market.closeLine(session);
        uint256 end = block.timestamp + W;
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineClosed.selector, session, alice, end)
        );
        vm.prank(user);
        market.allot{value: 1 ether}(session, alice, 2 ether);
    }

    /// @dev A settled line of a session that is still open must not come to life again.
    function test_allot_afterCloseLineAndSettle_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.prank(alice);
        market.closeLine(session);
        uint256 end = block.timestamp + W;
        vm.warp(end + 1);
        market.settle(session, alice);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LineClosed.selector, session, alice, end)
        );
        vm.prank(user);
        market.allot{value: 1 ether}(session, alice, 2 ether);
    }

    function test_allot_nodeUnbonding_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.prank(alice);
        nodes.requestUnbond();
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, alice));
        vm.prank(user);
        market.allot{value: 1 ether}(session, alice, 2 ether);
    }

    function test_allot_nodeConvicted_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        dispute.convict(bob, stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NodeNotActive.selector, bob));
        vm.prank(user);
        market.allot{value: 1 ether}(session, bob, 1 ether);
    }

    function test_allot_thirtyThirdLine_reverts() public {
        bytes32 session = _open(_manyCaps(32));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_BadLineCount.selector, 33, 32));
        vm.prank(user);
        market.allot{value: 1}(session, bob, 1);
    }

    function test_allot_capAbove104Bits_reverts() public {
        bytes32 session = _open(_caps(alice, 1));
        vm.deal(user, type(uint128).max);
        vm.expectRevert();
        vm.prank(user);
        market.allot{value: uint256(type(uint128).max) - 1}(session, alice, type(uint128).max);
    }

    function _manyCaps(uint256 count) internal returns (IInferenceMarket.Cap[] memory caps) {
        caps = new IInferenceMarket.Cap[](count);
        for (uint256 i = 0; i < count; ++i) {
            address node = makeAddr(vm.toString(i));
            if (nodes.receiptKeyOf(node) == address(0)) _register(node, MINIMUM_STAKE);
            caps[i] = IInferenceMarket.Cap({node: node, cap: uint128(i + 1)});
        }
    }
}
