// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {Deployed} from "../Deployed.sol";
import {Participant} from "../doubles/Receivers.sol";

/// @notice The publisher's share: paid beside what node and vault get, never out of it.
contract InferenceMarketShareTest is Deployed {
    uint16 internal constant SHARE = 500;

    function setUp() public override {
        super.setUp();
        _setShare(SHARE);
    }

    // ---------------------------------------------------------------- opening

    function test_openFor_locksTheShareOfEachCap(uint96 first, uint96 second, uint16 share) public {
        first = uint96(bound(first, 1, 1000 ether));
        second = uint96(bound(second, 1, 1000 ether));
        share = uint16(bound(share, 0, 2000));
        _setShare(share);
        IInferenceMarket.Cap[] memory caps = _caps(alice, first, bob, second);
        bytes32 expected = market.sessionId(user, NONCE);

        vm.expectEmit();
        emit IInferenceMarket.SessionOpened(expected, user, signer, uint64(block.timestamp + T), caps);
        vm.expectEmit();
        emit IInferenceMarket.OpenedFor(expected, modelVersion, publisher, share);
        bytes32 session = _openFor(caps, share);

        assertEq(session, expected);
        uint256 beside = uint256(first) * share / 10_000 + uint256(second) * share / 10_000;
        assertEq(address(market).balance, uint256(first) + second + beside);
        assertEq(market.lineOf(session, alice).cap, first);
        IInferenceMarket.SessionShare memory found = market.shareOf(session);
        assertEq(found.modelVersion, modelVersion);
        assertEq(found.publisher, publisher);
        assertEq(found.basisPoints, share);
        assertEq(found.openedAt, block.timestamp);
    }

    function test_openFor_anotherValue_reverts(uint96 value) public {
        vm.assume(value != 1.05 ether);
        vm.deal(user, value);
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_WrongValue.selector, value, 1.05 ether));
        vm.prank(user);
        market.openFor{value: value}(modelVersion, SHARE, signer, _expiry(), _caps(alice, 1 ether), NONCE);
    }

    /// @dev The publisher sees the opening and raises, or lowers, the share before it: nobody pays what was not agreed.
    function test_openFor_shareChangedOnTheWay_reverts(uint16 standing) public {
        standing = uint16(bound(standing, 0, 2000));
        vm.assume(standing != SHARE);
        _setShare(standing);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_OtherShare.selector, modelVersion, SHARE, standing)
        );
        _openFor(_caps(alice, 1 ether), SHARE);
    }

    function test_openFor_unknownVersion_reverts(bytes32 version) public {
        vm.assume(version != modelVersion);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Unknown.selector, version));
        vm.prank(user);
        market.openFor{value: 1}(version, 0, signer, _expiry(), _caps(alice, 1), NONCE);
    }

    function test_openFor_idOfAnEarlierSession_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        vm.expectRevert(abi.encodeWithSelector(IInferenceMarket.InferenceMarket_SessionExists.selector, session));
        _openFor(_caps(alice, 1 ether), SHARE);
        assertEq(market.shareOf(session).modelVersion, 0);
    }

    function test_open_hasNoShare() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        IInferenceMarket.SessionShare memory found = market.shareOf(session);
        assertEq(found.modelVersion, 0);
        assertEq(found.publisher, address(0));
        assertEq(found.basisPoints, 0);
    }

    /// @dev Nodes tell a session that is older than a share from one that leaves it out, whatever its expiry is.
    function test_shareOf_saysWhenASessionWasOpened(uint32 later) public {
        bytes32 session = _open(_caps(alice, 1 ether));
        uint256 opened = block.timestamp;
        vm.warp(opened + later);
        assertEq(market.shareOf(session).openedAt, opened);
        assertEq(market.shareOf(bytes32(uint256(1))).openedAt, 0);
    }

    function test_payPerInferenceFor_opensASessionForOneOrder(uint96 cap, bytes32 orderDigest) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        uint256 value = uint256(cap) + uint256(cap) * SHARE / 10_000;
        bytes32 session = market.sessionId(user, NONCE);
        vm.expectEmit();
        emit IInferenceMarket.OpenedFor(session, modelVersion, publisher, SHARE);
        vm.expectEmit();
        emit IInferenceMarket.OrderPaid(session, orderDigest, value);
        vm.prank(user);
        market.payPerInferenceFor{value: value}(
            modelVersion, SHARE, signer, _expiry(), _caps(alice, cap), NONCE, orderDigest
        );
        assertEq(market.shareOf(session).basisPoints, SHARE);
    }

    // ---------------------------------------------------------------- allot

    /// @dev Raised in steps or opened at once: the same is locked, to the wei, so no step saves a rounding.
    function test_allot_inSteps_locksWhatOneOpeningLocks(uint32[6] memory steps, uint16 share) public {
        share = uint16(bound(share, 0, 2000));
        _setShare(share);
        bytes32 session = _openFor(_caps(alice, 1), share);
        uint256 cap = 1;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint256 next = cap + bound(steps[i], 1, 30_000);
            uint256 value = next - cap + next * share / 10_000 - cap * share / 10_000;
            vm.prank(user);
            market.allot{value: value}(session, alice, uint128(next));
            cap = next;
        }
        assertEq(address(market).balance, cap + cap * share / 10_000);
    }

    function test_allot_newLine_locksItsShare() public {
        bytes32 session = _openFor(_caps(alice, 1 ether), SHARE);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceMarket.InferenceMarket_WrongValue.selector, 2 ether, 2.1 ether)
        );
        vm.prank(user);
        market.allot{value: 2 ether}(session, bob, 2 ether);
        vm.prank(user);
        market.allot{value: 2.1 ether}(session, bob, 2 ether);
        assertEq(address(market).balance, 3.15 ether);
    }

    /// @dev A running session keeps its share, whatever its publisher asks for new ones.
    function test_allot_shareChangedMeanwhile_keepsTheOneOfTheOpening(uint16 later) public {
        bytes32 session = _openFor(_caps(alice, 1 ether), SHARE);
        _setShare(uint16(bound(later, 0, 2000)));
        vm.prank(user);
        market.allot{value: 1.05 ether}(session, alice, 2 ether);
        _post(session, alice, 2 ether);
        _close(session);
        _passWindowOf(session, alice);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), 0.1 ether);
    }

    // ---------------------------------------------------------------- settlement

    /// @dev Node and vault get to the wei what they get without a share; the parts add up to what was locked.
    function test_settle_paysTheShareBesideTheNinetyTen(uint96 cap, uint96 earned, uint16 share) public {
        cap = uint96(bound(cap, 1, 1000 ether));
        earned = uint96(bound(earned, 0, cap));
        share = uint16(bound(share, 0, 2000));
        _setShare(share);
        bytes32 session = _earnedFor(_caps(alice, cap), earned, share);
        uint256 locked = address(market).balance;

        market.settle(session, alice);
        assertEq(market.balanceOf(address(vault)), earned / 10);
        assertEq(market.balanceOf(alice), earned - earned / 10);
        assertEq(market.balanceOf(publisher), uint256(earned) * share / 10_000);
        uint256 paid = earned + market.balanceOf(publisher);
        assertEq(market.balanceOf(user), locked - paid);
    }

    function test_settle_saysWhoGotWhat() public {
        bytes32 session = _earnedFor(_caps(alice, 1 ether), 0.6 ether, SHARE);
        vm.expectEmit();
        emit IInferenceMarket.LineSettled(session, alice, 0.54 ether, 0.06 ether, 0.4 ether, false);
        vm.expectEmit();
        emit IInferenceMarket.ShareSettled(session, alice, publisher, 0.03 ether, 0.02 ether);
        market.settle(session, alice);
    }

    function test_settle_nothingEarned_paysThePublisherNothing() public {
        bytes32 session = _earnedFor(_caps(alice, 1 ether), 0, SHARE);
        vm.expectEmit();
        emit IInferenceMarket.ShareSettled(session, alice, publisher, 0, 0.05 ether);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), 0);
        assertEq(market.balanceOf(user), 1.05 ether);
    }

    function test_settle_convictedNode_givesTheShareBack() public {
        bytes32 session = _earnedFor(_caps(alice, 1 ether), 0.6 ether, SHARE);
        dispute.convict(alice, stranger);
        vm.expectEmit();
        emit IInferenceMarket.LineSettled(session, alice, 0, 0, 1 ether, true);
        vm.expectEmit();
        emit IInferenceMarket.ShareSettled(session, alice, publisher, 0, 0.05 ether);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), 0);
        assertEq(market.balanceOf(user), 1.05 ether);
    }

    /// @dev A game holds what the node earned and its share; the rest returns at once; then either all is paid or all
    /// goes back.
    function test_settle_underAGame_holdsTheShareOfWhatWasEarned(uint96 cap, uint96 earned, bool convicted) public {
        cap = uint96(bound(cap, 2, 1000 ether));
        earned = uint96(bound(earned, 1, cap - 1));
        bytes32 session = _openFor(_caps(alice, cap), SHARE);
        uint256 locked = address(market).balance;
        _post(session, alice, earned);
        dispute.open(session, alice);
        _close(session);
        _passWindowOf(session, alice);

        market.settle(session, alice);
        uint256 held = uint256(earned) + uint256(earned) * SHARE / 10_000;
        assertEq(market.balanceOf(user), locked - held);
        assertEq(market.balanceOf(publisher) + market.balanceOf(alice), 0);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_OpenGames.selector);
        market.settle(session, alice);

        dispute.close(session, alice);
        if (convicted) dispute.convict(alice, stranger);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), convicted ? 0 : held - earned);
        assertEq(market.balanceOf(alice), convicted ? 0 : earned - earned / 10);
        assertEq(market.balanceOf(user), convicted ? locked : locked - held);
    }

    /// @dev One convicted node takes no publisher's share of an honest node's line.
    function test_settleMany_eachLineHasItsOwnShare() public {
        bytes32 session = _openFor(_caps(alice, 1 ether, bob, 1 ether), SHARE);
        _post(_voucher(session, alice, 1 ether, bob, 1 ether));
        dispute.convict(alice, stranger);
        _close(session);
        _passWindowOf(session, bob);
        address[] memory payees = new address[](2);
        (payees[0], payees[1]) = (alice, bob);
        market.settleMany(session, payees);
        assertEq(market.balanceOf(publisher), 0.05 ether);
        assertEq(market.balanceOf(user), 1.05 ether);
        assertEq(market.balanceOf(bob), 0.9 ether);
    }

    function test_settle_twice_paysTheShareOnce() public {
        bytes32 session = _earnedFor(_caps(alice, 1 ether), 1 ether, SHARE);
        market.settle(session, alice);
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_LineSettled.selector);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), 0.05 ether);
    }

    /// @dev A share of less than a wei is none, and what was locked for it goes back: no wei stays behind.
    function test_settle_roundsDownForThePublisher() public {
        bytes32 session = _earnedFor(_caps(alice, 39), 19, SHARE);
        assertEq(address(market).balance, 40);
        market.settle(session, alice);
        assertEq(market.balanceOf(publisher), 0);
        assertEq(market.balanceOf(alice), 18);
        assertEq(market.balanceOf(address(vault)), 1);
        assertEq(market.balanceOf(user), 21);
    }

    /// @dev A publisher that calls back or refuses money hurts itself alone.
    function test_withdraw_byAPublisherThatCallsBack_paysOnce() public {
        Participant author = new Participant();
        IModelRegistry.ModelVersion memory v = _modelVersion();
        vm.startPrank(address(author));
        bytes32 version = models.publish(v);
        models.setShare(version, 2000);
        vm.stopPrank();
        vm.prank(user);
        bytes32 session =
            market.openFor{value: 1.2 ether}(version, 2000, signer, _expiry(), _caps(alice, 1 ether), NONCE);
        _post(session, alice, 1 ether);
        _close(session);
        _passWindowOf(session, alice);
        author.become(Participant.Mood.Reenter);
        market.settle(session, alice);
        assertEq(market.balanceOf(alice), 0.9 ether);
        _open(_caps(bob, 1 ether), keccak256("whose money a second payment would take"));

        vm.expectPartialRevert(IPullPayments.PullPayments_SendFailed.selector);
        author.withdraw(market);
        author.become(Participant.Mood.Accept);
        author.withdraw(market);
        assertEq(address(author).balance, 0.2 ether);
        assertEq(market.balanceOf(address(author)), 0);
    }

    // ---------------------------------------------------------------- inside

    function _setShare(uint16 share) private {
        vm.prank(publisher);
        models.setShare(modelVersion, share);
    }

    function _expiry() private view returns (uint64) {
        return uint64(block.timestamp + T);
    }

    function _openFor(IInferenceMarket.Cap[] memory caps, uint16 share) private returns (bytes32) {
        uint256 value;
        for (uint256 i = 0; i < caps.length; ++i) {
            value += caps[i].cap + uint256(caps[i].cap) * share / 10_000;
        }
        bytes32 nonce = NONCE;
        vm.prank(user);
        return market.openFor{value: value}(modelVersion, share, signer, _expiry(), caps, nonce);
    }

    function _earnedFor(
        IInferenceMarket.Cap[] memory caps,
        uint128 cumulative,
        uint16 share
    )
        private
        returns (bytes32 session)
    {
        session = _openFor(caps, share);
        _post(session, caps[0].node, cumulative);
        _close(session);
        _passWindowOf(session, caps[0].node);
    }
}
