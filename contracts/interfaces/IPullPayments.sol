// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IPullPayments
/// @notice Money a contract owes is credited to a balance; its owner fetches it.
/// @dev What is credited to whom is said by the event of the move that earned it. Nothing is ever pushed, so a payee that reverts or burns gas can only hurt itself.
interface IPullPayments {
    /// @notice `payee` fetched its whole balance and had it sent to `to`.
    event Withdrawn(address indexed payee, address indexed to, uint256 amount);

    /// @notice Thrown when a caller without a balance withdraws.
    error PullPayments_NothingOwed(address payee);

    /// @notice Thrown when the receiver is zero or refuses the money; the balance stays.
    error PullPayments_SendFailed(address to, uint256 amount);

    /// @notice Sends the caller's whole balance to the caller.
    /// @return amount wei sent.
    function withdraw() external returns (uint256 amount);

    /// @notice Sends the caller's whole balance to `to`: for callers that cannot receive money themselves.
    /// @return amount wei sent.
    function withdrawTo(address payable to) external returns (uint256 amount);

    /// @notice Wei owed to `payee` and not fetched yet.
    function balanceOf(address payee) external view returns (uint256);
}
