// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedDocuments} from "../market/SignedDocuments.sol";
import {IPullPayments} from "./IPullPayments.sol";

/// @title IInferenceMarket
/// @notice Sessions: a user locks money with one cap per node, pays by cumulative vouchers signed off-chain, and each
/// node's line is settled on its own after the challenge window: a tenth for the vault, the rest for the node, what
/// was not served back to the user. A session that is opened for a model version locks the publisher's share beside
/// each cap; of what a node earned the publisher gets that share more, and node and vault get what they always get.
interface IInferenceMarket is IPullPayments {
    /// @notice The most that a node can earn in a session, wei.
    struct Cap {
        address node;
        uint128 cap;
    }

    /// @notice A session, as the views return it.
    struct Session {
        address user; // opened and paid for it
        address signer; // the session key, signs orders and vouchers
        uint64 expiry; // timestamp
        uint64 end; // fixed by `close`: timestamp when the challenge window of all its lines ends; zero while open
        uint8 lineCount;
    }

    /// @notice One node's line of a session, as the views return it.
    struct LineView {
        uint128 cap; // wei; zero when there is no such line
        uint128 cumulative; // the highest voucher posted, wei
        uint64 end; // vouchers count until this timestamp
        bool closedByNode; // `closeLine` was called
        bool refunded; // `cap - cumulative` went back to the user while a game held the rest
        bool settled; // nothing is locked any more
        uint256 openGames;
    }

    /// @notice For which version a session was opened, and what its publisher gets beside what nodes earn.
    struct SessionShare {
        bytes32 modelVersion; // zero: the session was opened for none
        address publisher;
        uint16 basisPoints; // as it stood at the opening
        uint64 openedAt; // timestamp of the opening, also of a session that was opened for none
    }

    /// @notice A node's latest commitment to its receipt log.
    struct ReceiptLog {
        bytes32 root;
        uint64 count; // receipts in the log
        uint64 committedAt; // timestamp
    }

    /// @notice Why one line of a voucher was not taken.
    enum Refusal {
        None,
        UnknownLine, // no cap for that node in the session
        Ended, // its challenge window is over
        OverCap // more than the node's cap: only the user can raise it, with `allot`
    }

    event SessionOpened(
        bytes32 indexed session, address indexed user, address indexed signer, uint64 expiry, Cap[] caps
    );

    /// @notice The session was opened for a version, whose publisher gets `basisPoints` of what nodes earn on top.
    event OpenedFor(
        bytes32 indexed session, bytes32 indexed modelVersion, address indexed publisher, uint256 basisPoints
    );

    /// @notice The session was opened by `payPerInference` or `payPerInferenceFor` for this one order.
    event OrderPaid(bytes32 indexed session, bytes32 indexed orderDigest, uint256 amount);

    /// @notice A node's cap was set (new line) or raised to `cap`.
    event Allotted(bytes32 indexed session, address indexed node, uint256 cap);

    /// @notice A voucher raised a line to `cumulative`.
    event VoucherPosted(bytes32 indexed session, address indexed node, uint256 cumulative);

    /// @notice One line of a voucher was not taken; the others were.
    event LineRefused(bytes32 indexed session, address indexed node, uint256 cumulative, Refusal refusal);

    event SessionClosed(bytes32 indexed session, uint256 end);
    event LineClosed(bytes32 indexed session, address indexed node, uint256 end);

    /// @notice The unserved part of a line went back to the user while a game holds the rest.
    event LineRefunded(bytes32 indexed session, address indexed node, uint256 toUser);

    /// @notice A line is done: the three parts are all that was still locked in it. What was locked beside it for a
    /// publisher is in `ShareSettled`.
    event LineSettled(
        bytes32 indexed session, address indexed node, uint256 toNode, uint256 toVault, uint256 toUser, bool forfeited
    );

    /// @notice What was locked for the publisher beside a line that was settled or refunded: paid, or given back.
    event ShareSettled(
        bytes32 indexed session, address indexed node, address indexed publisher, uint256 toPublisher, uint256 toUser
    );

    /// @notice `settleMany` left a line as it was.
    event LineNotSettled(bytes32 indexed session, address indexed node);

    event ReceiptsCommitted(address indexed node, bytes32 root, uint256 count);
    event GameOpened(bytes32 indexed session, address indexed node, uint256 openGames);
    event GameClosed(bytes32 indexed session, address indexed node, uint256 openGames);

    /// @notice Thrown when there is no such session.
    error InferenceMarket_SessionUnknown(bytes32 session);

    /// @notice Thrown when the user opened a session with that nonce before.
    error InferenceMarket_SessionExists(bytes32 session);

    /// @notice Thrown when a session is opened without a session key.
    error InferenceMarket_NoSigner();

    /// @notice Thrown when an expiry is not after now or later than `latest`.
    error InferenceMarket_BadExpiry(uint256 expiry, uint256 now_, uint256 latest);

    /// @notice Thrown when a session has no line or more than `most`.
    error InferenceMarket_BadLineCount(uint256 count, uint256 most);

    /// @notice Thrown when the money sent is not what the caps and their shares need.
    error InferenceMarket_WrongValue(uint256 sent, uint256 needed);

    /// @notice Thrown when a version's share is `standing`, not the `agreed` one that the opening names.
    error InferenceMarket_OtherShare(bytes32 modelVersion, uint256 agreed, uint256 standing);

    /// @notice Thrown when a cap is zero or, in `allot`, not above the one that stands.
    error InferenceMarket_CapMustRise(address node, uint256 standing, uint256 asked);

    /// @notice Thrown when a session names a node twice.
    error InferenceMarket_DuplicateNode(address node);

    /// @notice Thrown when a node is not registered, unbonding or convicted.
    error InferenceMarket_NodeNotActive(address node);

