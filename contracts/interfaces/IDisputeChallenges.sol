// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "./IDisputeRecords.sol";
import {IPullPayments} from "./IPullPayments.sol";

/// @title IDisputeChallenges
/// @notice The challenger's side of a dispute, its endings, and the views. See {IDisputeGame}.
interface IDisputeChallenges is IDisputeRecords, IPullPayments {
    /// @notice Commits to a later opening: keccak256(abi.encode(receiptDigest, challenger, salt)). An opening needs one
    /// that is from an earlier second and at most an hour old, so that whoever copies an opening comes second.
    function commit(bytes32 commitment) external;

    /// @notice Claims that a node computed its output rows wrongly from its input rows. The money sent is the bond.
    /// Where the node was convicted since the commitment there is no game (0): the money comes back with the gas.
    function openStep(Opening calldata opening) external payable returns (uint256 game);

    /// @notice Gives the vault what was set aside at a conviction for late moves, an hour after it. Anyone.
    function sweep(address node) external;

    /// @notice Picks the tensor to look into. Every pick names the root of the trace that it answers, so that one made
    /// before a re-organisation never lands on another trace; and the bond, with the money sent, must reach `bondNow()`:
    /// `topUp` says how much that takes. Tensor 0, the input, is nothing that a step could judge; but a node whose
    /// input has another type or shape than the program says cannot answer.
    function pickTensor(uint256 game, uint32 tensor, bytes32 traceRoot) external payable;

    /// @notice Picks one of the subtrees of 2 048 leaves.
    function pickSubtree(uint256 game, uint32 subtree, bytes32 traceRoot) external payable;

    /// @notice Picks a leaf, counted over the whole tensor; within the picked subtree if there is one.
    function pickLeaf(uint256 game, uint32 leaf, bytes32 traceRoot) external payable;

    /// @notice Asks for the virtual row behind one element of an attention's output.
    function pickElement(uint256 game, uint32 element, bytes32 traceRoot) external payable;

    /// @notice Shows what contradicts the program: `abi.encode(IStepVerifier.Witness)` in Convict, of a ScoreWitness in
    /// ConvictScores. Anyone. Where another proof convicted the node before, the game is void, and paid for its gas.
    function convict(uint256 game, bytes calldata witness) external;

    /// @notice Ends a game whose mover let its deadline pass: the node's turn convicts, the challenger's acquits.
    function timeout(uint256 game) external;

    /// @notice Ends a game against a node that was convicted elsewhere. The bond goes back: with the refund if the game
    /// was covered, else half of it. In the first hour only its challenger may: it may have a proof on its way.
    function void(uint256 game) external;

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

    /// @notice The bond that an opening in this block needs, wei: at least twice what the node's answers may cost.
    function bondNow() external view returns (uint256);

    /// @notice Money that the next pick in a game must bring in this block, wei.
    function topUp(uint256 game) external view returns (uint256);

    /// @notice Whether a game about `node` that is opened in this block would be covered.
    function coveredNow(address node) external view returns (bool);

    /// @notice What open covered games about `node` claim of its stake, wei; after a conviction: what waits for `void`.
    function claimsOn(address node) external view returns (uint256);

    /// @notice What of a convicted node's stake waits for moves that came too late, and then for the vault, wei.
    function setAsideFor(address node) external view returns (uint256);

    /// @notice What the node's answers about a receipt cost that no lost bond has paid yet, wei.
    function dueFor(bytes32 receipt) external view returns (uint256);
}
