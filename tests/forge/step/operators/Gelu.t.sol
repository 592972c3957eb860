// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract GeluTest is StepFixture {
    function testFuzz_gelu(uint256 seed, uint8 row, uint8 column) public view {
        (row, column) = (uint8(bound(row, 0, 2)), uint8(bound(column, 0, 16)));
        _check(_values(3 * 17, seed % 2 == 0 ? 32 : 17, seed), seed >> 1, uint256(row) * 17 + column);
    }

    /// @dev Zero, both sides of every end of the table, and the ends of the range.
    function test_gelu_boundaries() public view {
        int256[] memory x = new int256[](3 * 17);
        (x[0], x[1], x[2], x[3]) = (0, 1, -1, 63);
        (x[4], x[5], x[6], x[7]) = (64, -64, 32_767, -32_767);
        (x[8], x[9], x[10]) = (32_768, -32_768, 32_769);
        (x[11], x[12], x[13]) = (2 ** 31 - 1, -2 ** 31, 1 - 2 ** 31);
        for (uint256 at = 0; at < 14; ++at) {
            _check(x, 0, at);
            _check(x, 1, at);
        }
    }

    function _check(int256[] memory x, uint256 seed, uint256 at) private view {
        int256[] memory table = _gates(seed);
        World memory world;
        world.kind = OpKinds.GELU;
        world.params = _params(17);
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("x", I32, _shape(T, 17), x));
        world.weights = _parts(_part("tables.phi", I32, _shape(513), table));
        world.outputs = _parts(_part("y", I32, _shape(T, 17)));

        int256[] memory p = _clamped(table, 2 ** 23);
        int256 v = Plain.sat(x[at]);
        int256 a = v < 0 ? -v : v;
        uint256 i = uint256(a / 64);
        int256 gate = a >= 2 ** 15 ? p[512] : p[i] + Plain.rs((p[i + 1] - p[i]) * (a % 64), 6);
        _assertOnly(world, 0, at, Plain.sat(Plain.rs(v * (v < 0 ? 2 ** 23 - gate : gate), 23)));
    }

    /// @dev Anything, or a gate that rises from one half to one.
    function _gates(uint256 seed) private pure returns (int256[] memory table) {
        table = _values(513, 32, seed);
        if (seed % 2 == 0) return table;
        for (uint256 i = 0; i < 513; ++i) {
            table[i] = 2 ** 22 + 2 ** 13 * int256(i);
        }
    }
}
