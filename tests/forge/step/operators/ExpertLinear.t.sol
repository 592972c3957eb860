// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract ExpertLinearTest is StepFixture {
    int64 internal constant ROWS = 3;
    int64 internal constant SLOTS = 2;
    uint256 internal constant EXPERTS = 4;

    struct Values {
        int256[] q;
        int256[] m;
        int256[] e;
        int256[] index;
        int256[] gate;
        int256[] r;
        int256[] w;
        int256[] scale;
        int256[] p;
        uint256 expert;
    }

    /// @dev Either width of row, either slot, with and without combining; the other experts' weights are left out.
    function testFuzz_expertLinear(uint256 seed, uint8 columns, uint8 place, uint8 flags) public view {
        uint256 t = bound(place, 0, 5) / 3;
        uint256 n = bound(place, 0, 5) % 3;
        Values memory v = _draw(seed, bound(columns, 1, 70), t, flags);
        _assertOnly(_world(v), 0, t * 3 + n, _expected(v, t, n));
    }

    /// @dev Another expert's matrix is no witness.
    function test_expertLinear_otherExpert_reverts() public {
        Values memory v = _draw(1, 8, 0, 0);
        v.index[0] = int256(v.expert = 1);
        _assertOnly(_world(v), 0, 0, _expected(v, 0, 0));
        v.expert = 2;
        vm.expectRevert(abi.encodeWithSelector(IStepVerifier.StepVerifier_BadWitness.selector, bytes32("name")));
        this.convicts(_world(v));
    }

    function convicts(World memory world) external view returns (bool) {
        return _convicts(world, 0, 0, 1);
    }

    function _expected(Values memory v, uint256 t, uint256 n) private pure returns (int256 y) {
        uint256 columns = uint256(v.p[1]);
        int256 acc;
        for (uint256 k = 0; k < columns; ++k) {
            uint256 at = v.p[2] == 15 ? t * 2 * columns + k : t * columns + k;
            acc += (v.p[2] == 15 ? 128 * v.q[at] + v.q[at + columns] : v.q[at]) * v.w[n * columns + k];
        }
        y = Plain.rescaled(acc, [v.m[t], v.e[t]], [v.scale[2 * n], v.scale[2 * n + 1]], v.p[3]);
        if (v.p[7] == 0) return y;
        int256 gate = Plain.clamp(v.gate[t * 2 + uint256(v.p[6])], 0, 65_536);
        return Plain.sat(Plain.sat(v.r[t * 3 + n]) + Plain.rs(y * gate, 16));
    }

    function _draw(uint256 seed, uint256 columns, uint256 t, uint8 flags) private pure returns (Values memory v) {
        v.p = new int256[](8);
        (v.p[0], v.p[1], v.p[2], v.p[3]) = (ROWS, int256(columns), flags & 1 == 0 ? int256(8) : int256(15), 16);
        (v.p[4], v.p[5]) = (int256(EXPERTS), SLOTS);
        (v.p[6], v.p[7]) = (int256(uint256(flags >> 1 & 1)), int256(uint256(flags >> 2 & 1)));
        v.q = _values(2 * columns * (v.p[2] == 15 ? 2 : 1), 8, seed);
        v.w = _values(3 * columns, 8, seed >> 1);
        v.m = _values(2, seed % 2 == 0 ? 17 : 32, seed >> 2);
        v.e = _values(2, seed % 3 == 0 ? 32 : 6, seed >> 3);
        v.index = _values(4, seed % 5 == 0 ? 32 : 4, seed >> 4);
        v.gate = _values(4, seed % 2 == 0 ? 17 : 32, seed >> 5);
        v.r = _values(6, 32, seed >> 6);
        v.scale = _values(6, seed % 5 == 0 ? 32 : 6, seed >> 7);
        int256[] memory mantissas = _values(6, 17, seed >> 8);
        (v.scale[0], v.scale[2], v.scale[4]) = (mantissas[0], mantissas[2], mantissas[4]);
        v.expert = uint256(Plain.clamp(v.index[t * 2 + uint256(v.p[6])], 0, int256(EXPERTS - 1)));
    }

    function _world(Values memory v) private pure returns (World memory world) {
        world.kind = OpKinds.EXPERT_LINEAR;
        world.params = v.p;
        world.positions = world.promptLength = 2;
        int64 columns = int64(v.p[1]);
        world.inputs = new Part[](v.p[7] == 1 ? 6 : 4);
        world.inputs[0] = _part("q", I8, v.p[2] == 15 ? _shape(T, 2, columns) : _shape(T, columns), v.q);
        world.inputs[1] = _part("m", I32, _shape(T), v.m);
        world.inputs[2] = _part("e", I32, _shape(T), v.e);
        world.inputs[3] = _part("index", I32, _shape(T, SLOTS), v.index);
        if (v.p[7] == 1) {
            world.inputs[4] = _part("gate", I32, _shape(T, SLOTS), v.gate);
            world.inputs[5] = _part("r", I32, _shape(T, ROWS), v.r);
        }
        world.weights = new Part[](2 * EXPERTS);
        for (uint256 x = 0; x < EXPERTS; ++x) {
            string memory name = string.concat("experts.", vm.toString(x));
            bool open = x == v.expert;
            string memory matrix = string.concat(name, ".weight");
            world.weights[2 * x] =
                open ? _part(matrix, I8, _shape(ROWS, columns), v.w) : _part(matrix, I8, _shape(ROWS, columns));
            string memory scale = string.concat(name, ".scale");
            world.weights[2 * x + 1] =
                open ? _part(scale, I32, _shape(ROWS, 2), v.scale) : _part(scale, I32, _shape(ROWS, 2));
        }
        world.outputs = _parts(_part("y", I32, _shape(T, ROWS)));
    }
}
