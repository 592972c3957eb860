// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedDocuments} from "../market/SignedDocuments.sol";
import {IStepVerifier} from "./IStepVerifier.sol";

/// @title IDisputeRecords
/// @notice What a dispute is made of, what it tells the outside world, and why it refuses. See {IDisputeGame}.
interface IDisputeRecords {
    /// @notice Where a game stands. The last three are final.
    enum State {
        None,
        Trace,
        PickTensor,
        Rows,
        PickSubtree,
        Subtree,
        PickLeaf,
        Bytes,
        Convict,
        Scores,
        ConvictScores,
        Convicted,
        Acquitted,
        Void
    }

    /// @notice What a game is opened with.
    struct Opening {
        SignedDocuments.Order order;
        bytes orderSignature; // by the session key
        SignedDocuments.Receipt receipt;
        bytes receiptSignature; // by the node's receipt key
        uint32 promptLength; // positions of the prompt, and
        bytes32 promptTree; // tree root of its tokens: together they open `order.promptRoot`
        bytes32 salt; // of the commitment
        bool onlyCovered; // revert instead of opening a game whose gas nothing would refund
    }

    /// @notice A game, as the view returns it.
    struct Game {
        State state;
        address challenger;
        address node;
        bytes32 session;
        bytes32 receipt; // its digest
        uint128 bond; // wei; zero once it is over
        uint128 refund; // wei that its moves so far are paid if the node is convicted; zero once it is over
        bool covered; // one of the node's eight games that are refunded
        uint64 committedAt; // timestamp of its commitment
        uint64 turnStartedAt; // timestamp
        uint64 deadline; // last second in which the mover can move; zero once it is over
        bool nodesTurn;
        uint32 tensor; // number in the trace; the following ones are valid once picked
        uint32 subtree;
        uint32 leaf;
        uint32 element; // within the leaf
    }

    /// @notice What is known of a disputed receipt; all games about it share it.
    struct Disputed {
        bytes32 session;
        address node;
        bytes32 inRoot;
        bytes32 outRoot;
        IStepVerifier.Subject subject; // traceRoot, tensorCount and firstNumber are zero until the trace is posted
    }

    /// @notice A node's answer to one question about one receipt.
    struct Answer {
        uint64 at; // timestamp; zero: no answer yet
        uint32 count; // Trace: tensors. Rows: leaves of the tensor. Subtree: of the subtree. Bytes: bytes
        uint8 kind; // Rows only: op kind that made the tensor; 0: the built-in `sequence`
        uint32 leafBytes; // Rows only: of every leaf but the last
        uint32 lastBytes; // Rows only: of the last leaf
        bytes32 root; // Trace: of the tensor roots. Rows, Subtree: of the tree. Bytes: the leaf's hash. Scores: of the row
        bytes32 tensorRoot; // Rows only
    }

    event Committed(address indexed challenger, bytes32 indexed commitment);

    /// @notice A game was opened about `receipt`. `covered`: its gas is refunded if the node is convicted.
    event GameOpened(
        uint256 indexed game,
        bytes32 indexed receipt,
        address indexed node,
        address challenger,
        bool covered,
        uint256 bond
    );

    /// @notice The node's trace: the roots of all tensors of the segment, in order.
    event TracePosted(bytes32 indexed receipt, bytes32[] tensorRoots);
    event TensorPicked(uint256 indexed game, uint32 tensor);

    /// @notice Leaf hashes of a tensor's tree or, if it has more than 2 048, the roots of its subtrees of 2 048.
    event RowsPosted(bytes32 indexed receipt, uint32 indexed tensor, bytes32[] hashes);
    event SubtreePicked(uint256 indexed game, uint32 subtree);
    event SubtreePosted(bytes32 indexed receipt, uint32 indexed tensor, uint32 indexed subtree, bytes32[] leaves);
    event LeafPicked(uint256 indexed game, uint32 leaf);
    event BytesPosted(bytes32 indexed receipt, uint32 indexed tensor, uint32 indexed leaf, bytes data);
    event ElementPicked(uint256 indexed game, uint32 element);
    event ScoresPosted(
        bytes32 indexed receipt, uint32 indexed tensor, uint32 indexed leaf, uint32 element, bytes records, bytes scores
    );

