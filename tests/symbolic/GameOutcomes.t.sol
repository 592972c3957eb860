// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GameEvidence} from "../../contracts/GameEvidence.sol";
import {GameOutcomes} from "../../contracts/GameOutcomes.sol";
import {IStepVerifier} from "../../contracts/interfaces/IStepVerifier.sol";
import {SymbolicDeployment} from "./SymbolicDeployment.sol";

/// @dev Where the prover stands with its numbering of contracts.
contract Mark {}

/// @dev Verdicts as told, with the money of the real dispute contract.
contract Verdicts is GameOutcomes {
    constructor(
        Parts memory parts,
        uint256 minimumBond_,
        uint256 answersGas_
    )
        GameEvidence(parts)
        GameOutcomes(minimumBond_, answersGas_)
    {}

    function start(bytes32 receipt, bytes32 session, address node) external payable {
        _disputed[receipt].session = session;
        _disputed[receipt].node = node;
        _start(receipt, State.Trace, block.timestamp);
    }

    function owe(uint128 owed) external {
        _games[0].owed = owed;
    }

    function acquit() external {
        _acquit(1, _current(1));
    }

    function convict() external {
        _convict(1, _current(1));
    }

    function void() external {
        _void(1, _current(1));
    }
}

/// @notice Where bonds and slashed stakes go, for every bond, base fee, stake and debt.
contract GameOutcomesProofs is SymbolicDeployment {
    uint256 private constant MINIMUM_BOND = 0.05 ether;
    uint256 private constant ANSWERS_GAS = 9_000_000;

    Verdicts private game;
    bytes32 private session;

    /// @dev Registry and market name their judge before it exists. The prover numbers new contracts in a row: first a
    /// mark, then models, registry, market and judge.
    function setUp() public {
        address judge = address(uint160(address(new Mark())) + 4);
        _deploy(judge);
        // No proof gets as far as a step: any code may stand for the verifier.
        game = new Verdicts(
            GameEvidence.Parts(market, nodes, models, IStepVerifier(address(models))), MINIMUM_BOND, ANSWERS_GAS
        );
        assertEq(address(game), judge);
    }

    function check_bondCoversTheScheduledAnswers(uint128 bond, uint64 baseFee) public {
        _played(1 ether, bond, baseFee);
        assertGe(bond, MINIMUM_BOND);
        assertGe(bond, 2 * ANSWERS_GAS * uint256(baseFee));
    }

    function check_acquittalSplitsTheBond(uint128 bond, uint64 opened, uint64 ended) public {
        _played(1 ether, bond, opened);
        vm.fee(ended);
        game.acquit();

        uint256 toNode = game.balanceOf(NODE);
        uint256 toVault = game.balanceOf(VAULT);
        assertEq(toNode + toVault, bond);
        assertEq(address(game).balance, bond);
        assertGe(toNode, bond / 2);
        uint256 answers = ANSWERS_GAS * uint256(ended);
        if (answers <= bond) assertGe(toNode, answers);
        else assertEq(toNode, bond);
    }

    function check_convictionSplitsTheStake(uint128 stake, uint128 bond, uint128 owed) public {
        vm.assume(stake != 0);
        _played(stake, bond, 0);
        game.owe(owed);
        game.convict();

        uint256 toVault = nodes.balanceOf(VAULT);
        uint256 toUser = game.balanceOf(USER);
        uint256 toFinder = game.balanceOf(CAROL) - bond;
        assertEq(toVault + toUser + toFinder, stake);
        assertGe(toVault, uint256(stake) - toVault);
        assertLe(toUser, owed);
        if (toFinder != 0) assertEq(toUser, owed);
        // To the wei: nothing is owed that is not there, and nothing is there that is not owed.
        assertEq(address(game).balance, uint256(bond) + toUser + toFinder);
        assertEq(address(nodes).balance, toVault);
    }

    function check_voidReturnsTheBond(uint128 bond) public {
        _played(1 ether, bond, 0);
        game.void();
        assertEq(game.balanceOf(CAROL), bond);
        assertEq(address(game).balance, bond);
    }

    // ---------------------------------------------------------------- inside

    function _played(uint128 stake, uint128 bond, uint64 baseFee) private {
        _register(stake);
        session = _open(1 ether);
        vm.fee(baseFee);
        vm.deal(CAROL, bond);
        vm.prank(CAROL);
        game.start{value: bond}(keccak256("receipt"), session, NODE);
    }
}
