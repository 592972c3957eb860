// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract NormScaleTest is StepFixture {
    function testFuzz_normScale(uint256 seed, uint256 epsilon, uint8 row, bool exponent) public view {
        (row, epsilon) = (uint8(bound(row, 0, 5)), bound(epsilon, 0, 2 ** 60 - 1) >> (seed % 61));
        int256[] memory most = _values(6, 32, seed);
        int256[] memory squares = _values(6, 64, seed >> 1);
        World memory world;
        world.kind = OpKinds.NORM_SCALE;
        world.params = _params(int256(epsilon));
        world.positions = world.promptLength = 6;
        world.inputs = _parts(_part("A", I32, _shape(T), most), _part("S", I64, _shape(T), squares));
        world.outputs = _parts(_part("m", I32, _shape(T)), _part("e", I32, _shape(T)));

        int256 a = Plain.clamp(most[row], 1, Plain.SAT);
        (int256 m, int256 e) = Plain.normScale(a, Plain.clamp(squares[row], 0, 2 ** 61 - 1), int256(epsilon));
        _assertOnly(world, exponent ? 1 : 0, row, exponent ? e : m);
    }
}
