// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract NormaliseTest is StepFixture {
    uint256 internal constant ROWS = 2;
    uint256 internal constant GROUPS = 3;

    struct Values {
        int256[] x;
        int256[] gain;
        int256[] bias;
        int256[] p;
        uint256 size;
    }

    /// @dev Every combination of centred and bias; sizes around the elements of a word.
    function testFuzz_normalise(uint256 seed, uint256 epsilon, uint8 size, uint8 place, uint8 flags) public view {
        Values memory v = _draw(seed, bound(size, 1, 40), bound(epsilon, 0, 2 ** 60 - 1) >> (seed % 61), flags);
        _check(v, bound(place, 0, ROWS * GROUPS - 1), seed % v.size);
    }

    /// @dev A row of the least number, of zeros, and of one value: deviations from the mean are none.
    function test_normalise_rowsOfOneValue() public view {
        int256[3] memory ones = [-int256(2 ** 31), int256(0), int256(2 ** 31 - 1)];
        for (uint256 i = 0; i < 12; ++i) {
            Values memory v = _draw(2, 9, 0, uint8(i % 4));
            for (uint256 k = 0; k < v.x.length; ++k) {
                v.x[k] = ones[i / 4];
            }
            v.gain[8] = 2 ** 20;
            _check(v, 4, 8);
        }
    }

    /// @dev The least number reads as its neighbour, also where the mean makes it small.
    function test_normalise_leastNumber() public view {
        for (uint256 least = 1; least < 9; ++least) {
            Values memory v = _draw(3, 9, 0, 1);
            for (uint256 k = 0; k < v.x.length; ++k) {
                v.x[k] = k % 9 < least ? -int256(2 ** 31) : int256(k) - int256(2 ** 31);
            }
            v.gain[0] = v.gain[8] = 2 ** 20;
            _check(v, 0, 0);
            _check(v, 0, 8);
        }
    }

    function _check(Values memory v, uint256 group, uint256 column) private view {
        _assertOnly(_world(v), 0, group * v.size + column, _expected(v, group * v.size, column));
    }

    function _expected(Values memory v, uint256 start, uint256 column) private pure returns (int256 y) {
        int256[] memory around = new int256[](v.size);
        int256 mean;
        for (uint256 i = 0; i < v.size; ++i) {
            mean += Plain.sat(v.x[start + i]);
        }
        mean = v.p[2] == 1 ? Plain.floorDiv(mean, int256(v.size)) : int256(0);
        int256 a = 1;
        for (uint256 i = 0; i < v.size; ++i) {
            int256 d = Plain.sat(Plain.sat(v.x[start + i]) - mean);
            around[i] = d;
            if (d > a) a = d;
            if (-d > a) a = -d;
        }
        (int256 m, int256 e) = Plain.normScale(a, _squares(around, a), v.p[3]);
        y = Plain.rs(Plain.quantise(around[column], a, 16_383) * m, 12);
        y = Plain.sat(Plain.rs(y * Plain.sat(v.gain[column]), 6 - e));
        if (v.p[4] == 1) y = Plain.sat(y + Plain.sat(v.bias[column]));
    }

    function _squares(int256[] memory row, int256 a) private pure returns (int256 sum) {
        int256 unit = int256(2 ** (Plain.bl(a) > 23 ? Plain.bl(a) - 23 : 0));
        for (uint256 i = 0; i < row.length; ++i) {
            int256 part = Plain.floorDiv(row[i], unit);
            sum += part * part;
        }
    }

    function _draw(uint256 seed, uint256 size, uint256 epsilon, uint8 flags) private pure returns (Values memory v) {
        v.size = size;
        v.x = _values(ROWS * GROUPS * size, seed % 2 == 0 ? 32 : 20, seed);
        v.gain = _values(size, 32, seed >> 1);
        v.bias = _values(size, 32, seed >> 2);
        v.p = new int256[](5);
        (v.p[0], v.p[1], v.p[2]) = (int256(GROUPS), int256(size), int256(uint256(flags & 1)));
        (v.p[3], v.p[4]) = (int256(epsilon), int256(uint256(flags >> 1 & 1)));
    }

    function _world(Values memory v) private pure returns (World memory world) {
        int64 width = int64(uint64(GROUPS * v.size));
        world.kind = OpKinds.NORMALISE;
        world.params = v.p;
        world.positions = world.promptLength = uint32(ROWS);
        world.inputs = _parts(_part("x", I32, _shape(T, width), v.x));
        Part memory gain = _part("n.gain", I32, _shape(int64(uint64(v.size))), v.gain);
        Part memory bias = _part("n.bias", I32, _shape(int64(uint64(v.size))), v.bias);
        world.weights = v.p[4] == 1 ? _parts(gain, bias) : _parts(gain);
        world.outputs = _parts(_part("y", I32, _shape(T, width)));
    }
}
