// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Disputing} from "../disputes/Disputing.sol";

/// @notice P6 and P7 with games: the dispute contract holds bonds + balances + what covered games claim of stakes that are
/// taken, to the wei; claims fit into half of a stake; registry and market count the games that are open; no game
/// outlives 2C + 8M; and whatever was played, every bond, refund and stake gets out, once.
/// @dev The test plays itself: random challengers, nodes, moves in and out of time, by a judge that decides at random.
contract DisputeConservationTest is Disputing {
    address[] internal _operators;
    address[] internal _challengers;
    mapping(uint256 id => uint256) internal _openedAt;
    uint256 internal _time;

    /// @dev Every move happens at the test's own time: forge does not carry a warp from call to call.
    modifier move(uint256 wait) {
        _time += wait % 8 == 0 ? wait % (C + M) : wait % M;
        vm.warp(_time);
        vm.fee((wait >> 16) % 4 == 0 ? 0 : (wait >> 16) % 20 gwei);
        _;
        _time = block.timestamp;
    }

    function setUp() public override {
        super.setUp();
        _challengers = [carol, dave, makeAddr("a third challenger")];
        _operators = [alice, bob];
        vm.deal(_challengers[2], 1000 ether);
        for (uint256 i = 0; i < 4; ++i) {
            address operator = makeAddr(string.concat("operator ", vm.toString(i)));
            _register(operator, 1 ether + i);
            vm.prank(user);
            market.allot{value: 1 ether}(session, operator, 1 ether);
            _operators.push(operator);
        }
        _time = block.timestamp;
        targetContract(address(this));
        bytes4[] memory moves = new bytes4[](8);
        moves[0] = this.open.selector;
        moves[1] = this.voucher.selector;
        moves[2] = this.play.selector;
        moves[3] = this.advance.selector;
        moves[4] = this.judge.selector;
        moves[5] = this.end.selector;
        moves[6] = this.fetch.selector;
        moves[7] = this.equivocate.selector;
        targetSelector(FuzzSelector({addr: address(this), selectors: moves}));
    }

    // ---------------------------------------------------------------- moves

    function open(uint256 node, uint256 who, uint256 wait) external move(wait) {
        address operator = _operators[node % _operators.length];
        if (nodes.isConvicted(operator) || block.timestamp >= market.sessionOf(session).expiry + W) return;
        SignedDocuments.Receipt memory receipt = _receiptOf(operator);
        address challenger = _challengers[who % _challengers.length];
        uint256 id = _openStep(challenger, receipt);
        _openedAt[id] = block.timestamp;
    }

    function voucher(uint256 node, uint96 amount, uint256 wait) external move(wait) {
        address operator = _operators[node % _operators.length];
        if (block.timestamp > market.lineOf(session, operator).end) return;
        _post(session, operator, uint128(bound(amount, 0, 1 ether)));
    }

    /// @dev The next move of a game, whoever has it, if it is in time.
    function play(uint256 which, uint256 choice, uint256 wait) external move(wait) {
        _play(which, choice);
    }

    /// @dev Three moves of one game in a row: without this few games would get far.
    function advance(uint256 which, uint256 choice, uint256 wait) external move(wait) {
        for (uint256 i = 0; i < 3; ++i) {
            _play(which, choice);
        }
    }

    function judge(uint256 which, bool wrong, uint256 wait) external move(wait) {
        (uint256 id, IDisputeRecords.Game memory found) = _some(which);
        if (id == 0 || !_playable(found)) return;
        bool ripe = found.state == IDisputeRecords.State.Convict || found.state == IDisputeRecords.State.ConvictScores;
        verifier.setVerdict(wrong);
        if (!ripe || !wrong) {
            vm.expectRevert();
            game.convict(id, "witness");
        } else {
            game.convict(id, "witness");
            assertTrue(nodes.isConvicted(found.node));
        }
    }

    function end(uint256 which, uint256 wait) external move(wait) {
        (uint256 id,) = _some(which);
        if (id != 0) _tryEnd(id);
    }

    /// @dev Seldom: a node that is convicted plays no more.
    function equivocate(uint256 node, uint256 who, uint256 wait) external move(wait) {
        address operator = _operators[node % _operators.length];
        if (who % 8 != 0 || nodes.isConvicted(operator)) return;
        address finder = _challengers[(who >> 8) % _challengers.length];
        (SignedDocuments.Receipt memory one, SignedDocuments.Receipt memory two) =
            (_receiptOf(operator), _receiptOf(operator));
        two.outRoot = keccak256("another output");
        _commit(finder, one);
        skip(1);
        bytes memory first = _signature(_receiptSecret(operator), SignedDocuments.hash(one));
        bytes memory second = _signature(_receiptSecret(operator), SignedDocuments.hash(two));
        vm.prank(finder);
        game.equivocate(one, first, two, second, SECRET);
        assertTrue(nodes.isConvicted(operator));
    }

    function fetch(uint256 who) external {
        address payee = _challengers[who % _challengers.length];
        if (game.balanceOf(payee) == 0) return;
        vm.prank(payee);
        game.withdraw();
    }

    // ---------------------------------------------------------------- invariants

    /// forge-config: default.invariant.runs = 16
    function invariant_bondsBalancesAndHolds() public view {
        uint256 locked = _sumOfBonds();
        uint256 escrowed;
        uint256 owed = game.balanceOf(user) + game.balanceOf(address(vault));
        for (uint256 i = 0; i < _challengers.length; ++i) {
            owed += game.balanceOf(_challengers[i]);
        }
        uint256 stakes = nodes.balanceOf(address(vault));
        for (uint256 i = 0; i < _operators.length; ++i) {
            address operator = _operators[i];
            owed += game.balanceOf(operator);
            stakes += nodes.node(operator).stake + nodes.balanceOf(operator);
            uint256 running = _running(operator);
            assertEq(nodes.node(operator).openGames, running, "the registry holds what is open");
            assertEq(market.lineOf(session, operator).openGames, running, "the market holds what is open");
            (uint256 covered, uint256 claims) = _claims(operator);
            assertEq(game.claimsOn(operator), claims, "claims are those of open covered games");
            assertLe(covered, 8, "eight places");
            if (nodes.isConvicted(operator)) {
                assertEq(nodes.stakeOf(operator), 0, "taken once, and wholly");
                escrowed += claims + game.setAsideFor(operator);
            } else {
                assertLe(claims, nodes.stakeOf(operator) / 2, "every claim can be paid");
            }
        }
        assertEq(address(game).balance, locked + owed + escrowed, "bonds + balances + claims + what is set aside");
        assertEq(address(nodes).balance, stakes, "stakes + balances");
        for (uint256 id = 1; id <= game.gameCount(); ++id) {
            assertLe(game.gameOf(id).deadline, _openedAt[id] + nodes.longestGame(), "bounded, whatever anyone does");
        }
    }

    /// @dev Nobody is blocked and nothing is stuck: strangers end all games, and everybody leaves with everything.
    function afterInvariant() public {
        vm.warp(_time + G + 1);
        for (uint256 id = 1; id <= game.gameCount(); ++id) {
            vm.warp(block.timestamp + G + 1);
            vm.warp(block.timestamp + 1 hours);
            if (game.gameOf(id).deadline != 0) _tryEnd(id);
            assertEq(game.gameOf(id).deadline, 0, "over");
        }
        for (uint256 i = 0; i < _operators.length; ++i) {
            vm.warp(block.timestamp + 1 hours + 1);
            if (nodes.isConvicted(_operators[i])) game.sweep(_operators[i]);
        }
        for (uint256 i = 0; i < _challengers.length; ++i) {
            _leave(_challengers[i]);
        }
        for (uint256 i = 0; i < _operators.length; ++i) {
            _leave(_operators[i]);
        }
        _leave(user);
        if (game.balanceOf(address(vault)) != 0) vault.collect(game);
        assertEq(address(game).balance, 0, "nothing stays behind");
    }

    // ---------------------------------------------------------------- inside

    function _receiptOf(address operator) internal view returns (SignedDocuments.Receipt memory receipt) {
        receipt = _receipt();
        receipt.node = operator;
    }

    function _some(uint256 which) internal view returns (uint256 id, IDisputeRecords.Game memory found) {
        uint256 count = game.gameCount();
        if (count == 0) return (0, found);
        uint256 among = count < 6 ? count : 6; // the latest few
        id = count - which % among;
        found = game.gameOf(id);
    }

    function _playable(IDisputeRecords.Game memory found) internal view returns (bool) {
        return found.deadline != 0 && block.timestamp <= found.deadline && !nodes.isConvicted(found.node);
    }

    function _play(uint256 which, uint256 choice) internal {
        (uint256 id, IDisputeRecords.Game memory found) = _some(which);
        if (id == 0 || !_playable(found)) return;
        IDisputeRecords.State state = found.state;
        if (state == IDisputeRecords.State.Trace) _postTrace(id);
        else if (state == IDisputeRecords.State.PickTensor) _pickTensor(id, 1);
        else if (state == IDisputeRecords.State.Rows) _postRows(id, ATTENTION);
        else if (state == IDisputeRecords.State.PickLeaf) _pickLeaf(id, uint32(choice % 3));
        else if (state == IDisputeRecords.State.Bytes) _postBytes(id, found.leaf);
        else if (state == IDisputeRecords.State.Convict && choice % 2 == 0) _pickElement(id, 7);
    }

    function _tryEnd(uint256 id) internal {
        IDisputeRecords.Game memory found = game.gameOf(id);
        if (nodes.isConvicted(found.node)) {
            if (found.deadline != 0) _void(id);
        } else if (found.deadline != 0 && block.timestamp > found.deadline) {
            vm.prank(_challengers[0]);
            game.timeout(id);
            assertEq(nodes.isConvicted(found.node), found.nodesTurn, "whose turn it was has lost");
        } else {
            vm.expectRevert();
            game.timeout(id);
        }
    }

    function _leave(address payee) internal {
        if (game.balanceOf(payee) == 0) return;
        vm.prank(payee);
        game.withdraw();
    }

    function _sumOfBonds() internal view returns (uint256 sum) {
        for (uint256 id = 1; id <= game.gameCount(); ++id) {
            sum += game.gameOf(id).bond;
        }
    }

    function _claims(address operator) internal view returns (uint256 covered, uint256 claims) {
        for (uint256 id = 1; id <= game.gameCount(); ++id) {
            IDisputeRecords.Game memory found = game.gameOf(id);
            if (found.node != operator || found.deadline == 0) continue;
            if (found.covered) ++covered;
            claims += found.refund;
        }
    }

    function _running(address operator) internal view returns (uint256 count) {
        for (uint256 id = 1; id <= game.gameCount(); ++id) {
            IDisputeRecords.Game memory found = game.gameOf(id);
            if (found.node == operator && found.deadline != 0) ++count;
        }
    }
}