    /// @notice A node lost a game: its stake is gone. `refund` (gas of moves and verdict, the latter to whoever let
    /// the clock speak) and the bond to the challenger,
    /// `bounty` to `committer`; what open covered games claim waits for `void`, the rest for late moves and then the vault.
    event NodeConvicted(
        uint256 indexed game, address indexed node, address indexed committer, uint256 refund, uint256 bounty
    );

    /// @notice A node signed two documents that contradict each other. `reward`: gas and bounty of the finder.
    event Equivocated(
        bytes32 indexed first, bytes32 indexed second, address indexed node, address finder, uint256 reward
    );

    /// @notice A challenger lost: its bond pays what the node's answers about the receipt cost and nobody has paid yet;
    /// the caller has the gas of ending the game, and the rest is the vault's.
    event NodeAcquitted(uint256 indexed game, address indexed node, uint256 toNode, uint256 toVault);

    /// @notice The node was convicted elsewhere: `toChallenger` is bond and refund or, if the game was not covered, half
    /// of the bond.
    event GameVoid(uint256 indexed game, uint256 toChallenger);

    /// @notice An opening found its node convicted after its commitment: `paid` for its gas.
    event OpenedLate(bytes32 indexed receipt, address indexed node, address indexed challenger, uint256 paid);

    /// @notice What late moves about a convicted node did not claim went to the vault.
    event Swept(address indexed node, uint256 amount);

    /// @notice Thrown when the contract is deployed without one of its parts, a zero bond, or a bounty above a tenth of it.
    error DisputeGame_BadParameters();

    /// @notice Thrown when there is no such game.
    error DisputeGame_Unknown(uint256 game);

    /// @notice Thrown when a move does not belong to the state that the game is in.
    error DisputeGame_WrongState(uint256 game, State state);

    /// @notice Thrown when a move comes after its deadline.
    error DisputeGame_TooLate(uint256 game, uint256 deadline);

    /// @notice Thrown when `timeout` comes before the deadline is over.
    error DisputeGame_TooEarly(uint256 game, uint256 deadline);

    /// @notice Thrown when somebody else than the challenger picks.
    error DisputeGame_NotChallenger(uint256 game, address caller);

    /// @notice Thrown when the caller has no commitment to this receipt and salt, or it is too fresh or too old.
    error DisputeGame_NotCommitted(bytes32 commitment, uint256 committedAt);

    /// @notice Thrown when the bond, with the money sent, is below what is asked for now.
    error DisputeGame_BondTooLow(uint256 found, uint256 needed);

    /// @notice Thrown when a game would not be covered and its opening insists on it.
    error DisputeGame_NotCovered(address node);

    /// @notice Thrown when a pick names another trace than the one that the node posted.
    error DisputeGame_OtherTrace(bytes32 found, bytes32 named);

    /// @notice Thrown when a document is not signed by whom it must be.
    error DisputeGame_BadSignature(bytes32 digest, address recovered, address needed);

    /// @notice Thrown when order, receipt, session and model version do not fit together.
    error DisputeGame_BadDocuments();

    /// @notice Thrown when length and tree do not open the order's prompt root.
    error DisputeGame_BadPrompt(bytes32 promptRoot);

    /// @notice Thrown when two documents do not contradict each other.
    error DisputeGame_NoContradiction(bytes32 first, bytes32 second);

    /// @notice Thrown when an answer does not lead to the root that it must.
    error DisputeGame_WrongRoot(bytes32 found, bytes32 needed);

    /// @notice Thrown when an answer has another length than the program says.
    error DisputeGame_WrongCount(uint256 found, uint256 needed);

    /// @notice Thrown when an index is not below `count`, or a leaf is not in the picked subtree.
    error DisputeGame_BadIndex(uint256 index, uint256 count);

    /// @notice Thrown when a tensor's leaves are too long to be published in one transaction: nobody could answer.
    error DisputeGame_LeafTooLong(uint256 longest);

    /// @notice Thrown when scores are asked of an element that no attention computed.
    error DisputeGame_NotAttention(uint256 game, uint8 kind);

    /// @notice Thrown when the step matches the program: no one is acquitted by that, the game goes on.
    error DisputeGame_StepMatches(uint256 game);

    /// @notice Thrown when the node was convicted already: only `void` is left.
    error DisputeGame_NodeConvicted(address node);

    /// @notice Thrown when a game is void-ed whose node was not convicted.
    error DisputeGame_NodeNotConvicted(address node);

    /// @notice Thrown when ether comes from elsewhere than the registry that pays out slashed stakes.
    error DisputeGame_UnexpectedMoney(address sender);
}
