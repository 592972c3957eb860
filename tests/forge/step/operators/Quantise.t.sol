// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract QuantiseTest is StepFixture {
    function testFuzz_quantise_8bits(uint256 seed, uint8 column, uint8 row) public view {
        (column, row) = (uint8(bound(column, 0, 22)), uint8(bound(row, 0, 2)));
        (World memory world, int256 x, int256 a) = _world(seed, column, row, 8);
        _assertOnly(world, 0, uint256(row) * 23 + column, Plain.quantise(x, a, 127));
    }

    function testFuzz_quantise_15bits_bothPlanes(uint256 seed, uint8 column, uint8 row) public view {
        (column, row) = (uint8(bound(column, 0, 22)), uint8(bound(row, 0, 2)));
        (World memory world, int256 x, int256 a) = _world(seed, column, row, 15);
        int256 q = Plain.quantise(x, a, 16_383);
        int256 high = Plain.floorDiv(q, 128);
        _assertOnly(world, 0, uint256(row) * 46 + column, high);
        _assertOnly(world, 0, uint256(row) * 46 + 23 + column, q - 128 * high);
    }

    /// @dev Columns [11, 34) of 40; rows are those of sampled positions, of which the first is position 4.
    function _world(
        uint256 seed,
        uint256 column,
        uint256 row,
        int256 bits
    )
        private
        pure
        returns (World memory world, int256 x, int256 a)
    {
        int256[] memory rows = _values(7 * 40, 32, seed);
        int256[] memory most = _values(7, 32, seed >> 1);
        world.kind = OpKinds.QUANTISE;
        world.params = _params(11, 34, bits);
        (world.positions, world.promptLength) = (7, 5);
        world.inputs = _parts(_part("x", I32, _shape(T, 40), rows), _part("A", I32, _shape(T), most));
        world.outputs = _parts(_part("q", I8, bits == 15 ? _shape(N, 2, 23) : _shape(N, 23)));
        x = Plain.sat(rows[(row + 4) * 40 + 11 + column]);
        a = Plain.clamp(most[row + 4], 1, Plain.SAT);
    }
}
