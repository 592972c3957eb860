// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ICreditDeposits
/// @notice Money that callers of one gateway put in ahead, as credit for answers.
/// @dev A caller that uses API keys signs nothing for each answer. So it trusts the gateway's operator for what it has deposited, and for no more: `operator` can claim an account's deposit and nothing else, every claim is an event, and what is not claimed goes back to its owner whatever the operator does or fails to do. Whoever wants to trust nobody uses the network without a gateway: there a voucher is signed for every chunk.
interface ICreditDeposits {
    /// @notice `payer` put in `amount` wei for `account`, which makes `total` wei so far.
    event Deposited(address indexed account, address indexed payer, uint256 amount, uint256 total);

    /// @notice The operator took `amount` wei that `account` had spent, which makes `total` wei so far.
    event Claimed(address indexed account, uint256 amount, uint256 total);

    /// @notice `account` asks for what is not spent. From `from` on, in Unix seconds, it can take all of what is left.
    event RefundRequested(address indexed account, uint64 from);

    /// @notice `account` was given `amount` wei back, which it can withdraw; `total` wei so far.
    event Refunded(address indexed account, uint256 amount, uint256 total);

    /// @notice Thrown when the contract is made for nobody, or for a notice of nothing or of more than 30 days.
    error CreditDeposits_BadTerms();

    /// @notice Thrown for a deposit of nothing, or for nobody.
    error CreditDeposits_EmptyDeposit();

    /// @notice Thrown when somebody else than the operator claims or answers.
    error CreditDeposits_NotOperator(address caller);

    /// @notice Thrown when more would be claimed than is held, or less than was claimed before.
    error CreditDeposits_BadClaim(address account, uint256 total, uint256 claimed, uint256 held);

    /// @notice Thrown when a claim comes after the notice has run out: what is left is the account's.
    error CreditDeposits_NoticeOver(address account, uint64 from);

    /// @notice Thrown when nothing is held, or when a refund has been asked for already.
    error CreditDeposits_NothingToRefund(address account);

    /// @notice Thrown when a refund was not asked for, or its notice still runs.
    error CreditDeposits_NoticeRuns(address account, uint64 from);

    /// @notice Puts in the money sent with the call, for `account`. Anyone may.
    function deposit(address account) external payable;

    /// @notice Takes what `account` has spent, up to `total` wei since the first deposit. Only the operator.
    /// @dev Cumulative: the same call again takes nothing more. The operator fetches it by `withdraw`.
    function claim(address account, uint256 total) external;

    /// @notice Asks for what is not spent; the operator has the notice's time to claim what was.
    function requestRefund() external;

    /// @notice Takes the request back, so that the deposit can be spent again.
    function cancelRefund() external;

    /// @notice Answers a request at once: claims up to `total` and gives back the rest. Only the operator.
    function answerRefund(address account, uint256 total) external;

    /// @notice Gives the caller all that is left, after the notice. It is fetched by `withdraw`.
    function refund() external;

    /// @notice Who sells the answers; fixed when the contract is made.
    function operator() external view returns (address);

    /// @notice Seconds that the operator has to claim after a request; fixed when the contract is made.
    function notice() external view returns (uint64);

    /// @notice Wei that are held for all accounts together: put in, and neither claimed nor given back.
    function held() external view returns (uint256);

    /// @notice What `account` has: wei put in, claimed and given back so far, and from when on the rest is its own, in Unix seconds (0: no refund was asked for). What is held is the first less the other two.
    function accountOf(address account)
        external
        view
        returns (uint256 deposited, uint256 claimed, uint256 refunded, uint64 refundFrom);
}
