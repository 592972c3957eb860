// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract RopeQuantiseTest is StepFixture {
    function testFuzz_ropeQuantise(uint256 seed, uint8 t, uint8 head, uint8 i) public view {
        (t, head, i) = (uint8(bound(t, 0, 2)), uint8(bound(head, 0, 1)), uint8(bound(i, 0, 9)));
        int256[] memory y = _values(3 * 20, 32, seed);
        int256[] memory turns = _values(4 * 10, 16, seed >> 1);
        int256[] memory x = new int256[](10);
        int256 most = 1;
        for (uint256 k = 0; k < 5; ++k) {
            (int256 a, int256 b) = (Plain.sat(y[t * 20 + head * 10 + k]), Plain.sat(y[t * 20 + head * 10 + 5 + k]));
            (int256 c, int256 s) = (turns[t * 10 + k], turns[t * 10 + 5 + k]);
            x[k] = Plain.sat(Plain.rs(a * c - b * s, 15));
            x[k + 5] = Plain.sat(Plain.rs(b * c + a * s, 15));
        }
        for (uint256 k = 0; k < 10; ++k) {
            if (x[k] > most) most = x[k];
            if (-x[k] > most) most = -x[k];
        }
        World memory world = _world(y, turns);
        uint256 place = uint256(t) * 2 + head;
        (int256 m, int256 e) = Plain.scale16(most);
        _assertOnly(world, 0, place * 10 + i, Plain.quantise(x[i], most, 127));
        _assertOnly(world, 1, place, most);
        _assertOnly(world, 2, place, m);
        _assertOnly(world, 3, place, e);
    }

    function _world(int256[] memory y, int256[] memory turns) private pure returns (World memory world) {
        world.kind = OpKinds.ROPE_QUANTISE;
        world.params = _params(2, 10);
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("y", I32, _shape(T, 20), y));
        world.weights = _parts(_part("tables.rope", I16, _shape(4, 10), turns));
        world.outputs = new Part[](4);
        world.outputs[0] = _part("q", I8, _shape(T, 2, 10));
        world.outputs[1] = _part("A", I32, _shape(T, 2));
        world.outputs[2] = _part("m", I32, _shape(T, 2));
        world.outputs[3] = _part("e", I32, _shape(T, 2));
    }
}
