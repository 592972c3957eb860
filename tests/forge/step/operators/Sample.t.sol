// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract SampleTest is StepFixture {
    function testFuzz_sample_firstOfTheLargest(uint256 seed, uint8 row) public view {
        row = uint8(bound(row, 0, 1));
        int256[] memory keys = _values(2 * 9, seed % 2 == 0 ? 3 : 64, seed);
        int256[] memory entries = _values(2 * 9, 32, seed >> 1);
        World memory world;
        world.kind = OpKinds.SAMPLE;
        world.params = _params(9);
        (world.positions, world.promptLength) = (4, 3);
        world.inputs = _parts(_part("m", I64, _shape(N, 9), keys), _part("i", I32, _shape(N, 9), entries));
        world.outputs = _parts(_part("token", I32, _shape(N)));
        uint256 best = row * 9;
        for (uint256 b = best + 1; b < row * 9 + 9; ++b) {
            if (Plain.clamp(keys[b], -(2 ** 40), 2 ** 40) > Plain.clamp(keys[best], -(2 ** 40), 2 ** 40)) best = b;
        }
        _assertOnly(world, 0, row, entries[best]);
    }
}
