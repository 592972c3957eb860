// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPullPayments} from "./IPullPayments.sol";

/// @title IGenesisVault
/// @notice Keeps the tenth of every settlement, and at least half of every slashed stake, for one beneficiary.
/// @dev The beneficiary has power over the money that has arrived here and over nothing else.
interface IGenesisVault {
    /// @notice `amount` wei arrived from `from`.
    event Received(address indexed from, uint256 amount);

    /// @notice The beneficiary had `amount` wei sent to `to`.
    event Spent(address indexed to, uint256 amount);

    /// @notice Thrown when the vault is deployed for nobody.
    error GenesisVault_NoBeneficiary();

    /// @notice Thrown when somebody else than the beneficiary spends.
    error GenesisVault_NotBeneficiary(address caller);

    /// @notice Thrown when more is spent than the vault holds.
    error GenesisVault_NotEnough(uint256 asked, uint256 held);

    /// @notice Thrown when the receiver refuses the money.
    error GenesisVault_SendFailed(address to, uint256 amount);

    /// @notice Fetches what `source` (the market or the node registry) owes to the vault. Anyone may call.
    /// @return amount wei that arrived.
    function collect(IPullPayments source) external returns (uint256 amount);

    /// @notice Sends `amount` wei to `to`. Only the beneficiary.
    function spend(address payable to, uint256 amount) external;

    /// @notice Who may spend; fixed at deployment.
    function beneficiary() external view returns (address);
}
