// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract PositionEmbedTest is StepFixture {
    function testFuzz_positionEmbed(uint256 seed, uint8 t, uint8 column, uint8 shift) public view {
        (t, column, shift) = (uint8(bound(t, 0, 4)), uint8(bound(column, 0, 6)), uint8(bound(shift, 0, 15)));
        _check(seed, T, [uint256(t), t, column], int256(uint256(shift)));
    }

    /// @dev A row of the sampled positions reads the table at its own position.
    function testFuzz_positionEmbed_sampled(uint256 seed, uint8 row, uint8 column) public view {
        (row, column) = (uint8(bound(row, 0, 2)), uint8(bound(column, 0, 6)));
        _check(seed, N, [uint256(row), row + 2, column], 4);
    }

    /// @dev `place`: row of the output, its position, column.
    function _check(uint256 seed, int64 rows, uint256[3] memory place, int256 shift) private view {
        int256[] memory x = _values(5 * 7, 32, seed);
        int256[] memory table = _values(9 * 7, 16, seed >> 1);
        World memory world;
        world.kind = OpKinds.POSITION_EMBED;
        world.params = _params(7, shift);
        (world.positions, world.promptLength) = (5, 3);
        world.inputs = _parts(_part("x", I32, _shape(T, 7), x));
        world.weights = _parts(_part("position.table", I16, _shape(9, 7), table));
        world.outputs = _parts(_part("r", I32, _shape(rows, 7)));
        uint256 at = place[1] * 7 + place[2];
        int256 right = Plain.sat(Plain.sat(x[at]) + table[at] * int256(2 ** uint256(shift)));
        _assertOnly(world, 0, place[0] * 7 + place[2], right);
    }
}
