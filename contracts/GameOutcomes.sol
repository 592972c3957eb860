// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {GameEvidence} from "./GameEvidence.sol";
import {PullPayments} from "./libraries/PullPayments.sol";

/// @title GameOutcomes
/// @notice The money of games: a bond comes in when one starts, and leaves with its verdict.
/// @dev Holds the bonds of open games and the balances, to the wei. Each verdict writes the end of the game down before
/// it calls anybody; it calls registry and market only.
abstract contract GameOutcomes is GameEvidence, PullPayments {
    using SafeCast for uint256;

    /// @dev Where acquittals and slashed stakes go.
    address internal immutable VAULT;

    /// @notice Smallest bond, wei.
    uint256 public immutable minimumBond;

    /// @notice Gas that the node's answers of one game may take.
    uint256 public immutable answersGas;

    constructor(uint256 minimumBond_, uint256 answersGas_) {
        // INVARIANT: no game is free: the node's answers are not.
        if (minimumBond_ == 0 || answersGas_ == 0) revert DisputeGame_BadParameters();
        VAULT = MARKET.vault();
        minimumBond = minimumBond_;
        answersGas = answersGas_;
    }

    /// @dev Slashed stakes come from the registry.
    receive() external payable {
        // INVARIANT: no money comes in that nobody is owed.
        if (msg.sender != address(NODES)) revert DisputeGame_UnexpectedMoney(msg.sender);
    }

    /// @dev Twice what the node's answers may cost at the base fee, and something where gas is free.
    function _bondNow() internal view returns (uint256) {
        uint256 scheduled = 2 * answersGas * block.basefee;
        return scheduled < minimumBond ? minimumBond : scheduled;
    }

    // ---------------------------------------------------------------- inside

    function _start(bytes32 receipt, State state, uint256 committed) internal returns (uint256 id) {
        uint256 needed = _bondNow();
        // INVARIANT: twice what the node's answers may cost: spam costs the spammer more than the node. Nothing else
        // bounds the number of games, so nobody can take another's place.
        if (msg.value < needed) revert DisputeGame_BondTooLow(msg.value, needed);
        (bytes32 session, address node) = (_disputed[receipt].session, _disputed[receipt].node);

        StoredGame memory game;
        game.challenger = msg.sender;
        game.committedAt = committed.toUint40();
        game.turnStartedAt = block.timestamp.toUint40();
        game.state = state;
        game.receipt = receipt;
        game.bond = msg.value.toUint128();
        // INVARIANT: compensation is what was owed before the opening: a liar cannot pay itself back with vouchers of
        // its own once it is caught.
        game.owed = MARKET.lineOf(session, node).cumulative;
        _games.push(game);
        id = _games.length;
        _rank(id, game);
        emit GameOpened(id, receipt, node, msg.sender, state, msg.value);

        // INVARIANT: line and stake are held; both revert when the line is over or the node convicted.
        MARKET.openGame(session, node);
        NODES.openGame(node);
    }

    /// @dev The receipt's predecessor was shown in this game, for all link games about it.
    function _link(uint256 id, StoredGame memory game, Disputed storage about) internal {
        // INVARIANT: the first showing counts. A challenger that repeats it later, in a game with a later deadline, must
        // not make it late for the games that the first one had answered.
        if (about.linkedAt == 0) {
            about.linkedAt = uint64(block.timestamp);
            emit Linked(game.receipt);
        }
        _acquit(id, game);
    }

    function _acquit(uint256 id, StoredGame memory game) internal {
        address node = _disputed[game.receipt].node;
        // Half the bond, or more if gas became dearer since, pays the answers; no more than the bond.
        uint256 bond = game.bond;
        uint256 answers = answersGas * block.basefee;
        uint256 toNode = answers < bond / 2 ? bond / 2 : (answers < bond ? answers : bond);

        _end(id, State.Acquitted);
        _credit(node, toNode);
        _credit(VAULT, bond - toNode);
        emit NodeAcquitted(id, node, toNode, bond - toNode);
        _release(game.receipt, node);
    }

    // slither-disable-next-line reentrancy-no-eth
    function _convict(uint256 id, StoredGame memory game) internal {
        Disputed storage about = _disputed[game.receipt];
        address node = about.node;
        address committer = _committer(id, game);

        _end(id, State.Convicted);
        _credit(game.challenger, game.bond);
        uint256 reward = _slash(node, address(this));
        // INVARIANT: users first, with what they had vouched for before the opening; the finder gets what is left.
        uint256 compensation = reward < game.owed ? reward : game.owed;
        _credit(MARKET.sessionOf(about.session).user, compensation);
        _credit(committer, reward - compensation);
        emit NodeConvicted(id, node, committer, compensation, reward - compensation);
        _release(game.receipt, node);
    }

    function _void(uint256 id, StoredGame memory game) internal {
        _end(id, State.Void);
        _credit(game.challenger, game.bond);
        emit GameVoid(id);
        _release(game.receipt, _disputed[game.receipt].node);
    }

    /// @dev Takes the stake: at least half of it goes to the vault in the registry, so that a node that convicts itself
    /// loses that; the rest to `beneficiary`, or here if that is this contract.
    function _slash(address node, address beneficiary) internal returns (uint256 reward) {
        (, reward) = NODES.slash(node, beneficiary);
        if (beneficiary == address(this) && reward != 0) NODES.withdraw();
    }

    function _end(uint256 id, State state) private {
        _games[id - 1].state = state;
    }

    /// @dev Lets line and stake go, once per game.
    function _release(bytes32 receipt, address node) private {
        MARKET.closeGame(_disputed[receipt].session, node);
        NODES.closeGame(node);
    }

    /// @dev Who is rewarded: the earliest committer whose open game asks the same question.
    function _committer(uint256 id, StoredGame memory game) private view returns (address) {
        uint256 first = _earliest[_question(game, game.state)];
        // INVARIANT: a game that was lost earns nothing.
        if (first == 0 || _isFinal(_games[first - 1].state)) first = id;
        return _games[first - 1].challenger;
    }
}
