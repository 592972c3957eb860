// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title SampleBlocks
/// @notice Op kind 13: the largest key of a block of the vocabulary, or the first entry that has it.
// Casts: the keys are 32 bits cut out on purpose, entries are below 2^24.
// forge-lint: disable-next-item(unsafe-typecast)
library SampleBlocks {
    /// @dev What the keys of one position depend on.
    struct Noise {
        int256 beta;
        uint32 key0;
        uint32 key1;
        int256[] table;
    }

    function value(Step.Data memory step) internal pure returns (int256) {
        (uint256 vocab, uint256 block_) =
            (Step.size(step, OpParams.SAMPLE_BLOCKS_VOCAB), Step.size(step, OpParams.SAMPLE_BLOCKS_BLOCK));
        uint256 blocks = (vocab + block_ - 1) / block_;
        (uint256 row, uint256 v) = (step.element / blocks, step.element % blocks * block_);
        uint256 stop = v + block_ < vocab ? v + block_ : vocab;
        uint256 pointer = StepOpenings.range(step.views[0], Step.cell(step, 0, row, v), stop - v);

        Noise memory noise = _noise(step, row);
        (int256 most, uint256 index) = (type(int256).min, 0);
        for (; v < stop; ++v) {
            int256 key = _key(FixedPoint.sat(StepOpenings.read(pointer, 4)), v, noise);
            if (key > most) (most, index) = (key, v);
            pointer += 4;
        }
        return step.output == 0 ? most : int256(index);
    }

    /// @notice Gumbel noise of vocabulary entry `v`, Q16.
    function gumbel(uint256 v, uint32 key0, uint32 key1, int256[] memory table) internal pure returns (int256) {
        unchecked {
            int256 y = 2 * int256(mix(v, key0, key1)) + 1;
            int256 d = 2 ** 33 - y;
            int256 energy;
            if (d < 2 ** 26) {
                int256 b = (d * 12_102_203) >> 16;
                energy = b + ((b * d) >> 34);
            } else {
                energy = ((33 << 24) - FixedPoint.log2fix(y, table)) << 16;
            }
            return ((40 << 24) - FixedPoint.log2fix(energy < 1 ? int256(1) : energy, table)) >> 8;
        }
    }

    /// @notice A keyed mixer of 32 bits.
    function mix(uint256 v, uint256 key0, uint256 key1) internal pure returns (uint256 x) {
        unchecked {
            x = (v & 0xffffffff) ^ key0;
            x ^= x >> 16;
            x = (x * 0x7feb352d) & 0xffffffff;
            x ^= x >> 15;
            x = (x * 0x2c1b3c6d) & 0xffffffff;
            x ^= x >> 16;
            x = (x + key1) & 0xffffffff;
            x ^= x >> 15;
            x = (x * 0x2c1b3c6d) & 0xffffffff;
            x ^= x >> 12;
            x = (x * 0x297a2d39) & 0xffffffff;
            x ^= x >> 15;
        }
    }

    function _noise(Step.Data memory step, uint256 row) private pure returns (Noise memory noise) {
        if (step.subject.sampling == 0) return noise;
        noise.beta = int256(uint256(step.subject.sampling));
        noise.table = StepOpenings.table(Step.weight(step, OpWeights.SAMPLE_BLOCKS_LOG2), 257, FixedPoint.LOG2_ONE);
        uint64 position = uint64(Step.position(step, row));
        bytes32 digest = sha256(abi.encodePacked("nexus.gumbel.v1", step.subject.samplingSeed, position));
        noise.key0 = uint32(bytes4(digest));
        noise.key1 = uint32(bytes4(digest << 32));
    }

    function _key(int256 logit, uint256 v, Noise memory noise) private pure returns (int256) {
        if (noise.beta == 0) return logit;
        int256 scaled = FixedPoint.sat(FixedPoint.rs(logit * noise.beta, 12));
        return scaled + gumbel(v, noise.key0, noise.key1, noise.table);
    }
}
