// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {ICreditDeposits} from "../../../contracts/interfaces/ICreditDeposits.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {CreditDeposits} from "../../../contracts/market/CreditDeposits.sol";

contract CreditDepositsTest is Test {
    uint64 internal constant NOTICE = 3 days;

    address internal operator = makeAddr("operator");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    CreditDeposits internal deposits;

    function setUp() public {
        vm.warp(1_000_000);
        deposits = new CreditDeposits(operator, NOTICE);
        vm.deal(bob, 1000 ether);
    }

    function _deposit(address account, uint256 amount) internal {
        vm.prank(bob);
        deposits.deposit{value: amount}(account);
    }

    function _claim(address account, uint256 total) internal {
        vm.prank(operator);
        deposits.claim(account, total);
    }

    function _held(address account) internal view returns (uint256) {
        (uint256 deposited, uint256 claimed, uint256 refunded,) = deposits.accountOf(account);
        return deposited - claimed - refunded;
    }

    function test_constructor_badTerms_reverts() public {
        vm.expectRevert(ICreditDeposits.CreditDeposits_BadTerms.selector);
        new CreditDeposits(address(0), NOTICE);
        vm.expectRevert(ICreditDeposits.CreditDeposits_BadTerms.selector);
        new CreditDeposits(operator, 0);
        vm.expectRevert(ICreditDeposits.CreditDeposits_BadTerms.selector);
        new CreditDeposits(operator, 30 days + 1);
        assertEq(new CreditDeposits(operator, 30 days).notice(), 30 days);
    }

    function test_deposit_forAnother_addsUp() public {
        vm.expectEmit();
        emit ICreditDeposits.Deposited(alice, bob, 2 ether, 2 ether);
        _deposit(alice, 2 ether);
        vm.expectEmit();
        emit ICreditDeposits.Deposited(alice, bob, 1 ether, 3 ether);
        _deposit(alice, 1 ether);
        assertEq(_held(alice), 3 ether);
        assertEq(_held(bob), 0);
        assertEq(address(deposits).balance, 3 ether);
    }

    function test_deposit_ofNothingOrForNobody_reverts() public {
        vm.startPrank(bob);
        vm.expectRevert(ICreditDeposits.CreditDeposits_EmptyDeposit.selector);
        deposits.deposit{value: 0}(alice);
        vm.expectRevert(ICreditDeposits.CreditDeposits_EmptyDeposit.selector);
        deposits.deposit{value: 1}(address(0));
    }

    function test_plainEther_isRefused() public {
        vm.prank(bob);
        (bool sent,) = address(deposits).call{value: 1}("");
        assertFalse(sent);
    }

    function test_claim_isCumulative() public {
        _deposit(alice, 3 ether);
        vm.expectEmit();
        emit ICreditDeposits.Claimed(alice, 1 ether, 1 ether);
        _claim(alice, 1 ether);
        _claim(alice, 1 ether);
        _claim(alice, 3 ether);
        assertEq(deposits.balanceOf(operator), 3 ether);
        vm.prank(operator);
        assertEq(deposits.withdraw(), 3 ether);
        assertEq(operator.balance, 3 ether);
    }

    function test_claim_byAnother_reverts(address caller) public {
        vm.assume(caller != operator);
        _deposit(alice, 1 ether);
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NotOperator.selector, caller));
        deposits.claim(alice, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NotOperator.selector, caller));
        deposits.answerRefund(alice, 1);
    }

    /// @dev One account's answers are never paid from another's deposit.
    function test_claim_moreThanHeld_reverts(uint96 mine, uint96 others, uint128 total) public {
        mine = uint96(bound(mine, 1, 100 ether));
        others = uint96(bound(others, 1, 100 ether));
        vm.assume(total > mine);
        _deposit(alice, mine);
        _deposit(bob, others);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_BadClaim.selector, alice, total, 0, mine));
        _claim(alice, total);
    }

    function test_claim_lessThanBefore_reverts() public {
        _deposit(alice, 3 ether);
        _claim(alice, 2 ether);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditDeposits.CreditDeposits_BadClaim.selector, alice, 1 ether, 2 ether, 1 ether)
        );
        _claim(alice, 1 ether);
    }

    function test_refund_afterTheNotice_needsNoOperator() public {
        _deposit(alice, 3 ether);
        vm.startPrank(alice);
        vm.expectEmit();
        emit ICreditDeposits.RefundRequested(alice, 1_000_000 + NOTICE);
        deposits.requestRefund();
        vm.warp(1_000_000 + NOTICE - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICreditDeposits.CreditDeposits_NoticeRuns.selector, alice, uint64(1_000_000 + NOTICE)
            )
        );
        deposits.refund();
        vm.warp(1_000_000 + NOTICE);
        vm.expectEmit();
        emit ICreditDeposits.Refunded(alice, 3 ether, 3 ether);
        deposits.refund();
        deposits.withdraw();
        assertEq(alice.balance, 3 ether);
        assertEq(_held(alice), 0);
    }

    function test_refund_leavesWhatWasSpent() public {
        _deposit(alice, 3 ether);
        vm.prank(alice);
        deposits.requestRefund();
        vm.warp(1_000_000 + NOTICE - 1);
        _claim(alice, 1 ether);
        vm.warp(1_000_000 + NOTICE);
        vm.prank(alice);
        deposits.refund();
        assertEq(deposits.balanceOf(alice), 2 ether);
        assertEq(deposits.balanceOf(operator), 1 ether);
    }

    function test_claim_afterTheNotice_reverts() public {
        _deposit(alice, 3 ether);
        vm.prank(alice);
        deposits.requestRefund();
        uint64 from = 1_000_000 + NOTICE;
        vm.warp(from);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NoticeOver.selector, alice, from));
        _claim(alice, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NoticeOver.selector, alice, from));
        vm.prank(operator);
        deposits.answerRefund(alice, 1 ether);
    }

    function test_answerRefund_paysAtOnce() public {
        _deposit(alice, 3 ether);
        vm.prank(alice);
        deposits.requestRefund();
        vm.prank(operator);
        deposits.answerRefund(alice, 1 ether);
        assertEq(deposits.balanceOf(alice), 2 ether);
        assertEq(deposits.balanceOf(operator), 1 ether);
        assertEq(_held(alice), 0);
    }

    function test_answerRefund_withoutRequest_reverts() public {
        _deposit(alice, 3 ether);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NoticeRuns.selector, alice, uint64(0)));
        vm.prank(operator);
        deposits.answerRefund(alice, 0);
    }

    function test_cancelRefund_letsTheDepositBeSpent() public {
        _deposit(alice, 3 ether);
        vm.startPrank(alice);
        deposits.requestRefund();
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NothingToRefund.selector, alice));
        deposits.requestRefund();
        vm.expectEmit();
        emit ICreditDeposits.RefundRequested(alice, 0);
        deposits.cancelRefund();
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NothingToRefund.selector, alice));
        deposits.cancelRefund();
        vm.warp(1_000_000 + NOTICE);
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NoticeRuns.selector, alice, uint64(0)));
        deposits.refund();
        vm.stopPrank();
        _claim(alice, 3 ether);
    }

    function test_requestRefund_ofNothing_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ICreditDeposits.CreditDeposits_NothingToRefund.selector, alice));
        vm.prank(alice);
        deposits.requestRefund();
    }

    function test_deposit_afterARefund_countsOn(uint96 first, uint96 spent, uint96 second) public {
        first = uint96(bound(first, 1, 100 ether));
        second = uint96(bound(second, 1, 100 ether));
        spent = uint96(bound(spent, 0, first));
        _deposit(alice, first);
        vm.prank(alice);
        deposits.requestRefund();
        vm.prank(operator);
        deposits.answerRefund(alice, spent);
        _deposit(alice, second);
        assertEq(_held(alice), second);
        _claim(alice, uint256(spent) + second);
        assertEq(deposits.balanceOf(operator), uint256(spent) + second);
        assertEq(deposits.balanceOf(alice), first - spent);
    }

    function test_refuser_hurtsOnlyItself() public {
        _deposit(address(this), 1 ether);
        deposits.requestRefund();
        vm.prank(operator);
        deposits.answerRefund(address(this), 0);
        vm.expectRevert(abi.encodeWithSelector(IPullPayments.PullPayments_SendFailed.selector, address(this), 1 ether));
        deposits.withdraw();
        assertEq(deposits.withdrawTo(payable(alice)), 1 ether);
        assertEq(alice.balance, 1 ether);
    }
}
