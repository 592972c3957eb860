// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract RowSquaresTest is StepFixture {
    function testFuzz_rowSquares_sumOfShiftedSquares(uint256 seed, uint8 start, uint8 stop, uint8 row) public view {
        (start, row) = (uint8(bound(start, 0, 44)), uint8(bound(row, 0, 2)));
        stop = uint8(bound(stop, uint256(start) + 1, 45));
        int256[] memory x = _values(3 * 45, 32, seed);
        int256[] memory most = _values(3, 32, seed ^ 1);
        World memory world;
        world.kind = OpKinds.ROW_SQUARES;
        world.params = _params(int256(uint256(start)), int256(uint256(stop)));
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("x", I32, _shape(T, 45), x), _part("A", I32, _shape(T), most));
        world.outputs = _parts(_part("S", I64, _shape(T)));

        int256 a = Plain.clamp(most[row], 1, Plain.SAT);
        uint256 h = Plain.bl(a) > 23 ? Plain.bl(a) - 23 : 0;
        int256 sum;
        for (uint256 c = start; c < stop; ++c) {
            int256 v = Plain.floorDiv(Plain.clamp(x[row * 45 + c], -a, a), int256(2 ** h));
            sum += v * v;
        }
        _assertOnly(world, 0, row, sum);
    }
}