    /// @notice Thrown when a caller may not make this move.
    error InferenceMarket_NotAllowed(address caller);

    /// @notice Thrown when a session was closed before.
    error InferenceMarket_SessionClosed(bytes32 session, uint256 end);

    /// @notice Thrown when a session is past its expiry.
    error InferenceMarket_SessionExpired(bytes32 session, uint256 expiry);

    /// @notice Thrown when there is no unsettled line for that node in the session.
    error InferenceMarket_LineUnknown(bytes32 session, address node);

    /// @notice Thrown when a line was closed by its node.
    error InferenceMarket_LineClosed(bytes32 session, address node, uint256 end);

    /// @notice Thrown when a line was settled before.
    error InferenceMarket_LineSettled(bytes32 session, address node);

    /// @notice Thrown when a line's challenge window is not over.
    error InferenceMarket_TooEarly(uint256 now_, uint256 end);

    /// @notice Thrown when a line's challenge window is over.
    error InferenceMarket_TooLate(uint256 now_, uint256 end);

    /// @notice Thrown when games hold all that is left in a line, or none is left to close.
    error InferenceMarket_OpenGames(bytes32 session, address node, uint256 openGames);

    /// @notice Thrown when a voucher is not signed by the session key.
    error InferenceMarket_BadSignature(bytes32 session, address recovered);

    /// @notice Thrown when not a single line of a voucher could be taken; `first` is why the first one was not.
    error InferenceMarket_VoucherRefused(bytes32 session, Refusal first);

    /// @notice Thrown when a committed log is not longer than the one before.
    error InferenceMarket_LogMustGrow(uint256 committed, uint256 asked);

    /// @notice Thrown when somebody else than the dispute contract uses its door.
    error InferenceMarket_NotDispute(address caller);

    /// @notice Opens a session; the money sent is the sum of the caps.
    /// @param signer the session key (a plain key: contract wallets could repudiate).
    /// @param expiry timestamp, after now and at most `longestSession()` away.
    /// @param caps one per node, at most 32, each above zero, of active nodes.
    /// @param nonce anything the user has not used before.
    /// @return session keccak256(abi.encode(user, nonce)).
    function open(
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce
    )
        external
        payable
        returns (bytes32 session);

    /// @notice Opens a session for a published version; the money sent is the sum of the caps, and beside each cap the
    /// share of it, rounded down. As `open` in all else.
    /// @param modelVersion whose publisher gets the share.
    /// @param share basis points that the user agrees to; must be what the ModelRegistry says now, zero included.
    function openFor(
        bytes32 modelVersion,
        uint16 share,
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce
    )
        external
        payable
        returns (bytes32 session);

    /// @notice Opens and funds a session for one order; the order names the session by `sessionId(user, nonce)`.
    function payPerInference(
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce,
        bytes32 orderDigest
    )
        external
        payable
        returns (bytes32 session);

    /// @notice `payPerInference` for a published version, as `openFor` opens it.
    function payPerInferenceFor(
        bytes32 modelVersion,
        uint16 share,
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce,
        bytes32 orderDigest
    )
        external
        payable
        returns (bytes32 session);

    /// @notice Sets or raises a node's cap to `cap` in an open session; the money sent is the difference, and that of
    /// the shares of both caps. Only its user.
    function allot(bytes32 session, address node, uint128 cap) external payable;

    /// @notice Raises every line of a voucher that it names and that is still running. Anyone may call; a lower or
    /// repeated voucher changes nothing.
    function post(SignedDocuments.Voucher calldata voucher, bytes calldata signature) external;

    /// @notice Starts the challenge window of all lines. The user; after the expiry anyone.
    function close(bytes32 session) external;

    /// @notice Starts the challenge window of the caller's own line.
    function closeLine(bytes32 session) external;

    /// @notice Pays a line out when its challenge window is over. Anyone may call.
    function settle(bytes32 session, address node) external;

    /// @notice Settles several lines of a session; those that cannot be settled are left as they are.
    function settleMany(bytes32 session, address[] calldata nodes) external;

    /// @notice Commits the caller's receipt log. Only a registered node; no dispute depends on it.
    function commitReceipts(bytes32 root, uint64 count) external;

    /// @notice Holds what a line has earned for one more game. Only the dispute contract, until the
    /// session's own end, whether or not the line is closed or settled.
    function openGame(bytes32 session, address node) external;

    /// @notice Releases one game's hold. Only the dispute contract.
    function closeGame(bytes32 session, address node) external;

    /// @notice The id of the session that `user` opens with `nonce`.
    function sessionId(address user, bytes32 nonce) external pure returns (bytes32);

    /// @notice A session. Reverts when there is none.
    function sessionOf(bytes32 session) external view returns (Session memory);

    /// @notice A node's line in a session; all zero when there is none.
    function lineOf(bytes32 session, address node) external view returns (LineView memory);

    /// @notice For which version a session was opened, for which share, and when. All but the time is zero when it was
    /// opened for none; all of it where there is no such session.
    function shareOf(bytes32 session) external view returns (SessionShare memory);

    /// @notice A node's latest commitment to its receipt log; all zero when there is none.
    function receiptLogOf(address node) external view returns (ReceiptLog memory);

    /// @notice The EIP-712 domain separator that all documents are signed under.
    function domainSeparator() external view returns (bytes32);

    /// @notice Longest session, `T`, seconds.
    function longestSession() external view returns (uint256);

    /// @notice Challenge window, `W`, seconds.
    function challengeWindow() external view returns (uint256);

    /// @notice Where the vault's share goes.
    function vault() external view returns (address);

    /// @notice The dispute contract; zero when this deployment has none.
    function dispute() external view returns (address);
}
