// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract RowScaleTest is StepFixture {
    function testFuzz_rowScale(uint256 seed, uint8 row, bool exponent) public view {
        int256[] memory most = _values(6, 32, seed);
        _check(most, bound(row, 0, 5), exponent);
    }

    /// @dev Rounding up to 2^16 carries into the exponent.
    function test_rowScale_boundaries() public view {
        int256[] memory most = new int256[](6);
        (most[0], most[1], most[2]) = (1, 65_535, 65_536);
        (most[3], most[4], most[5]) = (131_071, 2 ** 31 - 1, -5);
        for (uint256 row = 0; row < 6; ++row) {
            _check(most, row, false);
            _check(most, row, true);
        }
    }

    function _check(int256[] memory most, uint256 row, bool exponent) private view {
        World memory world;
        world.kind = OpKinds.ROW_SCALE;
        world.positions = world.promptLength = 6;
        world.inputs = _parts(_part("A", I32, _shape(T), most));
        world.outputs = _parts(_part("m", I32, _shape(T)), _part("e", I32, _shape(T)));
        (int256 m, int256 e) = Plain.scale16(Plain.clamp(most[row], 1, Plain.SAT));
        _assertOnly(world, exponent ? 1 : 0, row, exponent ? e : m);
    }
}
