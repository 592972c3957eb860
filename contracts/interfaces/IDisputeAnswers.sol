// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignedDocuments} from "../market/SignedDocuments.sol";
import {IStepVerifier} from "./IStepVerifier.sol";

/// @title IDisputeAnswers
/// @notice What is shown in a dispute: the node's answers, and receipts that contradict each other. See {IDisputeGame}.
interface IDisputeAnswers {
    /// @notice Convicts a node that signed two receipts for the same order, segment, end and input with different
    /// outputs. Pays the caller its gas, a quarter more, and the bounty. It must have committed to the digest of `first`.
    function equivocate(
        SignedDocuments.Receipt calldata first,
        bytes calldata firstSignature,
        SignedDocuments.Receipt calldata second,
        bytes calldata secondSignature,
        bytes32 salt
    )
        external;

    /// @notice Convicts a node that signed two traces of one receipt; pays as `equivocate`. The caller must have
    /// committed to the digest of the `Trace` with the first root.
    function contradict(
        address node,
        bytes32 receiptDigest,
        bytes32 firstRoot,
        bytes calldata firstSignature,
        bytes32 secondRoot,
        bytes calldata secondSignature,
        bytes32 salt
    )
        external;

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

    /// @notice Posts the leaf hashes of the picked subtree.
    /// @param siblings inclusion proof of the subtree among the subtrees.
    function postSubtree(uint256 game, bytes32[] calldata siblings, bytes32[] calldata leaves) external;

    /// @notice Posts the bytes of the picked leaf.
    /// @param siblings inclusion proof of the leaf in the tensor's tree.
    function postBytes(uint256 game, bytes32[] calldata siblings, bytes calldata data) external;

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
}
