// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GameEvidence} from "../../contracts/disputes/GameEvidence.sol";
import {GameOutcomes} from "../../contracts/disputes/GameOutcomes.sol";
import {IStepVerifier} from "../../contracts/interfaces/IStepVerifier.sol";
import {SymbolicDeployment} from "./SymbolicDeployment.sol";

/// @dev Where the prover stands with its numbering of contracts.
contract Mark {}

/// @dev Verdicts as told, with the money of the real dispute contract.
contract Verdicts is GameOutcomes {
    constructor(
        Parts memory parts,
        uint256 minimumBond_,
        uint256 answersGas_,
        uint256 bounty_
    )
        GameEvidence(parts)
        GameOutcomes(minimumBond_, answersGas_, bounty_)
    {}

    function start(bytes32 receipt, bytes32 session, address node) external payable {
        _disputed[receipt].session = session;
        _disputed[receipt].node = node;
        _start(receipt, block.timestamp, true, false);
    }

    /// @dev As if picks had added `claim`, and another covered game claimed `others`.
    function claim(address node, uint128 claim_, uint128 others) external {
        _games[0].covered = true;
        _games[0].refund = claim_;
        _covers[node] = Cover({games: 2, claims: claim_ + others});
    }

    function uncover(address node) external {
        _games[0].covered = false;
        _games[0].refund = 0;
        delete _covers[node];
    }

    function owe(bytes32 receipt, uint256 due) external {
        _due[receipt] = due;
    }

    function dueFor(bytes32 receipt) external view returns (uint256) {
        return _due[receipt];
    }

    function acquit() external {
        _acquit(1, _current(1));
    }

    function convict(uint64 used) external {
        _convict(1, _current(1), used, _games[0].challenger);
    }

    function setAsideOf(address node) external view returns (uint256) {
        return _convictions[node].setAside;
    }

    function convictAtOnce(address node) external {
        _convictAtOnce(node, "one", "two");
    }

    function void() external {
        _void(1, _current(1));
    }
}

/// @notice Where bonds and slashed stakes go, for every bond, base fee, stake, claim and debt.
contract GameOutcomesProofs is SymbolicDeployment {
    uint256 private constant MINIMUM_BOND = 0.05 ether;
    uint256 private constant ANSWERS_GAS = 9_000_000;
    uint256 private constant BOUNTY = 0.005 ether;
    bytes32 private constant RECEIPT = keccak256("receipt");

    Verdicts private game;
    bytes32 private session;

    /// @dev Registry and market name their judge before it exists. The prover numbers new contracts in a row: first a
    /// mark, then models, registry, market and judge.
    function setUp() public {
        address judge = address(uint160(address(new Mark())) + 4);
        _deploy(judge);
        // No proof gets as far as a step: any code may stand for the verifier.
        game = new Verdicts(
            GameEvidence.Parts(market, nodes, models, IStepVerifier(address(models))), MINIMUM_BOND, ANSWERS_GAS, BOUNTY
        );
        assertEq(address(game), judge);
    }

    function check_bondCoversTheScheduledAnswers(uint128 bond, uint64 baseFee) public {
        _played(1 ether, bond, baseFee);
        assertGe(bond, MINIMUM_BOND);
        assertGe(bond, 2 * ANSWERS_GAS * uint256(baseFee));
    }

    function check_acquittalPaysWhatIsDue(uint128 bond, uint128 due) public {
        _played(1 ether, bond, 0);
        game.owe(RECEIPT, due);
        game.acquit();

        uint256 toNode = game.balanceOf(NODE);
        assertEq(toNode, due < bond ? due : bond);
        assertEq(game.dueFor(RECEIPT), due - toNode);
        assertEq(toNode + game.balanceOf(VAULT), bond);
        assertEq(address(game).balance, bond);
    }

    function check_convictionSplitsTheStake(uint128 stake, uint128 claim, uint128 others, uint64 used) public {
        vm.assume(stake != 0 && uint256(claim) + others <= stake / 2);
        _played(stake, uint128(MINIMUM_BOND), 0);
        game.claim(NODE, claim, others);
        vm.fee(1 gwei);
        game.convict(used);

        uint256 toFinder = game.balanceOf(CAROL) - MINIMUM_BOND;
        uint256 aside = game.setAsideOf(NODE); // for late moves, then the vault
        uint256 toVault = aside + nodes.balanceOf(VAULT);
        assertEq(toVault + toFinder + others, stake);
        assertGe(toVault, stake / 2);
        assertGe(toFinder, claim);
        assertLe(toFinder, uint256(claim) + uint256(used) * 1.25 gwei + BOUNTY);
        // To the wei: nothing is owed that is not there, and nothing is there that is not owed.
        assertEq(address(game).balance, MINIMUM_BOND + toFinder + others + aside);
    }

    function check_contradictionPaysOpenGamesFirst(uint128 stake, uint128 others) public {
        vm.assume(stake != 0 && others <= stake / 2);
        _played(stake, uint128(MINIMUM_BOND), 0);
        game.claim(NODE, others, 0);
        vm.prank(USER);
        game.convictAtOnce(NODE);
        assertLe(game.balanceOf(USER), BOUNTY);
        uint256 aside = game.setAsideOf(NODE);
        assertEq(address(game).balance, MINIMUM_BOND + others + game.balanceOf(USER) + aside);
        game.void();
        assertEq(game.balanceOf(CAROL), MINIMUM_BOND + others);
        assertEq(address(game).balance, game.balanceOf(CAROL) + game.balanceOf(USER) + aside);
    }

    function check_voidWithoutCoverTakesHalfTheBond(uint128 bond) public {
        _played(1 ether, bond, 0);
        game.uncover(NODE);
        game.void();
        assertEq(game.balanceOf(CAROL), bond / 2);
        assertEq(game.balanceOf(CAROL) + game.balanceOf(VAULT), bond);
        assertEq(address(game).balance, bond);
    }

    // ---------------------------------------------------------------- inside

    function _played(uint128 stake, uint128 bond, uint64 baseFee) private {
        _register(stake);
        session = _open(1 ether);
        vm.fee(baseFee);
        vm.deal(CAROL, bond);
        vm.prank(CAROL);
        game.start{value: bond}(RECEIPT, session, NODE);
    }
}
