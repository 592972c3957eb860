// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract LinearTest is StepFixture {
    int64 internal constant ROWS = 3;

    struct Values {
        int256[] q;
        int256[] m;
        int256[] e;
        int256[] r;
        int256[] w;
        int256[] scale;
        int256[] b;
    }

    /// @dev Every combination of bits, bias and residual; columns around the width of a word.
    function testFuzz_linear(uint256 seed, uint8 columns, uint8 place, uint8 flags) public view {
        columns = uint8(bound(columns, 1, 100));
        place = uint8(bound(place, 0, 5));
        (uint256 t, uint256 n) = (place / 3, place % 3);
        int256 bits = flags & 4 == 0 ? int256(8) : int256(15);
        Values memory v = _draw(seed, columns, bits);
        int256[] memory p = new int256[](6);
        (p[0], p[1], p[2]) = (ROWS, int256(uint256(columns)), bits);
        (p[3], p[4], p[5]) =
        (flags & 8 == 0 ? int256(12) : int256(16), int256(uint256(flags & 1)), int256(uint256(flags >> 1 & 1)));
        _assertOnly(_world(v, p), 0, t * 3 + n, _expected(v, p, t, n));
    }

    function _expected(Values memory v, int256[] memory p, uint256 t, uint256 n) private pure returns (int256 y) {
        uint256 columns = uint256(p[1]);
        int256 acc;
        for (uint256 k = 0; k < columns; ++k) {
            int256 q =
                p[2] == 15 ? 128 * v.q[t * 2 * columns + k] + v.q[t * 2 * columns + columns + k] : v.q[t * columns + k];
            acc += q * v.w[n * columns + k];
        }
        y = Plain.rescaled(acc, [v.m[t], v.e[t]], [v.scale[2 * n], v.scale[2 * n + 1]], p[3]);
        if (p[4] == 1) y = Plain.sat(y + Plain.sat(v.b[n]));
        if (p[5] == 1) y = Plain.sat(Plain.sat(v.r[t * 3 + n]) + y);
    }

    function _draw(uint256 seed, uint256 columns, int256 bits) private pure returns (Values memory v) {
        v.q = _values(2 * columns * (bits == 15 ? 2 : 1), 8, seed);
        v.w = _values(3 * columns, 8, seed >> 1);
        v.m = _values(2, seed % 2 == 0 ? 17 : 32, seed >> 2);
        v.e = _values(2, seed % 3 == 0 ? 32 : 6, seed >> 3);
        v.r = _values(6, 32, seed >> 4);
        v.scale = _values(6, seed % 5 == 0 ? 32 : 6, seed >> 5);
        for (uint256 i = 0; i < 6; i += 2) {
            v.scale[i] = _values(6, 17, seed >> 6)[i];
        }
        v.b = _values(3, 32, seed >> 7);
    }

    function _world(Values memory v, int256[] memory p) private pure returns (World memory world) {
        world.kind = OpKinds.LINEAR;
        world.params = p;
        world.positions = world.promptLength = 2;
        world.inputs = new Part[](p[5] == 1 ? 4 : 3);
        int64 columns = int64(p[1]);
        world.inputs[0] = _part("q", I8, p[2] == 15 ? _shape(T, 2, columns) : _shape(T, columns), v.q);
        world.inputs[1] = _part("m", I32, _shape(T), v.m);
        world.inputs[2] = _part("e", I32, _shape(T), v.e);
        if (p[5] == 1) world.inputs[3] = _part("r", I32, _shape(T, ROWS), v.r);
        world.weights = new Part[](p[4] == 1 ? 3 : 2);
        world.weights[0] = _part("a.weight", I8, _shape(ROWS, columns), v.w);
        world.weights[1] = _part("a.scale", I32, _shape(ROWS, 2), v.scale);
        if (p[4] == 1) world.weights[2] = _part("a.bias", I32, _shape(ROWS), v.b);
        world.outputs = _parts(_part("y", I32, _shape(T, ROWS)));
    }
}
