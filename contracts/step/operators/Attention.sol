// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../interfaces/IStepVerifier.sol";
import {FixedPoint} from "../libraries/FixedPoint.sol";
import {Int8Products} from "../libraries/Int8Products.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {TensorCommitments} from "../libraries/TensorCommitments.sol";
import {Step} from "./Step.sol";

/// @title Attention
/// @notice Op kind 11. Scores are never committed: for a disputed element the node posts the row of scores behind it
/// and one record per block of positions, and a step re-checks a score, a record, or the sum of the records.
/// @dev Whoever posts a wrong row is convicted by its first wrong statement: a score depends on the trace alone, a
/// record on scores and the records' maxima, the element on the records. A record's maximum is checked before anything
/// that is computed with it, so no posted value makes a step revert.
// Casts: shifts are small.
// forge-lint: disable-next-item(unsafe-typecast)
library Attention {
    uint256 private constant RECORD_BYTES = 28;
    int256 private constant LEVELS = 16_256;

    /// @dev What output element (t, h, d) attends to: `count` positions [first, end), blocks from `firstBlock` on.
    struct Row {
        uint256 t;
        uint256 query; // of the inputs' query heads, counted over their rows
        uint256 head;
        uint256 group;
        uint256 d;
        uint256 first;
        uint256 end;
        uint256 count;
        uint256 block_;
        uint256 firstBlock;
        uint256 blocks;
    }

    /// @dev One posted record: maximum of the scores, sum of weights, largest weighted value, disputed column.
    struct Record {
        int256 most;
        int256 sum;
        int256 largest;
        int256 mixed;
    }

    /// @notice Row of the disputed element.
    function rowOf(Step.Data memory step) internal pure returns (Row memory row) {
        (uint256 heads, uint256 size) =
            (Step.size(step, OpParams.ATTENTION_HEADS), Step.size(step, OpParams.ATTENTION_HEAD_DIM));
        row.t = Step.position(step, step.element / (heads * size));
        row.head = step.element % (heads * size) / size;
        row.query = Step.inputRow(step, 0, step.element / (heads * size)) * heads + row.head;
        row.d = step.element % size;
        row.group = row.head / (heads / Step.size(step, OpParams.ATTENTION_KV_HEADS));
        row.block_ = Step.size(step, OpParams.ATTENTION_BLOCK);
        int256 window = step.op.params[OpParams.ATTENTION_WINDOW];
        row.end = window < 0 ? step.subject.positions : row.t + 1;
        row.first = window > 0 && row.end > uint256(window) ? row.end - uint256(window) : 0;
        row.count = row.end - row.first;
        row.firstBlock = row.first / row.block_;
        row.blocks = (row.end - 1) / row.block_ - row.firstBlock + 1;
    }

    /// @notice Root of a posted row: its records, then its scores block by block.
    function scoreRoot(Row memory row, bytes calldata records, bytes calldata scores) internal pure returns (bytes32) {
        // INVARIANT: one record per block and one score per position, or a step could not find its own.
        if (records.length != RECORD_BYTES * row.blocks || scores.length != 4 * row.count) {
            revert IStepVerifier.StepVerifier_BadWitness("scores");
        }
        bytes32[] memory nodes = new bytes32[](row.blocks + 1);
        nodes[0] = TensorCommitments.leafHash(records);
        for (uint256 i = 0; i < row.blocks; ++i) {
            (uint256 from, uint256 to) = _span(row, i);
            nodes[i + 1] = TensorCommitments.leafHash(scores[4 * (from - row.first):4 * (to - row.first)]);
        }
        return TensorCommitments.rangeRoot(nodes, 0, nodes.length, new bytes32[](0));
    }

    /// @notice Reverts unless the leaves that the part of the row needs hang below its root.
    function checkLeaves(Row memory row, bytes32 root, IStepVerifier.ScoreWitness memory given) internal pure {
        bool single = given.part == IStepVerifier.ScorePart.Score;
        if (given.at >= (single ? row.count : row.blocks)) revert IStepVerifier.StepVerifier_BadWitness("at");
        if (!single) _checkLeaf(given.records, 0, row, given.recordsProof, root);
        if (given.part == IStepVerifier.ScorePart.Sum) return;
        uint256 index = single ? (row.first + given.at) / row.block_ - row.firstBlock : given.at;
        _checkLeaf(given.scores, index + 1, row, given.scoresProof, root);
    }

    /// @notice Whether a posted score is not what query and key give.
    function scoreIsWrong(
        Step.Data memory step,
        Row memory row,
        IStepVerifier.ScoreWitness memory given
    )
        internal
        pure
        returns (bool)
    {
        uint256 j = row.first + given.at;
        (uint256 from,) = _span(row, j / row.block_ - row.firstBlock);
        return StepOpenings.read(_pointer(given.scores) + 4 * (j - from), 4) != score(step, row, j);
    }

    /// @notice Score of position `j`, log2 units, Q15.
    function score(Step.Data memory step, Row memory row, uint256 j) internal pure returns (int256) {
        uint256 key = j * Step.size(step, OpParams.ATTENTION_KV_HEADS) + row.group;
        int256 acc = _product(step, row.query, key);
        int256 m = FixedPoint.mantissa(StepOpenings.at(step.views[1], row.query));
        int256 qs = FixedPoint.rs(m * step.op.params[OpParams.ATTENTION_SCALE], 16);
        int256 e = FixedPoint.exponent(StepOpenings.at(step.views[2], row.query))
            + FixedPoint.exponent(StepOpenings.at(step.views[5], key));
        int256 km = FixedPoint.mantissa(StepOpenings.at(step.views[4], key));
        return FixedPoint.sat(FixedPoint.rs(FixedPoint.rs(acc * qs, 12) * km, 11 - e));
    }

    /// @notice Whether a posted record is not what the posted scores, the values and their maxima give.
    function blockIsWrong(
        Step.Data memory step,
        Row memory row,
        IStepVerifier.ScoreWitness memory given
    )
        internal
        pure
        returns (bool)
    {
        Record memory posted = _record(given.records, given.at);
        (uint256 from, uint256 to) = _span(row, given.at);
        uint256 scores = _pointer(given.scores);
        int256 most = type(int256).min;
        for (uint256 i = 0; i < to - from; ++i) {
            int256 s = StepOpenings.read(scores + 4 * i, 4);
            if (s > most) most = s;
        }
        if (posted.most != most) return true;

        for (uint256 i = 0; i < row.blocks; ++i) {
            int256 other = _record(given.records, i).most;
            if (other > most) most = other;
        }
        int256[] memory weights = new int256[](to - from);
        (int256 sum_, int256 largest) = _weigh(step, row, from, scores, most, weights);
        if (posted.sum != sum_ || posted.largest != largest) return true;
        return posted.mixed != _mix(step, row, from, largest, weights);
    }

    /// @notice The output element that the posted records give.
    function sum(Row memory row, bytes memory records) internal pure returns (int256 total) {
        unchecked {
            int256 z = 0;
            for (uint256 i = 0; i < row.blocks; ++i) {
                z += _record(records, i).sum;
            }
            if (z < 1) z = 1;
            uint256 ks = FixedPoint.excess(z, 31);
            for (uint256 i = 0; i < row.blocks; ++i) {
                Record memory record = _record(records, i);
                int256 largest = record.largest < 1 ? int256(1) : record.largest;
                uint256 kb = FixedPoint.excess(largest, 31);
                (int256 m, int256 e) = FixedPoint.q16(largest >> kb, z >> ks);
                total += FixedPoint.rs(record.mixed * m, 21 - (e + int256(kb) - int256(ks)));
            }
            return FixedPoint.sat(total);
        }
    }

    /// @dev Weighted values w_j into `weights`; returns the sum of p_j and WB.
    function _weigh(
        Step.Data memory step,
        Row memory row,
        uint256 from,
        uint256 scores,
        int256 most,
        int256[] memory weights
    )
        private
        pure
        returns (int256 sum_, int256 largest)
    {
        unchecked {
            int256[] memory table =
                StepOpenings.table(Step.weight(step, OpWeights.ATTENTION_EXP2), 257, FixedPoint.EXP2_ONE);
            uint256 maxima =
                StepOpenings.range(step.views[7], row.group * step.subject.positions + from, weights.length);
            largest = 1;
            for (uint256 i = 0; i < weights.length; ++i) {
                int256 p = FixedPoint.exp2n(most - StepOpenings.read(scores + 4 * i, 4), table);
                sum_ += p;
                int256 w = p * FixedPoint.largest(StepOpenings.read(maxima + 4 * i, 4));
                weights[i] = w;
                if (w > largest) largest = w;
            }
        }
    }

    /// @dev B[d]: the weighted values in units of their largest, times the column's values.
    function _mix(
        Step.Data memory step,
        Row memory row,
        uint256 from,
        int256 largest,
        int256[] memory weights
    )
        private
        pure
        returns (int256 mixed)
    {
        unchecked {
            uint256 column =
                (row.group * Step.size(step, OpParams.ATTENTION_HEAD_DIM) + row.d) * step.subject.positions + from;
            uint256 values = StepOpenings.range(step.views[6], column, weights.length);
            uint256 kb = FixedPoint.excess(largest, 31);
            (int256 inv, uint256 shift) = FixedPoint.inverse(largest >> kb, LEVELS);
            int256 half = FixedPoint.ONE << (shift - 1);
            for (uint256 i = 0; i < weights.length; ++i) {
                // Weights lie in [0, largest]: nothing to clamp.
                int256 u = ((weights[i] >> kb) * inv + half) >> shift;
                mixed += u * StepOpenings.read(values + i, 1);
            }
        }
    }

    function _product(Step.Data memory step, uint256 query, uint256 key) private pure returns (int256) {
        uint256 size = Step.size(step, OpParams.ATTENTION_HEAD_DIM);
        uint256 q = StepOpenings.range(step.views[0], query * size, size);
        return Int8Products.dot(q, StepOpenings.range(step.views[3], key * size, size), size);
    }

    /// @dev Positions [from, to) of the row's block number `index`.
    function _span(Row memory row, uint256 index) private pure returns (uint256 from, uint256 to) {
        from = (row.firstBlock + index) * row.block_;
        to = from + row.block_;
        if (from < row.first) from = row.first;
        if (to > row.end) to = row.end;
    }

    function _record(bytes memory records, uint256 index) private pure returns (Record memory) {
        uint256 at = _pointer(records) + RECORD_BYTES * index;
        return Record({
            most: StepOpenings.read(at, 4),
            sum: StepOpenings.read(at + 4, 8),
            largest: StepOpenings.read(at + 12, 8),
            mixed: StepOpenings.read(at + 20, 8)
        });
    }

    function _checkLeaf(
        bytes memory leaf,
        uint256 index,
        Row memory row,
        bytes32[] memory proof,
        bytes32 root
    )
        private
        pure
    {
        bytes32[] memory nodes = new bytes32[](1);
        nodes[0] = TensorCommitments.leafHash(leaf);
        if (TensorCommitments.rangeRoot(nodes, index, row.blocks + 1, proof) != root) {
            revert IStepVerifier.StepVerifier_BadWitness("score row");
        }
    }

    function _pointer(bytes memory data) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 32)
        }
    }
}
