// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDisputeRecords} from "../interfaces/IDisputeRecords.sol";
import {IStepVerifier} from "../interfaces/IStepVerifier.sol";

/// @title GameClocks
/// @notice Whose turn it is in a game, until when, and which questions were answered for all games about a receipt.
/// @dev Answers are shared without a loop over games: each has a time, and a game that waits for it moves on when it is
/// next looked at, as of that time.
abstract contract GameClocks is IDisputeRecords {
    using SafeCast for uint256;

    /// @dev Three words and the receipt. `state` is as of the game's last own move: `_current` adds the answers.
    struct StoredGame {
        address challenger;
        uint40 committedAt;
        uint40 turnStartedAt;
        State state;
        bool covered;
        bytes32 receipt;
        uint128 bond;
        uint128 refund; // what its moves so far claim of the stake
        uint40 nodeUsed; // seconds of the node's clock
        uint40 challengerUsed;
        uint32 tensor;
        uint32 subtree;
        uint32 leaf;
        uint32 element;
    }

    /// @dev Most hashes in one answer.
    uint256 internal constant MOST_HASHES = 2048;

    /// @dev C and M, seconds.
    uint256 internal immutable CLOCK;
    uint256 internal immutable MINIMUM_MOVE;

    StoredGame[] internal _games;
    mapping(bytes32 receipt => Disputed) internal _disputed;
    mapping(bytes32 question => Answer) internal _answers;

    /// @dev The game with the earliest commitment that asks a question; counted from 1.
    mapping(bytes32 question => uint256 game) internal _earliest;

    constructor(uint256 clock, uint256 minimumMove) {
        CLOCK = clock;
        MINIMUM_MOVE = minimumMove;
    }

    // ---------------------------------------------------------------- inside

    /// @dev The game as it stands now: a question that was answered in time is behind it.
    function _current(uint256 id) internal view returns (StoredGame memory game) {
        if (id == 0 || id > _games.length) revert DisputeGame_Unknown(id);
        game = _games[id - 1];
        if (!_isNodesTurn(game.state)) return game;

        Answer storage answer = _answers[_question(game, game.state)];
        uint256 at = answer.at;
        // INVARIANT: an answer that came after this game's deadline, in another game, does not save the node here.
        if (at == 0 || at > _deadline(game)) return game;
        if (at > game.turnStartedAt) {
            game.nodeUsed += (at - game.turnStartedAt).toUint40();
            game.turnStartedAt = at.toUint40();
        }
        game.state = _afterAnswer(game.state, answer.count);
    }

    /// @dev A move of the node's: its turn, in time, and it is not convicted yet.
    function _answering(uint256 id, State state)
        internal
        view
        returns (StoredGame memory game, Disputed storage about)
    {
        game = _current(id);
        if (game.state != state) revert DisputeGame_WrongState(id, game.state);
        _requireInTime(id, game);
        about = _disputed[game.receipt];
        _requireNotConvicted(about.node);
    }

    /// @dev A move of the challenger's, likewise.
    function _picking(uint256 id, State state, bytes32 traceRoot) internal view returns (StoredGame memory game) {
        Disputed storage about;
        (game, about) = _answering(id, state);
        // INVARIANT: nobody else spends the challenger's clock or leads its game astray.
        if (msg.sender != game.challenger) revert DisputeGame_NotChallenger(id, msg.sender);
        // INVARIANT: a pick answers the trace that its sender saw: where a re-organisation put another one in its place,
        // the pick would ask what nobody meant to ask.
        bytes32 found = about.subject.traceRoot;
        if (found != traceRoot) revert DisputeGame_OtherTrace(found, traceRoot);
    }

    /// @dev Ends the challenger's turn: its clock stops, the node's starts.
    function _pass(uint256 id, StoredGame memory game, State next) internal {
        game.challengerUsed += uint40(block.timestamp) - game.turnStartedAt;
        game.turnStartedAt = uint40(block.timestamp);
        game.state = next;
        _games[id - 1] = game;
        _rank(id, game);
    }

    /// @dev Notes a game that asks a question if its commitment is the earliest. A game that lost, or only waits for
    /// somebody to say so, gives way.
    function _rank(uint256 id, StoredGame memory game) internal {
        bytes32 question = _question(game, game.state);
        uint256 first = _earliest[question];
        if (first != 0 && _isAlive(first) && _games[first - 1].committedAt <= game.committedAt) return;
        _earliest[question] = id;
    }

    /// @dev Whether a game can still be won: it is open, and its challenger has not let its time pass.
    function _isAlive(uint256 id) internal view returns (bool) {
        StoredGame memory game = _current(id);
        return !_isFinal(game.state) && (_isNodesTurn(game.state) || block.timestamp <= _deadline(game));
    }

    /// @dev Answers the question that a game asks, for all games that ask it.
    function _save(StoredGame memory game, Answer memory answer) internal {
        answer.at = uint64(block.timestamp);
        _answers[_question(game, game.state)] = answer;
    }

    /// @dev When the mover's time is over: what is left of C, and M at least.
    function _deadline(StoredGame memory game) internal view returns (uint256) {
        uint256 used = _isNodesTurn(game.state) ? game.nodeUsed : game.challengerUsed;
        // INVARIANT: C in total and M per turn, both ways: a side that used C up keeps M, so a last-second move never
        // leaves the other without an answer, and no game is longer than 2C + 8M.
        uint256 left = used < CLOCK ? CLOCK - used : 0;
        return game.turnStartedAt + (left < MINIMUM_MOVE ? MINIMUM_MOVE : left);
    }

    function _requireInTime(uint256 id, StoredGame memory game) internal view {
        uint256 deadline = _deadline(game);
        // INVARIANT: no move after its deadline, even if nobody called `timeout` yet.
        if (block.timestamp > deadline) revert DisputeGame_TooLate(id, deadline);
    }

    function _requireOpen(uint256 id, State state) internal pure {
        // INVARIANT: a game ends once: no second verdict, no second bond.
        if (_isFinal(state)) revert DisputeGame_WrongState(id, state);
    }

    function _requireNotConvicted(address node) internal view virtual;

    function _isFinal(State state) internal pure returns (bool) {
        return state >= State.Convicted;
    }

    function _isNodesTurn(State state) internal pure returns (bool) {
        return state == State.Trace || state == State.Rows || state == State.Subtree || state == State.Bytes
            || state == State.Scores;
    }

    /// @dev Identifies what is asked about a receipt: equal for all games that ask the same. While the challenger has
    /// the move, it is the last question: those who look at the same answer belong together.
    function _question(StoredGame memory game, State state) internal pure returns (bytes32) {
        if (state == State.Rows || state == State.PickSubtree) {
            return keccak256(abi.encode(game.receipt, State.Rows, game.tensor));
        }
        if (state == State.Subtree) return keccak256(abi.encode(game.receipt, state, game.tensor, game.subtree));
        if (state == State.Bytes || state == State.Convict) {
            return keccak256(abi.encode(game.receipt, State.Bytes, game.tensor, game.leaf));
        }
        if (state == State.Scores || state == State.ConvictScores) {
            return keccak256(abi.encode(game.receipt, State.Scores, game.tensor, game.leaf, game.element));
        }
        return keccak256(abi.encode(game.receipt, state));
    }

    function _afterAnswer(State state, uint256 count) private pure returns (State) {
        if (state == State.Trace) return State.PickTensor;
        if (state == State.Rows) return count > MOST_HASHES ? State.PickSubtree : State.PickLeaf;
        if (state == State.Subtree) return State.PickLeaf;
        return state == State.Bytes ? State.Convict : State.ConvictScores;
    }

    function _claim(StoredGame memory game) internal view returns (IStepVerifier.Claim memory) {
        return IStepVerifier.Claim({
            tensorIndex: game.tensor,
            leafIndex: game.leaf,
            tensorRoot: _answers[_question(game, State.Rows)].tensorRoot,
            leafHash: _answers[_question(game, State.Bytes)].root
        });
    }

    function _subtrees(uint256 leaves) internal pure returns (uint256) {
        return (leaves + MOST_HASHES - 1) / MOST_HASHES;
    }
}
