// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SymbolicDeployment} from "./SymbolicDeployment.sol";

/// @notice The split of a slashed stake, and how long a stake stays.
contract NodeRegistryProofs is SymbolicDeployment {
    function setUp() public {
        _deploy(address(this));
    }

    function check_slashTakesTheWholeStakeOnce(uint128 stake, address beneficiary) public {
        vm.assume(stake != 0 && beneficiary != VAULT);
        _register(stake);
        (uint256 taken, uint256 reward) = nodes.slash(NODE, beneficiary);

        uint256 toVault = nodes.balanceOf(VAULT);
        uint256 toBeneficiary = nodes.balanceOf(beneficiary);
        assertEq(taken, stake);
        assertEq(toBeneficiary, reward);
        assertEq(toVault + toBeneficiary, stake);
        assertGe(toVault, toBeneficiary);
        assertEq(nodes.node(NODE).stake, 0);
        if (beneficiary == address(0)) assertEq(toVault, stake);

        (bool again,) = address(nodes).call(abi.encodeCall(nodes.slash, (NODE, beneficiary)));
        assertFalse(again);
    }

    function check_slashedStakeNeverLeaves(uint128 stake, uint40 later) public {
        vm.assume(stake != 0 && later > START);
        _register(stake);
        vm.prank(NODE);
        nodes.requestUnbond();
        nodes.slash(NODE, CAROL);
        vm.warp(later);
        vm.prank(NODE);
        (bool left,) = address(nodes).call(abi.encodeCall(nodes.completeUnbond, ()));
        assertFalse(left);
    }

    /// @dev A session opened in the second of the request, closed as late as can be, with a game opened in its last
    /// second and played to the end of every clock: the stake is still there.
    function check_stakeOutlastsEverySessionAndGame(uint128 stake, uint40 requested, uint40 leaving) public {
        vm.assume(stake != 0 && requested >= START && requested < LATEST && leaving >= requested);
        _register(stake);
        vm.warp(requested);
        vm.prank(NODE);
        nodes.requestUnbond();
        vm.warp(leaving);
        vm.prank(NODE);
        (bool left,) = address(nodes).call(abi.encodeCall(nodes.completeUnbond, ()));
        assertEq(left, uint256(leaving) > uint256(requested) + T + W + G);
        assertEq(nodes.balanceOf(NODE), left ? stake : 0);
    }

    function check_openGameHoldsTheStake(uint128 stake, uint40 leaving) public {
        vm.assume(stake != 0 && leaving >= START);
        _register(stake);
        vm.prank(NODE);
        nodes.requestUnbond();
        nodes.openGame(NODE);
        vm.warp(leaving);
        vm.prank(NODE);
        (bool left,) = address(nodes).call(abi.encodeCall(nodes.completeUnbond, ()));
        assertFalse(left);
    }

    function check_noGameOnceTheStakeMayLeave(uint40 asking, uint40 opening) public {
        vm.assume(asking >= START && asking <= opening && opening < LATEST);
        _register(1);
        vm.warp(asking);
        vm.prank(NODE);
        nodes.requestUnbond();
        uint256 last = nodes.node(NODE).unbondableAfter;
        vm.warp(opening);
        (bool done,) = address(nodes).call(abi.encodeCall(nodes.openGame, (NODE)));
        assertEq(done, opening <= last);
    }

    function check_stakesAddUp(uint128 first, uint128 more) public {
        vm.assume(first != 0);
        _register(first);
        vm.deal(NODE, more);
        vm.prank(NODE);
        nodes.addStake{value: more}();
        assertEq(nodes.node(NODE).stake, uint256(first) + more);
        assertEq(address(nodes).balance, uint256(first) + more);
    }
}
