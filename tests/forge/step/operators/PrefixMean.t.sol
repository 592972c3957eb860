// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract PrefixMeanTest is StepFixture {
    function testFuzz_prefixMean(uint256 seed, uint8 t, uint8 column) public view {
        (t, column) = (uint8(bound(t, 0, 20)), uint8(bound(column, 0, 2)));
        _check(seed, T, [uint256(t), t, column]);
    }

    /// @dev The mean of all positions up to a sampled one, the first of which is 18.
    function testFuzz_prefixMean_sampled(uint256 seed, uint8 row, uint8 column) public view {
        (row, column) = (uint8(bound(row, 0, 2)), uint8(bound(column, 0, 2)));
        _check(seed, N, [uint256(row), row + 18, column]);
    }

    /// @dev `place`: row of the output, its position, column.
    function _check(uint256 seed, int64 rows, uint256[3] memory place) private view {
        int256[] memory x = _values(3 * 21, seed % 2 == 0 ? 32 : 6, seed);
        World memory world;
        world.kind = OpKinds.PREFIX_MEAN;
        world.params = _params(3);
        (world.positions, world.promptLength) = (21, 19);
        world.inputs = _parts(_part("x_columns", I32, _shape(3, T), x));
        world.outputs = _parts(_part("mean", I32, _shape(rows, 3)));
        int256 sum;
        for (uint256 j = 0; j <= place[1]; ++j) {
            sum += Plain.sat(x[place[2] * 21 + j]);
        }
        _assertOnly(world, 0, place[0] * 3 + place[2], Plain.floorDiv(sum, int256(place[1] + 1)));
    }
}
