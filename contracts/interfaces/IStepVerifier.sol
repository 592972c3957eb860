// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IStepVerifier
/// @notice Recomputes one element of a node's trace from the node's own commitments, the program and the weights.
/// @dev Pure judgement: it holds no state and knows no games, clocks or money. What an op computes is written in
/// nexus_chain/program/OPERATORS.md. Every function reverts when what it is given does not open the commitments;
/// nothing that a node committed to makes it revert.
///
/// A *program number* is the number of an activation in the whole program (`tokens` is 0, see OPERATORS.md). A
/// *trace index* is its place in one segment's trace: program number minus the number of the segment's input.
interface IStepVerifier {
    /// @notice What a receipt, its order and its posted trace fix about a segment.
    struct Subject {
        bytes32 programRoot;
        bytes32 weightsRoot;
        bytes32 salt; // of the order; part of every tensor root of the trace
        bytes32 traceRoot; // RFC 9162 root over the `tensorCount` tensor roots
        bytes32 promptRoot; // of the order: tensor root of the prompt, i32[promptLength]
        bytes32 samplingSeed;
        uint32 sampling; // beta; 0 is greedy
        uint32 tensorCount; // segment input, op outputs and, in the last segment, the sequence (see `segment`)
        uint32 firstNumber; // program number of the segment's input (see `segment`)
        uint32 positions; // T, the receipt's `to`
        uint32 promptLength; // P; T - P + 1 positions are sampled
        uint16 layerStart;
        uint16 layerEnd;
        uint16 layers;
    }

    /// @notice A published leaf of one tensor of the trace, known to hang below `tensorRoot` with the layout that
    /// `layout` gives, and `tensorRoot` at `tensorIndex` below the trace's root.
    struct Claim {
        uint32 tensorIndex;
        uint32 leafIndex;
        bytes32 tensorRoot;
        bytes32 leafHash; // SHA-256(0x00 || leaf bytes)
    }

    /// @notice Consecutive op descriptors with their range proof below `programRoot`.
    struct Descriptors {
        uint32 first; // place of the first one in the program's op list
        uint32 size; // ops of the program
        bytes[] data; // canonical bytes, one element per op
        bytes32[] siblings;
    }

    /// @notice The descriptors on both sides of a segment's two ends.
    struct Boundary {
        Descriptors start; // last op before the segment and its first op; empty where the segment starts at layer 0
        Descriptors end; // last op of the segment and the first op after it; only the first, where none follows
    }

    /// @notice Consecutive leaves of one committed tensor.
    struct Opening {
        uint32 firstLeaf;
        bytes data; // whole leaves, one after the other
        bytes32[] siblings; // range proof in the tensor's tree
        bytes32[] membership; // inclusion proof of the tensor's root below `traceRoot`, or of the weight's leaf
        // (name || 0x00 || root) below `weightsRoot`; empty for the prompt
        bytes name; // a weight's name in UTF-8; empty for an activation
        uint32 weights; // number of weights of the program; 0 for an activation
    }

    /// @notice All that re-checks one element. `abi.encode(Witness)` is what `convicts` takes.
    /// @dev `openings` has one entry for every input of the op, then one for every weight, in the descriptor's order;
    /// those that the element does not need are left empty (no `data`). Needed are: the row (or head, or block) that
    /// the element depends on, at its position; of `tables.exp2` and `tables.log2` both leaves. `row_max` alone may
    /// open part of its columns: then one element above the committed maximum convicts, and nothing else.
    /// `expert_linear` has two weights here, matrix and scale of the one expert that the row's slot names.
    /// The sequence has no op: `descriptor` is empty and the one opening is the prompt or `sample.token`.
    struct Witness {
        bytes leaf; // bytes of the disputed leaf
        uint32 element; // the disputed element, counted within the leaf
        Descriptors descriptor; // the one op that puts out the disputed tensor
        Opening[] openings;
    }

