// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedDocuments} from "../libraries/SignedDocuments.sol";
import {IPullPayments} from "./IPullPayments.sol";
import {IStepVerifier} from "./IStepVerifier.sol";

/// @title IDisputeGame
/// @notice Proves to the chain that a node's receipt is wrong, and slashes that node.
///
/// Three ways: two receipts that contradict each other (`equivocate`); rows that nobody produced (`openLink`); a
/// computation that contradicts the program (`openStep`), narrowed down from the trace to one tensor, one leaf of it,
/// one element, which the step verifier recomputes.
///
/// A step game, mover by mover (node's turns can be played by anyone who has the data):
///
/// | state         | mover      | move                                    | next                    |
/// |---------------|------------|-----------------------------------------|-------------------------|
/// | Trace         | node       | `postTrace`, signed by the receipt key  | PickTensor              |
/// | PickTensor    | challenger | `pickTensor`                            | Rows                    |
/// | Rows          | node       | `postRows`                              | PickLeaf or PickSubtree |
/// | PickSubtree   | challenger | `pickSubtree` (over 2 048 leaves only)  | Subtree                 |
/// | Subtree       | node       | `postSubtree`                           | PickLeaf                |
/// | PickLeaf      | challenger | `pickLeaf`                              | Bytes                   |
/// | Bytes         | node       | `postBytes`                             | Convict                 |
/// | Convict       | anyone     | `convict`; attention: `pickElement`     | Convicted; Scores       |
/// | Scores        | node       | `postScores`, signed by the receipt key | ConvictScores           |
/// | ConvictScores | anyone     | `convict`                               | Convicted               |
///
/// Answers (`post...`) belong to the receipt, not to the game: an answer that exists already moves every game that asks
/// for it at once, so N equal games cost a node one set of answers. Views return states as they are after that.
///
/// Each side has C (`clock`) in total and at least M (`minimumMove`) when its turn begins. After that its moves revert
/// and anyone calls `timeout`: the node's turn convicts it, the challenger's turn acquits it.
/// @dev No owner. Money is bonds (locked in open games) and balances.
interface IDisputeGame is IPullPayments {
    /// @notice Where a game stands. The last three are final.
    enum State {
        None,
        Link,
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
    }

    /// @notice A game, as the view returns it.
    struct Game {
        State state;
        address challenger;
        address node;
        bytes32 session;
        bytes32 receipt; // its digest
        uint128 bond; // wei; zero once it is over
        uint128 owed; // what the node's line had earned when the game opened, wei: the user's compensation
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
        uint64 linkedAt; // timestamp when its predecessor was shown; zero: not yet
        bytes32 inRoot;
        bytes32 outRoot;
        IStepVerifier.Subject subject; // traceRoot, tensorCount and firstNumber are zero until the trace is posted
    }

    /// @notice A node's answer to one question about one receipt.
    struct Answer {
        uint64 at; // timestamp; zero: no answer yet
        uint32 count; // Trace: tensors. Rows: leaves of the tensor. Subtree: of the subtree. Bytes: bytes
        uint8 kind; // Rows only: op kind that made the tensor; 0: the built-in `sequence`
        bool tooLong; // Rows only: its leaves are too long to be published
        bytes32 root; // Trace: of the tensor roots. Rows, Subtree: of the tree. Bytes: the leaf's hash. Scores: of the row
        bytes32 tensorRoot; // Rows only
    }

    event Committed(address indexed challenger, bytes32 indexed commitment);

