// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract ValueQuantiseTest is StepFixture {
    function testFuzz_valueQuantise(uint256 seed, uint8 t, uint8 head, uint8 i) public view {
        (t, head, i) = (uint8(bound(t, 0, 2)), uint8(bound(head, 0, 1)), uint8(bound(i, 0, 9)));
        int256[] memory y = _values(3 * 20, 32, seed);
        uint256 place = uint256(t) * 2 + head;
        int256 most = 1;
        for (uint256 k = 0; k < 10; ++k) {
            int256 x = Plain.sat(y[place * 10 + k]);
            if (x > most) most = x;
            if (-x > most) most = -x;
        }
        World memory world;
        world.kind = OpKinds.VALUE_QUANTISE;
        world.params = _params(2, 10);
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("y", I32, _shape(T, 20), y));
        world.outputs = _parts(_part("v", I8, _shape(T, 2, 10)), _part("v_max", I32, _shape(T, 2)));
        _assertOnly(world, 0, place * 10 + i, Plain.quantise(Plain.sat(y[place * 10 + i]), most, 127));
        _assertOnly(world, 1, place, most);
    }
}
