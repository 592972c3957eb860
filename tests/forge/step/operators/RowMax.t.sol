// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract RowMaxTest is StepFixture {
    int64 internal constant WIDTH = 45;

    function testFuzz_rowMax_onlyTheMaximumStands(uint256 seed, uint8 start, uint8 stop, uint8 row) public view {
        (start, row) = (uint8(bound(start, 0, 44)), uint8(bound(row, 0, 2)));
        stop = uint8(bound(stop, uint256(start) + 1, 45));
        int256[] memory x = _values(3 * 45, 32, seed);
        int256 most = 1;
        for (uint256 c = start; c < stop; ++c) {
            int256 v = Plain.sat(x[row * 45 + c]);
            if (v > most) most = v;
            if (-v > most) most = -v;
        }
        _assertOnly(_world(x, start, stop), 0, row, most);
    }

    /// @dev Part of the row: a larger element convicts; too large a maximum stands until the whole row is opened.
    function test_rowMax_counterexample() public view {
        int256[] memory x = new int256[](2048);
        (x[1500], x[3]) = (-77, 500);
        World memory world = _wide(x, 1);
        assertTrue(_convicts(world, 0, 0, 76));
        assertFalse(_convicts(world, 0, 0, 77));
        assertFalse(_convicts(world, 0, 0, 10_000));
    }

    function test_rowMax_noColumnOpened_reverts() public {
        int256[] memory x = new int256[](2048);
        World memory world = _wide(x, 1);
        world.params = _params(0, 1000);
        vm.expectRevert(abi.encodeWithSelector(IStepVerifier.StepVerifier_BadWitness.selector, bytes32("range")));
        this.convicts(world);
    }

    function convicts(World memory world) external view returns (bool) {
        return _convicts(world, 0, 0, 5);
    }

    /// @dev A row of two leaves; one is opened, its first half filled with x[1024:2048].
    function _wide(int256[] memory x, uint32 leaf) private pure returns (World memory world) {
        world = _world(x, 0, 4096);
        int256[] memory piece = new int256[](2048);
        for (uint256 i = 0; i < 1024; ++i) {
            piece[i] = x[1024 + i];
        }
        world.inputs[0] = _part("x", I32, _shape(T, 4096), piece);
        world.inputs[0].firstLeaf = leaf;
    }

    function _world(int256[] memory x, uint256 start, uint256 stop) private pure returns (World memory world) {
        world.kind = OpKinds.ROW_MAX;
        world.params = _params(int256(start), int256(stop));
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("x", I32, _shape(T, WIDTH), x));
        world.outputs = _parts(_part("A", I32, _shape(T)));
    }
}