    /// @notice A game was opened about `receipt`. `state` is Link or Trace.
    event GameOpened(
        uint256 indexed game,
        bytes32 indexed receipt,
        address indexed node,
        address challenger,
        State state,
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

    /// @notice A receipt's predecessor was shown: its input rows were signed by whoever had to produce them.
    event Linked(bytes32 indexed receipt);

    /// @notice A node lost a game: its stake is gone. `compensation` to the disputed session's user, `reward` to
    /// `committer`, the rest of the stake to the vault; the bond back to the challenger.
    event NodeConvicted(
        uint256 indexed game, address indexed node, address indexed committer, uint256 compensation, uint256 reward
    );

    /// @notice A node signed two receipts that contradict each other. `committer` is zero when nobody had committed.
    event Equivocated(
        bytes32 indexed first, bytes32 indexed second, address indexed node, address committer, uint256 reward
    );

    /// @notice A challenger lost: its bond pays the node's answers, the rest is the vault's.
    event NodeAcquitted(uint256 indexed game, address indexed node, uint256 toNode, uint256 toVault);

    /// @notice The node was convicted elsewhere: the bond went back.
    event GameVoid(uint256 indexed game);

    /// @notice Thrown when the contract is deployed without one of its parts, or with a zero bond.
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

    /// @notice Thrown when the money sent is below the bond that is asked for now.
    error DisputeGame_BondTooLow(uint256 sent, uint256 needed);

    /// @notice Thrown when a document is not signed by whom it must be.
    error DisputeGame_BadSignature(bytes32 digest, address recovered, address needed);

    /// @notice Thrown when order, receipt, session and model version do not fit together.
    error DisputeGame_BadDocuments();

    /// @notice Thrown when length and tree do not open the order's prompt root.
    error DisputeGame_BadPrompt(bytes32 promptRoot);

    /// @notice Thrown when two receipts do not contradict each other.
    error DisputeGame_NoContradiction(bytes32 first, bytes32 second);

    /// @notice Thrown when a receipt needs no link: its input is the prompt, or its predecessor was shown.
    error DisputeGame_LinkStands(bytes32 receipt);

    /// @notice Thrown when what is shown is not the predecessor of the receipt.
    error DisputeGame_NotPredecessor(bytes32 receipt);

    /// @notice Thrown when an answer does not lead to the root that it must.
    error DisputeGame_WrongRoot(bytes32 found, bytes32 needed);

    /// @notice Thrown when an answer has another length than the program says.
    error DisputeGame_WrongCount(uint256 found, uint256 needed);

    /// @notice Thrown when an index is not below `count`, or tensor 0 is picked: the input is judged by the link game.
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

    /// @notice Thrown when an answer was posted before.
    error DisputeGame_Answered(bytes32 question);

    /// @notice Thrown when ether comes from elsewhere than the registry that pays out slashed stakes.
    error DisputeGame_UnexpectedMoney(address sender);

    // ---------------------------------------------------------------- opening

    /// @notice Commits to a later opening: keccak256(abi.encode(receiptDigest, challenger, salt)). An opening needs one
    /// that is from an earlier second and at most an hour old, so that whoever copies an opening comes second.
    function commit(bytes32 commitment) external;

    /// @notice Convicts a node that signed two receipts for the same order, segment, end and input with different
    /// outputs. Half the stake is the caller's if it had committed to the digest of `first`, else all is the vault's.
    function equivocate(
        SignedDocuments.Receipt calldata first,
        bytes calldata firstSignature,
        SignedDocuments.Receipt calldata second,
        bytes calldata secondSignature,
        bytes32 salt
    )
        external;

    /// @notice Asks a node to show that its predecessor signed the rows it worked on. The money sent is the bond.
    function openLink(Opening calldata opening) external payable returns (uint256 game);

    /// @notice Claims that a node computed its output rows wrongly from its input rows. The money sent is the bond.
    function openStep(Opening calldata opening) external payable returns (uint256 game);

    // ---------------------------------------------------------------- the link game

    /// @notice Shows the receipt of the segment before (for segment 0: of the last segment, up to `to - 1`), of a node
    /// that was allotted in the session. Acquits; other link games about the receipt are closed with `acquit`.
    function showReceipt(uint256 game, SignedDocuments.Receipt calldata predecessor, bytes calldata signature) external;

    /// @notice Shows the token feed that segment 0 worked on. Acquits, as `showReceipt` does.
    function showFeed(uint256 game, SignedDocuments.TokenFeed calldata feed, bytes calldata signature) external;

    /// @notice Acquits in a link game whose receipt was linked in another one, in time for this one.
    function acquit(uint256 game) external;

    // ---------------------------------------------------------------- the step game

    /// @notice Posts the roots of all tensors of the segment, first the input's, last the output's; signed as
    /// `SignedDocuments.Trace`. The first posting binds the receipt for every game.
    /// @param boundary the descriptors that show which tensors of the program are the segment's.
    function postTrace(
        uint256 game,
        bytes32[] calldata tensorRoots,
        IStepVerifier.Boundary calldata boundary,
        bytes calldata signature
    )
        external;

    /// @notice Picks the tensor to look into: 1 or above.
    function pickTensor(uint256 game, uint32 tensor) external;

    /// @notice Posts the leaf hashes of the picked tensor or, if it has more than 2 048 leaves, the roots of its
    /// subtrees of 2 048 leaves (the last one shorter).
    /// @param siblings inclusion proof of the tensor's root in the trace.
    /// @param producer the op that puts the tensor out, as `IStepVerifier.layout` takes it; empty for the sequence.
    function postRows(
        uint256 game,
        bytes32[] calldata siblings,
        IStepVerifier.Descriptors calldata producer,
        bytes32[] calldata hashes
    )
        external;

    /// @notice Picks one of the subtrees of 2 048 leaves.
    function pickSubtree(uint256 game, uint32 subtree) external;

    /// @notice Posts the leaf hashes of the picked subtree.
    /// @param siblings inclusion proof of the subtree among the subtrees.
    function postSubtree(uint256 game, bytes32[] calldata siblings, bytes32[] calldata leaves) external;

    /// @notice Picks a leaf, counted over the whole tensor; within the picked subtree if there is one.
    function pickLeaf(uint256 game, uint32 leaf) external;

    /// @notice Posts the bytes of the picked leaf.
    /// @param siblings inclusion proof of the leaf in the tensor's tree.
    function postBytes(uint256 game, bytes32[] calldata siblings, bytes calldata data) external;

    /// @notice Asks for the virtual row behind one element of an attention's output.
    function pickElement(uint256 game, uint32 element) external;

    /// @notice Posts that row, as `IStepVerifier.scoreRoot` reads it; signed as `SignedDocuments.Scores`, as no root in
    /// the trace binds it. The first posting binds the receipt for every game.
    function postScores(
        uint256 game,
        IStepVerifier.Descriptors calldata producer,
        bytes calldata records,
        bytes calldata scores,
        bytes calldata signature
    )
        external;

    /// @notice Shows what contradicts the program: `abi.encode(IStepVerifier.Witness)` in Convict, of a ScoreWitness in
    /// ConvictScores. Anyone.
    function convict(uint256 game, bytes calldata witness) external;

    // ---------------------------------------------------------------- endings

    /// @notice Ends a game whose mover let its deadline pass: the node's turn convicts, the challenger's acquits.
    function timeout(uint256 game) external;

    /// @notice Ends a game against a node that was convicted elsewhere; the bond goes back.
    function void(uint256 game) external;

    // ---------------------------------------------------------------- views

    /// @notice A game as it stands now. Reverts when there is none.
    function gameOf(uint256 game) external view returns (Game memory);

    /// @notice Number of games ever opened; their numbers are 1 to this.
    function gameCount() external view returns (uint256);

    /// @notice What is known of a receipt; all zero when no game was opened about it.
    function disputed(bytes32 receipt) external view returns (Disputed memory);

    /// @notice The answer to what `state` (Trace, Rows, Subtree, Bytes or Scores) asks; indices that the state does not
    /// know are ignored.
    function answerOf(
        bytes32 receipt,
        State state,
        uint32 tensor,
        uint32 subtree,
        uint32 leaf,
        uint32 element
    )
        external
        view
        returns (Answer memory);

    /// @notice When `challenger` made this commitment; zero when it did not, or used it.
    function committedAt(address challenger, bytes32 commitment) external view returns (uint256);

    /// @notice The bond that an opening in this block needs, wei.
    function bondNow() external view returns (uint256);
}
