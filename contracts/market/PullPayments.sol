// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IPullPayments} from "../interfaces/IPullPayments.sol";
import {RequiresCancun} from "./RequiresCancun.sol";

/// @title PullPayments
/// @notice Balances that their owners fetch.
abstract contract PullPayments is IPullPayments, RequiresCancun, ReentrancyGuardTransient {
    mapping(address payee => uint256 amount) private _balances;

    /// @inheritdoc IPullPayments
    function withdraw() external nonReentrant returns (uint256 amount) {
        return _withdraw(payable(msg.sender));
    }

    /// @inheritdoc IPullPayments
    function withdrawTo(address payable to) external nonReentrant returns (uint256 amount) {
        return _withdraw(to);
    }

    /// @inheritdoc IPullPayments
    function balanceOf(address payee) external view returns (uint256) {
        return _balances[payee];
    }

    /// @dev Owes `payee` another `amount` wei, which the contract must hold already.
    function _credit(address payee, uint256 amount) internal {
        if (amount != 0) _balances[payee] += amount;
    }

    function _withdraw(address payable to) private returns (uint256 amount) {
        amount = _balances[msg.sender];
        // INVARIANT: only what is owed leaves; a caller that is owed nothing learns it instead of paying for a no-op.
        if (amount == 0) revert PullPayments_NothingOwed(msg.sender);
        // INVARIANT: money sent to nobody is money locked for ever.
        if (to == address(0)) revert PullPayments_SendFailed(to, amount);

        // INVARIANT: zero, then send: a receiver that calls back finds nothing left.
        _balances[msg.sender] = 0;
        emit Withdrawn(msg.sender, to, amount);
        (bool sent,) = to.call{value: amount}("");
        // INVARIANT: the balance is gone only if the money is: a refusal restores it by reverting.
        if (!sent) revert PullPayments_SendFailed(to, amount);
    }
}
