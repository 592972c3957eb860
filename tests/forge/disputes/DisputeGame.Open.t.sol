// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DisputeGame} from "../../../contracts/disputes/DisputeGame.sol";
import {GameEvidence} from "../../../contracts/disputes/GameEvidence.sol";
import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice What a game is opened with, and what is refused.
contract DisputeGameOpenTest is Disputing {
    function _expectRefused(bytes4 selector, IDisputeRecords.Opening memory opening) internal {
        _commit(carol, opening.receipt);
        skip(1);
        vm.expectPartialRevert(selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_holdsLineStakeAndBond() public {
        _post(session, alice, 0.3 ether);
        uint256 id = _openStep(carol);
        IDisputeRecords.Game memory opened = game.gameOf(id);
        assertEq(uint8(opened.state), uint8(IDisputeRecords.State.Trace));
        assertEq(opened.challenger, carol);
        assertEq(opened.node, alice);
        assertEq(opened.session, session);
        assertEq(opened.bond, BOND);
        assertTrue(opened.covered);
        assertEq(opened.deadline, block.timestamp + C);
        assertTrue(opened.nodesTurn);
        assertEq(game.gameCount(), 1);
        assertEq(nodes.node(alice).openGames, 1);
        assertEq(market.lineOf(session, alice).openGames, 1);
        assertEq(address(game).balance, BOND);
        IDisputeRecords.Disputed memory about = game.disputed(opened.receipt);
        assertEq(about.subject.layerStart, 0);
        assertEq(about.subject.layerEnd, 11);
        assertEq(about.subject.layers, LAYERS);
        assertEq(about.subject.programRoot, keccak256("program"));
        assertEq(about.subject.promptLength, POSITIONS);
    }

    function test_openStep_notCommitted_reverts() public {
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_committedThisSecond_reverts() public {
        _commit(carol, _receipt());
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_commitmentOverAnHourOld_reverts() public {
        _commit(carol, _receipt());
        skip(1 hours + 1);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_commitmentUsedTwice_reverts() public {
        _openStep(carol);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotCommitted.selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_bondBelowTwiceTheAnswersGas_reverts(uint64 baseFee) public {
        vm.fee(baseFee);
        uint256 needed = 2 * ANSWERS_GAS * uint256(baseFee);
        if (needed < BOND) needed = BOND;
        assertEq(game.bondNow(), needed);
        _commit(carol, _receipt());
        skip(1);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.deal(carol, needed);
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_BondTooLow.selector, needed - 1, needed));
        vm.prank(carol);
        game.openStep{value: needed - 1}(opening);
    }

    function test_openStep_afterTheLinesEnd_reverts() public {
        _close(session);
        _commit(carol, _receipt());
        _passWindowOf(session, alice);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IInferenceMarket.InferenceMarket_TooLate.selector);
        vm.prank(carol);
        game.openStep{value: BOND}(opening);
    }

    function test_openStep_nodeWithoutLine_reverts() public {
        address erin = makeAddr("erin, a node");
        _register(erin, 1 ether);
        SignedDocuments.Receipt memory receipt = _receipt();
        receipt.node = erin;
        _expectRefused(IInferenceMarket.InferenceMarket_LineUnknown.selector, _opening(receipt));
    }

    function test_openStep_signaturesOfOthers_reverts() public {
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        opening.receiptSignature = _signature(_receiptSecret(bob), SignedDocuments.hash(opening.receipt));
        _expectRefused(IDisputeRecords.DisputeGame_BadSignature.selector, opening);
        opening = _opening(_receipt());
        opening.orderSignature = opening.receiptSignature;
        _expectRefused(IDisputeRecords.DisputeGame_BadSignature.selector, opening);
    }

    function test_openStep_documentsThatDoNotFit_reverts() public {
        SignedDocuments.Receipt memory receipt = _receipt();
        receipt.segment = 2;
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(receipt));
        receipt = _receipt();
        receipt.orderDigest = keccak256("another order");
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(receipt));
        receipt = _receipt();
        receipt.to = 0;
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(receipt));
        receipt.to = 16_385;
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(receipt));
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        opening.promptLength = POSITIONS + 1;
        _expectRefused(IDisputeRecords.DisputeGame_BadPrompt.selector, opening);
    }

    function test_openStep_asksThatDoNotCoverTheModel_reverts() public {
        SignedDocuments.Order memory order = _order();
        order.asks[1].layerEnd = 21;
        _keep(order);
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(_receipt()));
        order.asks[1] = SignedDocuments.Ask({layerStart: 12, layerEnd: 22, weiPerToken: 1});
        _keep(order);
        _expectRefused(IDisputeRecords.DisputeGame_BadDocuments.selector, _opening(_receipt()));
    }

    /// @dev Only an address that registry and market obey can be a judge.
    function test_constructor_atAnotherAddress_reverts() public {
        GameEvidence.Parts memory parts = GameEvidence.Parts(market, nodes, models, verifier);
        vm.expectRevert(IDisputeRecords.DisputeGame_BadParameters.selector);
        new DisputeGame(parts, BOND, ANSWERS_GAS, BOUNTY);
    }

    function test_receive_fromAnyone_reverts() public {
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_UnexpectedMoney.selector);
        vm.prank(carol);
        payable(address(game)).transfer(1);
    }

    function test_gameOf_unknown_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IDisputeRecords.DisputeGame_Unknown.selector, 1));
        game.gameOf(1);
    }
}
