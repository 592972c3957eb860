// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {StepFixture} from "./StepFixture.sol";

contract ValueLayoutTest is StepFixture {
    function testFuzz_valueLayout_copies(uint256 seed, uint8 t, uint8 head, uint8 i) public view {
        (t, head, i) = (uint8(bound(t, 0, 6)), uint8(bound(head, 0, 1)), uint8(bound(i, 0, 9)));
        int256[] memory v = _values(7 * 20, 8, seed);
        int256[] memory most = _values(7 * 2, 32, seed >> 1);
        World memory world;
        world.kind = OpKinds.VALUE_LAYOUT;
        world.params = _params(2, 10);
        world.positions = world.promptLength = 7;
        world.inputs = _parts(_part("v", I8, _shape(T, 2, 10), v), _part("v_max", I32, _shape(T, 2), most));
        world.outputs = _parts(_part("v_columns", I8, _shape(2, 10, T)), _part("v_max_columns", I32, _shape(2, T)));
        _assertOnly(world, 0, (uint256(head) * 10 + i) * 7 + t, v[t * 20 + head * 10 + i]);
        _assertOnly(world, 1, uint256(head) * 7 + t, most[t * 2 + head]);
    }

    /// @dev An input that the element does not need may stay closed; one that it needs may not.
    function test_valueLayout_closedInput_reverts() public {
        World memory world;
        world.kind = OpKinds.VALUE_LAYOUT;
        world.params = _params(2, 10);
        world.positions = world.promptLength = 1;
        world.inputs = _parts(_part("v", I8, _shape(T, 2, 10), _values(20, 8, 7)), _part("v_max", I32, _shape(T, 2)));
        world.outputs = _parts(_part("v_columns", I8, _shape(2, 10, T)), _part("v_max_columns", I32, _shape(2, T)));
        _assertOnly(world, 0, 13, _values(20, 8, 7)[13]);
        vm.expectPartialRevert(IStepVerifier.StepVerifier_BadWitness.selector);
        this.convicts(world);
    }

    function convicts(World memory world) external view returns (bool) {
        return _convicts(world, 1, 0, 1);
    }
}
