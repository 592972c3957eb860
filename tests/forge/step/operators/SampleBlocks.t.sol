// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract SampleBlocksTest is StepFixture {
    function testFuzz_sampleBlocks_greedy(uint256 seed, uint8 row, uint8 block_) public view {
        _check(seed, 0, bound(row, 0, 1), bound(block_, 0, 3));
    }

    function testFuzz_sampleBlocks_gumbel(uint256 seed, uint32 beta, uint8 row, uint8 block_) public view {
        _check(seed, uint32(bound(beta, 1, 2 ** 31 - 1)) >> (seed % 30), bound(row, 0, 1), bound(block_, 0, 3));
    }

    /// @dev 37 entries in blocks of 10, in rows of 41; two sampled positions behind a prompt of 3.
    function _check(uint256 seed, uint32 beta, uint256 row, uint256 block_) private view {
        int256[] memory logits = _values(2 * 41, 32, seed);
        int256[] memory table = _table(seed >> 2, 2 ** 24);
        World memory world;
        world.kind = OpKinds.SAMPLE_BLOCKS;
        world.params = _params(37, 10);
        (world.positions, world.promptLength) = (4, 3);
        (world.sampling, world.samplingSeed) = (beta, keccak256(abi.encode(seed)));
        world.inputs = _parts(_part("logits", I32, _shape(N, 41), logits));
        world.weights = _parts(_part("tables.log2", I32, _shape(257), table));
        if (beta == 0) world.weights[0].data = "";
        world.outputs = _parts(_part("block_max", I64, _shape(N, 4)), _part("block_index", I32, _shape(N, 4)));

        (int256 most, uint256 index) = (type(int256).min, 0);
        bytes32 digest = sha256(abi.encodePacked("nexus.gumbel.v1", world.samplingSeed, uint64(row + 2)));
        for (uint256 v = block_ * 10; v < block_ * 10 + 10 && v < 37; ++v) {
            int256 key = Plain.sat(logits[row * 41 + v]);
            if (beta != 0) {
                key = Plain.sat(Plain.rs(key * int256(uint256(beta)), 12))
                    + Plain.gumbel(v, uint32(bytes4(digest)), uint32(bytes4(digest << 32)), _clamped(table, 2 ** 24));
            }
            if (key > most) (most, index) = (key, v);
        }
        _assertOnly(world, 0, row * 4 + block_, most);
        _assertOnly(world, 1, row * 4 + block_, int256(index));
    }
}
