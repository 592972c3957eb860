// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {StepFixture} from "./StepFixture.sol";

contract RowLayoutTest is StepFixture {
    function testFuzz_rowLayout_copies(uint256 seed, uint8 t, uint8 column) public view {
        (t, column) = (uint8(bound(t, 0, 6)), uint8(bound(column, 0, 9)));
        int256[] memory x = _values(7 * 10, 32, seed);
        _assertOnly(_world(x, T), 0, uint256(column) * 7 + t, x[uint256(t) * 10 + column]);
    }

    /// @dev Of the sampled positions only: 5, 6 and 7 of a prompt of 5.
    function testFuzz_rowLayout_sampled(uint256 seed, uint8 row, uint8 column) public view {
        (row, column) = (uint8(bound(row, 0, 2)), uint8(bound(column, 0, 9)));
        int256[] memory x = _values(7 * 10, 32, seed);
        _assertOnly(_world(x, N), 0, uint256(column) * 3 + row, x[uint256(row + 4) * 10 + column]);
    }

    function _world(int256[] memory x, int64 rows) private pure returns (World memory world) {
        world.kind = OpKinds.ROW_LAYOUT;
        world.params = _params(10);
        (world.positions, world.promptLength) = (7, 5);
        world.inputs = _parts(_part("x", I32, _shape(T, 10), x));
        world.outputs = _parts(_part("x_columns", I32, _shape(10, rows)));
    }
}
