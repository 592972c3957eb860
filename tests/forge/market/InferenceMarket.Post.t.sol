// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {InferenceMarket} from "../../../contracts/market/InferenceMarket.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Deployed} from "../Deployed.sol";

/// @notice `post` and `commitReceipts`.
contract InferenceMarketPostTest is Deployed {
    uint256 internal constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    bytes32 internal session;

    function setUp() public override {
        super.setUp();
        session = _open(_caps(alice, 10 ether, bob, 20 ether));
    }

    function test_post_raisesEveryLine(uint128 first, uint128 second) public {
        first = uint128(bound(first, 1, 10 ether));
        second = uint128(bound(second, 1, 20 ether));
        vm.expectEmit();
        emit IInferenceMarket.VoucherPosted(session, alice, first);
        vm.expectEmit();
        emit IInferenceMarket.VoucherPosted(session, bob, second);
        _post(_voucher(session, alice, first, bob, second));
        _assertEarned(first, second);
    }

    /// @dev The result is the maximum per line, whatever the order of posting: no stale close, no equivocation.
    function test_post_mergesByMaximumInAnyOrder(uint128[2][5] memory sums) public {
        uint256 first;
        uint256 second;
        for (uint256 i = 0; i < sums.length; ++i) {
            sums[i][0] = uint128(bound(sums[i][0], 0, 10 ether));
            sums[i][1] = uint128(bound(sums[i][1], 0, 20 ether));
            _post(_voucher(session, alice, sums[i][0], bob, sums[i][1]));
            first = sums[i][0] > first ? sums[i][0] : first;
            second = sums[i][1] > second ? sums[i][1] : second;
            _assertEarned(first, second);
        }
    }

    function test_post_lowerVoucher_changesNothing(uint128 high, uint128 low) public {
        high = uint128(bound(high, 1, 10 ether));
        low = uint128(bound(low, 0, high));
        _post(session, alice, high);
        _post(session, alice, low);
        _assertEarned(high, 0);
    }

    function test_post_sameVoucherAgain_changesNothing() public {
        _post(session, alice, 4 ether);
        _post(session, alice, 4 ether);
        _assertEarned(4 ether, 0);
    }

    function test_post_emptyVoucher_changesNothing() public {
        _post(SignedDocuments.Voucher({session: session, lines: new SignedDocuments.Line[](0)}));
        _assertEarned(0, 0);
    }

    function test_post_sameNodeTwiceInOneVoucher_countsOnce() public {
        _post(_voucher(session, alice, 3 ether, alice, 4 ether));
        _assertEarned(4 ether, 0);
    }

    function test_post_overCap_reverts(uint128 sum) public {
        sum = uint128(bound(sum, 10 ether + 1, type(uint128).max));
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, sum);
        bytes memory signature = _sign(voucher);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceMarket.InferenceMarket_VoucherRefused.selector, session, IInferenceMarket.Refusal.OverCap
            )
        );
        market.post(voucher, signature);
    }

    /// @dev One line's failure never reverts another's: the honest node gets its due from a poisoned voucher.
    function test_post_oneLineOverCap_doesNotStopTheOther(uint128 sum) public {
        sum = uint128(bound(sum, 10 ether + 1, type(uint128).max));
        vm.expectEmit();
        emit IInferenceMarket.LineRefused(session, alice, sum, IInferenceMarket.Refusal.OverCap);
        _post(_voucher(session, alice, sum, bob, 5 ether));
        _assertEarned(0, 5 ether);
    }

    function test_post_unknownNode_doesNotStopTheOther() public {
        vm.expectEmit();
        emit IInferenceMarket.LineRefused(session, stranger, 1, IInferenceMarket.Refusal.UnknownLine);
        _post(_voucher(session, stranger, 1, bob, 5 ether));
        _assertEarned(0, 5 ether);
    }

    function test_post_endedLine_doesNotStopTheOther() public {
        vm.prank(alice);
        market.closeLine(session);
        vm.warp(block.timestamp + W + 1);
        vm.expectEmit();
        emit IInferenceMarket.LineRefused(session, alice, 1 ether, IInferenceMarket.Refusal.Ended);
        _post(_voucher(session, alice, 1 ether, bob, 5 ether));
        _assertEarned(0, 5 ether);
    }

    function test_post_onlyUnknownNodes_reverts() public {
        SignedDocuments.Voucher memory voucher = _voucher(session, stranger, 1);
        bytes memory signature = _sign(voucher);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceMarket.InferenceMarket_VoucherRefused.selector, session, IInferenceMarket.Refusal.UnknownLine
            )
        );
        market.post(voucher, signature);
    }

    /// @dev The cap is raised with `allot`; the refused voucher counts afterwards.
    function test_post_overCapVoucher_countsOnceTheCapIsRaised() public {
        vm.prank(user);
        market.allot{value: 5 ether}(session, alice, 15 ether);
        _post(session, alice, 15 ether);
        _assertEarned(15 ether, 0);
    }

    function test_post_byAnotherKey_reverts(uint256 key) public {
        key = bound(key, 1, CURVE_ORDER - 1);
        vm.assume(vm.addr(key) != signer);
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, 1 ether);
        bytes memory signature = _sign(voucher, key, market.domainSeparator());
        _expectBadSignature(vm.addr(key));
        market.post(voucher, signature);
    }

    /// @dev Who pays is the session key: not the user's wallet, not the node.
    function test_post_byTheUsersWalletKey_reverts() public {
        (address wallet, uint256 key) = makeAddrAndKey("wallet");
        vm.deal(wallet, 1 ether);
        vm.prank(wallet);
        bytes32 own = market.open{value: 1 ether}(signer, uint64(block.timestamp + T), _caps(alice, 1 ether), NONCE);
        SignedDocuments.Voucher memory voucher = _voucher(own, alice, 1 ether);
        bytes memory signature = _sign(voucher, key, market.domainSeparator());
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_BadSignature.selector, own, wallet));
        market.post(voucher, signature);
    }

    function test_post_changedAmount_reverts(uint128 signed, uint128 claimed) public {
        signed = uint128(bound(signed, 0, 10 ether));
        claimed = uint128(bound(claimed, 0, 10 ether));
        vm.assume(signed != claimed);
        bytes memory signature = _sign(_voucher(session, alice, signed));
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_BadSignature.selector);
        market.post(_voucher(session, alice, claimed), signature);
    }

    /// @dev Replay into another session of the same user and the same key.
    function test_post_voucherOfAnotherSession_reverts() public {
        bytes32 other = _open(_caps(alice, 10 ether), "other");
        bytes memory signature = _sign(_voucher(session, alice, 1 ether));
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_BadSignature.selector);
        market.post(_voucher(other, alice, 1 ether), signature);
    }

    function test_post_voucherOfAnotherMarket_reverts() public {
        InferenceMarket other = new InferenceMarket(nodes);
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, 1 ether);
        bytes memory signature = _sign(voucher, SESSION_KEY, other.domainSeparator());
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_BadSignature.selector);
        market.post(voucher, signature);
    }

    function test_post_voucherOfAnotherChain_reverts(uint64 chain) public {
        chain = uint64(bound(chain, 1, type(uint64).max - 1));
        vm.assume(chain != block.chainid);
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, 1 ether);
        bytes memory signature = _sign(voucher);
        vm.chainId(chain);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_BadSignature.selector);
        market.post(voucher, signature);
    }

    function test_post_highS_reverts() public {
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, 1 ether);
        bytes32 digest = SignedDocuments.digest(market.domainSeparator(), SignedDocuments.hash(voucher));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SESSION_KEY, digest);
        bytes memory malleated = abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? 28 : 27);
        // The same signer to ecrecover, and still refused.
        assertEq(ecrecover(digest, v == 27 ? 28 : 27, r, bytes32(CURVE_ORDER - uint256(s))), signer);
        _expectBadSignature(address(0));
        market.post(voucher, malleated);
    }

    function test_post_garbageSignature_reverts(bytes calldata signature) public {
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, 1 ether);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_BadSignature.selector);
        market.post(voucher, signature);
    }

    function test_post_unknownSession_reverts(bytes32 unknown) public {
        vm.assume(unknown != session);
        SignedDocuments.Voucher memory voucher = _voucher(unknown, alice, 1);
        bytes memory signature = _sign(voucher);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionUnknown.selector, unknown));
        market.post(voucher, signature);
    }

    // ---------------------------------------------------------------- until when

    function test_post_afterExpiryUntilTheEnd_counts() public {
        vm.warp(block.timestamp + T + W);
        _post(session, alice, 1 ether);
        _assertEarned(1 ether, 0);
    }

    function test_post_afterTheEndOfANeverClosedLine_reverts() public {
        vm.warp(block.timestamp + T + W + 1);
        _expectEnded(1 ether);
    }

    function test_post_inTheWindowAfterClose_counts() public {
        _close(session);
        vm.warp(block.timestamp + W);
        _post(session, alice, 1 ether);
        _assertEarned(1 ether, 0);
    }

    function test_post_afterTheWindow_reverts() public {
        _close(session);
        vm.warp(block.timestamp + W + 1);
        _expectEnded(1 ether);
    }

    /// @dev A late voucher must not change what was already paid out.
    function test_post_afterSettle_reverts() public {
        _close(session);
        _passWindowOf(session, alice);
        market.settle(session, alice);
        _expectEnded(1 ether);
    }

    // ---------------------------------------------------------------- receipts

    function test_commitReceipts_keepsTheLatest(bytes32 root, uint64 count, bytes32 next, uint64 more) public {
        count = uint64(bound(count, 1, type(uint64).max - 1));
        more = uint64(bound(more, count + 1, type(uint64).max));
        vm.startPrank(alice);
        market.commitReceipts(root, count);
        vm.expectEmit();
        emit IInferenceMarket.ReceiptsCommitted(alice, next, more);
        market.commitReceipts(next, more);
        IInferenceMarket.ReceiptLog memory log = market.receiptLogOf(alice);
        assertEq(log.root, next);
        assertEq(log.count, more);
        assertEq(log.committedAt, block.timestamp);
    }

    function test_commitReceipts_logShrinks_reverts(uint64 count, uint64 less) public {
        count = uint64(bound(count, 1, type(uint64).max));
        less = uint64(bound(less, 0, count));
        vm.startPrank(alice);
        market.commitReceipts("root", count);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_LogMustGrow.selector, count, less));
        market.commitReceipts("another", less);
    }

    function test_commitReceipts_notANode_reverts(address caller) public {
        vm.assume(caller != alice && caller != bob);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_NotAllowed.selector, caller));
        vm.prank(caller);
        market.commitReceipts("root", 1);
    }

    function _assertEarned(uint256 first, uint256 second) private view {
        assertEq(market.lineOf(session, alice).cumulative, first);
        assertEq(market.lineOf(session, bob).cumulative, second);
    }

    function _expectBadSignature(address recovered) private {
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_BadSignature.selector, session, recovered)
        );
    }

    function _expectEnded(uint128 sum) private {
        SignedDocuments.Voucher memory voucher = _voucher(session, alice, sum);
        bytes memory signature = _sign(voucher);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceMarket.InferenceMarket_VoucherRefused.selector, session, IInferenceMarket.Refusal.Ended
            )
        );
        market.post(voucher, signature);
    }
}
