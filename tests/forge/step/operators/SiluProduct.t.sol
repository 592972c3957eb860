// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract SiluProductTest is StepFixture {
    function testFuzz_siluProduct(uint256 seed, uint8 row, uint8 column) public view {
        (row, column) = (uint8(bound(row, 0, 2)), uint8(bound(column, 0, 16)));
        int256[] memory gates = _values(3 * 17, seed % 2 == 0 ? 32 : 17, seed);
        int256[] memory ups = _values(3 * 17, 32, seed >> 1);
        int256[] memory table = _table(seed >> 2, 2 ** 23);
        World memory world;
        world.kind = OpKinds.SILU_PRODUCT;
        world.params = _params(17);
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("g", I32, _shape(T, 17), gates), _part("u", I32, _shape(T, 17), ups));
        world.weights = _parts(_part("tables.exp2", I32, _shape(257), table));
        world.outputs = _parts(_part("h", I32, _shape(T, 17)));

        uint256 place = uint256(row) * 17 + column;
        int256 g = Plain.sat(gates[place]);
        int256 p = Plain.exp2n(Plain.rs((g < 0 ? -g : g) * 23_637, 11), _clamped(table, 2 ** 23));
        int256 s = (g >= 0 ? int256(2 ** 46) : p * 2 ** 23) / (2 ** 23 + p);
        _assertOnly(world, 0, place, Plain.sat(Plain.rs(Plain.rs(g * s, 23) * Plain.sat(ups[place]), 12)));
    }
}
