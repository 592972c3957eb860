// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {GameClocks} from "../../contracts/disputes/GameClocks.sol";
import {IDisputeRecords} from "../../contracts/interfaces/IDisputeRecords.sol";

/// @dev Opens the clocks of one game to the prover.
contract OneGame is GameClocks {
    constructor(uint256 clock, uint256 minimumMove) GameClocks(clock, minimumMove) {
        _games.push();
    }

    function put(StoredGame memory game) external {
        _games[0] = game;
    }

    function answered(Answer memory answer) external {
        _answers[_question(_games[0], _games[0].state)] = answer;
    }

    function pass(State next) external {
        _requireInTime(1, _games[0]);
        _pass(1, _games[0], next);
    }

    function stored() external view returns (StoredGame memory) {
        return _games[0];
    }

    function current() external view returns (StoredGame memory) {
        return _current(1);
    }

    function deadline() external view returns (uint256) {
        return _deadline(_games[0]);
    }

    function isNodesTurn(State state) external pure returns (bool) {
        return _isNodesTurn(state);
    }

    function _requireNotConvicted(address) internal view override {}
}

/// @notice Clocks for all C and M with M <= C: what a move may take, who pays for it, and how long a game can be.
/// @dev The length follows by induction from `check_*MoveStaysWithin*`: a side's first turn ends with at most C used,
/// each further one adds at most M beyond that. States only rise (`check_answersLeadForward`), five of them are the
/// node's and five the challenger's, so a side uses at most C + 4M, and a game lasts at most 2C + 8M.
contract GameClocksProofs is Test {
    struct Clock {
        uint40 clock;
        uint40 minimumMove;
        uint40 start;
        uint40 nodeUsed;
        uint40 challengerUsed;
    }

    uint256 private constant ROOM = 2 ** 38; // seconds; so that no sum of four times leaves 40 bits

    function check_deadlineLeavesMinimumMove(Clock memory t, uint8 state) public {
        OneGame game = _game(t, _state(state));
        uint256 last = game.deadline();
        assertGe(last, uint256(t.start) + t.minimumMove);
        assertLe(last, uint256(t.start) + t.clock);
        uint256 used = game.isNodesTurn(_state(state)) ? t.nodeUsed : t.challengerUsed;
        if (used + t.minimumMove < t.clock) assertEq(last, uint256(t.start) + t.clock - used);
    }

    function check_challengersMoveStaysWithinItsClock(Clock memory t, uint40 now_, uint40 slack) public {
        OneGame game = _game(t, IDisputeRecords.State.PickTensor);
        vm.assume(slack < ROOM && now_ >= t.start);
        vm.warp(now_);
        game.pass(IDisputeRecords.State.Rows);

        GameClocks.StoredGame memory after_ = game.stored();
        _assertSpent(t.challengerUsed, after_.challengerUsed, uint256(now_) - t.start, t, slack);
        assertEq(after_.nodeUsed, t.nodeUsed);
        assertEq(after_.turnStartedAt, now_);
    }

    function check_nodesMoveStaysWithinItsClock(Clock memory t, uint40 at, uint40 slack, uint32 count) public {
        OneGame game = _game(t, IDisputeRecords.State.Rows);
        vm.assume(slack < ROOM && at >= t.start && at <= game.deadline() && at != 0);
        _answer(game, at, count);

        GameClocks.StoredGame memory after_ = game.current();
        assertTrue(after_.state != IDisputeRecords.State.Rows);
        _assertSpent(t.nodeUsed, after_.nodeUsed, uint256(at) - t.start, t, slack);
        assertEq(after_.challengerUsed, t.challengerUsed);
        assertEq(after_.turnStartedAt, at);
    }

    function check_answerBeforeTheTurnCostsNothing(Clock memory t, uint40 at, uint32 count) public {
        OneGame game = _game(t, IDisputeRecords.State.Rows);
        vm.assume(at != 0 && at <= t.start);
        _answer(game, at, count);
        GameClocks.StoredGame memory after_ = game.current();
        assertEq(after_.nodeUsed, t.nodeUsed);
        assertEq(after_.turnStartedAt, t.start);
    }

    function check_lateAnswerSavesNobody(Clock memory t, uint40 at, uint32 count) public {
        OneGame game = _game(t, IDisputeRecords.State.Rows);
        vm.assume(at > game.deadline());
        _answer(game, at, count);
        GameClocks.StoredGame memory after_ = game.current();
        assertTrue(after_.state == IDisputeRecords.State.Rows);
        assertEq(after_.nodeUsed, t.nodeUsed);
        assertEq(after_.turnStartedAt, t.start);
    }

    function check_noMoveAfterTheDeadline(Clock memory t, uint40 now_) public {
        OneGame game = _game(t, IDisputeRecords.State.PickLeaf);
        vm.assume(now_ > game.deadline());
        vm.warp(now_);
        (bool moved,) = address(game).call(abi.encodeCall(game.pass, (IDisputeRecords.State.Bytes)));
        assertFalse(moved);
    }

    function check_answersLeadForward(Clock memory t, uint8 state, uint40 at, uint32 count) public {
        IDisputeRecords.State before = _state(state);
        OneGame game = _game(t, before);
        vm.assume(game.isNodesTurn(before) && at != 0 && at <= t.start);
        _answer(game, at, count);
        IDisputeRecords.State next = game.current().state;
        assertTrue(next > before && next < IDisputeRecords.State.Convicted);
        assertFalse(game.isNodesTurn(next));
    }

    function check_fiveTurnsOfTheNode() public {
        OneGame game = new OneGame(1, 1);
        uint256 turns;
        for (uint8 i = uint8(IDisputeRecords.State.Trace); i <= uint8(IDisputeRecords.State.ConvictScores); ++i) {
            if (game.isNodesTurn(IDisputeRecords.State(i))) ++turns;
        }
        assertEq(turns, 5);
        assertEq(uint8(IDisputeRecords.State.ConvictScores) - uint8(IDisputeRecords.State.Trace) + 1 - turns, 5);
    }

    // ---------------------------------------------------------------- inside

    /// @dev What a move took was taken from the mover's clock, whose rest never grows; `slack` is the induction's
    /// hypothesis: what earlier minimum moves went beyond C.
    function _assertSpent(uint256 used, uint256 now_, uint256 taken, Clock memory t, uint256 slack) private pure {
        assertEq(now_, used + taken);
        if (used == 0) assertLe(now_, t.clock);
        if (used <= t.clock + slack) assertLe(now_, uint256(t.clock) + slack + t.minimumMove);
    }

    function _game(Clock memory t, IDisputeRecords.State state) private returns (OneGame game) {
        vm.assume(t.clock < ROOM && t.minimumMove != 0 && t.minimumMove <= t.clock);
        vm.assume(t.start < ROOM && t.nodeUsed < ROOM && t.challengerUsed < ROOM);
        game = new OneGame(t.clock, t.minimumMove);
        GameClocks.StoredGame memory start;
        start.state = state;
        start.turnStartedAt = t.start;
        start.nodeUsed = t.nodeUsed;
        start.challengerUsed = t.challengerUsed;
        game.put(start);
    }

    function _answer(OneGame game, uint40 at, uint32 count) private {
        IDisputeRecords.Answer memory answer;
        answer.at = at;
        answer.count = count;
        game.answered(answer);
    }

    function _state(uint8 state) private pure returns (IDisputeRecords.State) {
        vm.assume(state >= uint8(IDisputeRecords.State.Trace) && state <= uint8(IDisputeRecords.State.ConvictScores));
        return IDisputeRecords.State(state);
    }
}
