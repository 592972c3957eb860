// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICreditDeposits} from "../interfaces/ICreditDeposits.sol";
import {PullPayments} from "./PullPayments.sol";

/// @title CreditDeposits
/// @dev See {ICreditDeposits}.
contract CreditDeposits is ICreditDeposits, PullPayments {
    struct Account {
        uint256 deposited;
        uint256 claimed;
        uint256 refunded;
        uint64 refundFrom;
    }

    uint64 private constant _LONGEST_NOTICE = 30 days;

    /// @inheritdoc ICreditDeposits
    address public immutable operator;
    /// @inheritdoc ICreditDeposits
    uint64 public immutable notice;
    /// @inheritdoc ICreditDeposits
    uint256 public held;

    mapping(address account => Account) private _accounts;

    modifier onlyOperator() {
        _requireOperator();
        _;
    }

    constructor(address operator_, uint64 notice_) {
        // INVARIANT: nobody's money waits for ever: not for an operator that is nobody, nor for a notice without end.
        if (operator_ == address(0) || notice_ == 0 || notice_ > _LONGEST_NOTICE) revert CreditDeposits_BadTerms();
        operator = operator_;
        notice = notice_;
    }

    /// @inheritdoc ICreditDeposits
    function deposit(address account) external payable {
        if (msg.value == 0 || account == address(0)) revert CreditDeposits_EmptyDeposit();
        uint256 total = _accounts[account].deposited + msg.value;
        _accounts[account].deposited = total;
        held += msg.value;
        emit Deposited(account, msg.sender, msg.value, total);
    }

    /// @inheritdoc ICreditDeposits
    function claim(address account, uint256 total) external onlyOperator {
        _claim(account, total);
    }

    /// @inheritdoc ICreditDeposits
    function requestRefund() external {
        Account storage found = _accounts[msg.sender];
        if (found.refundFrom != 0 || _left(found) == 0) revert CreditDeposits_NothingToRefund(msg.sender);
        uint64 from = uint64(block.timestamp) + notice;
        found.refundFrom = from;
        emit RefundRequested(msg.sender, from);
    }

    /// @inheritdoc ICreditDeposits
    function cancelRefund() external {
        Account storage found = _accounts[msg.sender];
        if (found.refundFrom == 0) revert CreditDeposits_NothingToRefund(msg.sender);
        found.refundFrom = 0;
        emit RefundRequested(msg.sender, 0);
    }

    /// @inheritdoc ICreditDeposits
    function answerRefund(address account, uint256 total) external onlyOperator {
        if (_accounts[account].refundFrom == 0) revert CreditDeposits_NoticeRuns(account, 0);
        _claim(account, total);
        _refund(account);
    }

    /// @inheritdoc ICreditDeposits
    function refund() external {
        uint64 from = _accounts[msg.sender].refundFrom;
        // INVARIANT: the operator has the whole notice to claim what was spent; after it, no say any more.
        if (from == 0 || block.timestamp < from) revert CreditDeposits_NoticeRuns(msg.sender, from);
        _refund(msg.sender);
    }

    /// @inheritdoc ICreditDeposits
    function accountOf(address account)
        external
        view
        returns (uint256 deposited, uint256 claimed, uint256 refunded, uint64 refundFrom)
    {
        Account storage found = _accounts[account];
        return (found.deposited, found.claimed, found.refunded, found.refundFrom);
    }

    function _claim(address account, uint256 total) private {
        Account storage found = _accounts[account];
        uint64 from = found.refundFrom;
        if (from != 0 && block.timestamp >= from) revert CreditDeposits_NoticeOver(account, from);
        uint256 claimed = found.claimed;
        uint256 left = _left(found);
        // INVARIANT: an account's answers are paid from its own deposit, and each wei of it once.
        if (total < claimed || total - claimed > left) revert CreditDeposits_BadClaim(account, total, claimed, left);
        uint256 amount = total - claimed;
        if (amount == 0) return;
        found.claimed = total;
        held -= amount;
        _credit(operator, amount);
        emit Claimed(account, amount, total);
    }

    function _refund(address account) private {
        Account storage found = _accounts[account];
        uint256 amount = _left(found);
        uint256 total = found.refunded + amount;
        found.refunded = total;
        found.refundFrom = 0;
        held -= amount;
        _credit(account, amount);
        emit Refunded(account, amount, total);
    }

    function _left(Account storage found) private view returns (uint256) {
        return found.deposited - found.claimed - found.refunded;
    }

    function _requireOperator() private view {
        if (msg.sender != operator) revert CreditDeposits_NotOperator(msg.sender);
    }
}