    /// @notice Which statement of a posted score row is wrong.
    enum ScorePart {
        Score, // `at` = j - first: one score; needs q, q_m, q_e, k, k_m, k_e
        Block, // `at` = block of the row, from 0: its record; needs v_columns, v_max_columns, tables.exp2
        Sum // the output element, given the records; needs no opening
    }

    /// @notice All that re-checks one statement of a posted score row. `abi.encode(ScoreWitness)` is what
    /// `convictsScores` takes.
    /// @dev `records` and `scores` are leaves of the posted row, see `scoreRoot`: `Score` needs `scores` only, `Sum`
    /// `records` only, `Block` both. `scores` is the leaf of the block that `at` falls in, or that `at` names.
    struct ScoreWitness {
        ScorePart part;
        uint32 at;
        bytes leaf; // bytes of the disputed leaf of the attention's output
        bytes records;
        bytes32[] recordsProof;
        bytes scores;
        bytes32[] scoresProof;
        Descriptors descriptor;
        Opening[] openings; // as in Witness: q, q_m, q_e, k, k_m, k_e, v_columns, v_max_columns, tables.exp2
    }

    /// @notice Thrown when a witness does not open what it should: `what` says which part is wrong.
    error StepVerifier_BadWitness(bytes32 what);

    /// @notice Thrown when a tensor index has no committed op output in the segment.
    error StepVerifier_NoSuchTensor(uint32 tensorIndex, uint32 tensorCount);

    /// @notice Thrown when an op kind cannot be stepped by the function called (attention has its own).
    error StepVerifier_WrongKind(uint8 kind);

    /// @notice Number of the segment's input and number of roots its trace must have, proven by the descriptors at
    /// its ends: the input, every op output and, in the last segment, the sequence.
    function segment(
        bytes32 programRoot,
        uint16 layerStart,
        uint16 layerEnd,
        uint16 layers,
        Boundary calldata boundary
    )
        external
        view
        returns (uint32 firstNumber, uint32 tensorCount);

    /// @notice Element type, shape and number of leaves that a tensor of the trace must have.
    /// @param descriptor the one op that puts the tensor out; for the input of a segment behind the first, an op
    /// that reads it; empty for the tokens and for the sequence.
    function layout(
        Subject calldata subject,
        uint32 tensorIndex,
        Descriptors calldata descriptor
    )
        external
        view
        returns (uint8 dtype, uint64[] memory shape, uint256 leaves);

    /// @notice Whether the published leaf contradicts the program. False when the element is right.
    /// @dev A leaf of another length than the tensor's layout gives it convicts by itself. Of the segment's input
    /// (index 0; `descriptor` as in `layout`) nothing else can: no op of the segment made its values.
    /// @param witness `abi.encode(Witness)`
    function convicts(
        Subject calldata subject,
        Claim calldata claim,
        bytes calldata witness
    )
        external
        view
        returns (bool);

    /// @notice Root of a posted score row, RFC 9162: leaf 0 is `records`, leaf 1 + i the scores of the row's i-th
    /// block of positions, cut from `scores`. Reverts unless both have the lengths of the row's positions.
    /// @dev The row of output element (t, h, d) covers positions j from first = max(0, t - window + 1) (0 without a
    /// window) to t and blocks j // block. Little endian, as tensors are: `scores` one i32 per position; `records`
    /// per block (i32 max s_j, i64 sum of p_j, i64 WB, i64 B[d]), 28 bytes, as OPERATORS.md names them.
    /// @param element the disputed element of the attention's output, counted within the claimed leaf
    function scoreRoot(
        Subject calldata subject,
        Claim calldata claim,
        uint32 element,
        Descriptors calldata descriptor,
        bytes calldata records,
        bytes calldata scores
    )
        external
        view
        returns (bytes32);

    /// @notice Whether a posted score row contradicts the trace, or the published leaf contradicts the score row.
    /// @param element the element that the row was posted for
    /// @param root what `scoreRoot` returned
    /// @param witness `abi.encode(ScoreWitness)`
    function convictsScores(
        Subject calldata subject,
        Claim calldata claim,
        uint32 element,
        bytes32 root,
        bytes calldata witness
    )
        external
        view
        returns (bool);
}
