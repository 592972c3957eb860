// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IGenesisVault} from "../interfaces/IGenesisVault.sol";
import {IPullPayments} from "../interfaces/IPullPayments.sol";
import {RequiresCancun} from "./RequiresCancun.sol";

/// @title GenesisVault
/// @dev See {IGenesisVault}.
contract GenesisVault is IGenesisVault, RequiresCancun, ReentrancyGuardTransient {
    /// @inheritdoc IGenesisVault
    address public immutable beneficiary;

    constructor(address beneficiary_) {
        // INVARIANT: what arrives can be spent by somebody.
        if (beneficiary_ == address(0)) revert GenesisVault_NoBeneficiary();
        beneficiary = beneficiary_;
    }

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }

    /// @inheritdoc IGenesisVault
    function collect(IPullPayments source) external returns (uint256 amount) {
        uint256 before = address(this).balance;
        // `source` may be any contract: it can send money here and has no other effect on the vault.
        source.withdraw();
        return address(this).balance - before;
    }

    /// @inheritdoc IGenesisVault
    function spend(address payable to, uint256 amount) external nonReentrant {
        // INVARIANT: one address, fixed at deployment, spends; nobody can be given that power later.
        if (msg.sender != beneficiary) revert GenesisVault_NotBeneficiary(msg.sender);
        uint256 held = address(this).balance;
        if (amount > held) revert GenesisVault_NotEnough(amount, held);

        emit Spent(to, amount);
        (bool sent,) = to.call{value: amount}("");
        if (to == address(0) || !sent) revert GenesisVault_SendFailed(to, amount);
    }
}
