// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeRecords} from "../../contracts/interfaces/IDisputeRecords.sol";
import {SignedDocuments} from "../../contracts/libraries/SignedDocuments.sol";
import {Disputing} from "./Disputing.sol";

/// @notice Rows that nobody produced, and receipts that contradict each other.
contract DisputeGameLinkTest is Disputing {
    /// @dev Bob's receipt for segment 1, on alice's output.
    function _bobs() internal view returns (SignedDocuments.Receipt memory receipt) {
        receipt = _receipt();
        (receipt.node, receipt.segment) = (bob, 1);
        (receipt.inRoot, receipt.outRoot) = (receipt.outRoot, keccak256("bob's output"));
    }

    function _signed(SignedDocuments.Receipt memory receipt) internal view returns (bytes memory) {
        return _signature(_receiptSecret(receipt.node), SignedDocuments.hash(receipt));
    }

    function test_showReceipt_ofThePredecessor_acquitsAndPaysTheNode() public {
        uint256 id = _openLink(carol, _bobs());
        SignedDocuments.Receipt memory predecessor = _receipt();
        game.showReceipt(id, predecessor, _signed(predecessor));
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Acquitted));
        assertEq(game.balanceOf(bob), BOND / 2);
        assertEq(game.balanceOf(address(vault)), BOND - BOND / 2);
        assertEq(nodes.node(bob).openGames, 0);
    }

    function test_timeout_ofALinkThatNobodyShows_convicts() public {
        uint256 id = _openLink(carol, _bobs());
        _passDeadlineOf(id);
        game.timeout(id);
        assertTrue(nodes.isConvicted(bob));
        assertEq(game.balanceOf(carol), BOND + 1 ether);
    }

    function test_showReceipt_thatIsNotThePredecessor_reverts(uint8 which) public {
        uint256 id = _openLink(carol, _bobs());
        SignedDocuments.Receipt memory shown = _receipt();
        which = uint8(bound(which, 0, 4));
        if (which == 0) shown.outRoot = keccak256("other rows");
        if (which == 1) shown.to = POSITIONS + 1;
        if (which == 2) shown.segment = 1;
        if (which == 3) shown.orderDigest = keccak256("another order");
        if (which == 4) {
            shown.node = makeAddr("a friend, registered but not allotted");
            _register(shown.node, 1 ether);
        }
        bytes memory signature = _signed(shown);
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NotPredecessor.selector);
        game.showReceipt(id, shown, signature);
    }

    function test_showReceipt_signedByAnother_reverts() public {
        uint256 id = _openLink(carol, _bobs());
        SignedDocuments.Receipt memory shown = _receipt();
        bytes memory signature = _signature(_receiptSecret(bob), SignedDocuments.hash(shown));
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.showReceipt(id, shown, signature);
    }

    /// @dev An honest node is not to blame for the lie of the one before.
    function test_showReceipt_ofAConvictedPredecessor_acquits() public {
        uint256 lie = _atConvict(dave);
        uint256 id = _openLink(carol, _bobs());
        verifier.setVerdict(true);
        game.convict(lie, "witness");
        SignedDocuments.Receipt memory predecessor = _receipt();
        game.showReceipt(id, predecessor, _signed(predecessor));
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Acquitted));
    }

    function test_acquit_otherLinkGamesOfTheSameReceipt() public {
        uint256 one = _openLink(carol, _bobs());
        uint256 two = _openLink(dave, _bobs());
        SignedDocuments.Receipt memory predecessor = _receipt();
        game.showReceipt(one, predecessor, _signed(predecessor));
        game.acquit(two);
        assertEq(uint8(_state(two)), uint8(IDisputeRecords.State.Acquitted));
        _commit(carol, _bobs());
        skip(1);
        IDisputeRecords.Opening memory opening = _opening(_bobs());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_LinkStands.selector);
        vm.prank(carol);
        game.openLink{value: BOND}(opening);
    }

    function test_timeout_ofALinkShownInTimeElsewhere_acquits() public {
        uint256 one = _openLink(carol, _bobs());
        uint256 two = _openLink(dave, _bobs());
        SignedDocuments.Receipt memory predecessor = _receipt();
        game.showReceipt(one, predecessor, _signed(predecessor));
        _passDeadlineOf(two);
        game.timeout(two);
        assertEq(uint8(_state(two)), uint8(IDisputeRecords.State.Acquitted));
    }

    function test_showReceipt_againAndLater_doesNotMakeTheFirstShowingLate() public {
        uint256 one = _openLink(carol, _bobs());
        uint256 early = _openLink(dave, _bobs());
        skip(10);
        uint256 late = _openLink(carol, _bobs());
        SignedDocuments.Receipt memory predecessor = _receipt();
        game.showReceipt(one, predecessor, _signed(predecessor));
        _passDeadlineOf(early);
        game.showReceipt(late, predecessor, _signed(predecessor));
        game.timeout(early);
        assertEq(uint8(_state(early)), uint8(IDisputeRecords.State.Acquitted));
    }

    function test_openLink_onThePrompt_reverts() public {
        _commit(carol, _receipt());
        skip(1);
        IDisputeRecords.Opening memory opening = _opening(_receipt());
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_LinkStands.selector);
        vm.prank(carol);
        game.openLink{value: BOND}(opening);
    }

    function test_showFeed_bySessionKey_acquitsSegmentZero() public {
        SignedDocuments.Receipt memory receipt = _receipt();
        (receipt.to, receipt.inRoot) = (POSITIONS + 2, keccak256("tokens"));
        uint256 id = _openLink(carol, receipt);
        SignedDocuments.TokenFeed memory feed =
            SignedDocuments.TokenFeed(receipt.orderDigest, receipt.to, receipt.inRoot);
        bytes memory forged = _signature(_receiptSecret(alice), SignedDocuments.hash(feed));
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.showFeed(id, feed, forged);
        game.showFeed(id, feed, _signature(SESSION_KEY, SignedDocuments.hash(feed)));
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Acquitted));
    }

    /// @dev The last segment vouches for one token more than it was fed: that closes the loop to the first.
    function test_showReceipt_ofTheLastSegment_acquitsSegmentZero() public {
        SignedDocuments.Receipt memory receipt = _receipt();
        (receipt.to, receipt.inRoot) = (POSITIONS + 1, keccak256("prompt and one token"));
        uint256 id = _openLink(carol, receipt);
        SignedDocuments.Receipt memory last = _bobs();
        (last.to, last.outRoot) = (POSITIONS, receipt.inRoot);
        game.showReceipt(id, last, _signed(last));
        assertEq(uint8(_state(id)), uint8(IDisputeRecords.State.Acquitted));
    }

    // ---------------------------------------------------------------- equivocation

    function test_equivocate_convictsAndPaysWhoCommitted() public {
        SignedDocuments.Receipt memory other = _receipt();
        other.outRoot = keccak256("another output");
        _commit(carol, _receipt());
        skip(1);
        (bytes memory one, bytes memory two) = (_signed(_receipt()), _signed(other));
        SignedDocuments.Receipt memory first = _receipt();
        vm.prank(carol);
        game.equivocate(first, one, other, two, SECRET);
        assertTrue(nodes.isConvicted(alice));
        assertEq(nodes.balanceOf(carol), 0.5 ether);
        assertEq(nodes.balanceOf(address(vault)), 0.5 ether);
    }

    /// @dev Attack: an honest node replays other rows after a lying predecessor was replaced.
    function test_equivocate_withAnotherInput_reverts() public {
        SignedDocuments.Receipt memory other = _receipt();
        (other.inRoot, other.outRoot) = (keccak256("replayed rows"), keccak256("another output"));
        (bytes memory one, bytes memory two) = (_signed(_receipt()), _signed(other));
        SignedDocuments.Receipt memory first = _receipt();
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_NoContradiction.selector);
        game.equivocate(first, one, other, two, SECRET);
    }

    function test_equivocate_forgedReceipt_reverts() public {
        SignedDocuments.Receipt memory other = _receipt();
        other.outRoot = keccak256("another output");
        bytes memory one = _signed(_receipt());
        bytes memory two = _signature(_receiptSecret(bob), SignedDocuments.hash(other));
        SignedDocuments.Receipt memory first = _receipt();
        vm.expectPartialRevert(IDisputeRecords.DisputeGame_BadSignature.selector);
        game.equivocate(first, one, other, two, SECRET);
    }

    /// @dev Attack: a copier, or the node itself, sends the proof first. Nothing is earned by that.
    function test_equivocate_withoutCommitment_paysTheVaultOnly() public {
        SignedDocuments.Receipt memory other = _receipt();
        other.outRoot = keccak256("another output");
        (bytes memory one, bytes memory two) = (_signed(_receipt()), _signed(other));
        SignedDocuments.Receipt memory first = _receipt();
        vm.prank(dave);
        game.equivocate(first, one, other, two, SECRET);
        assertEq(nodes.balanceOf(dave), 0);
        assertEq(nodes.balanceOf(address(vault)), 1 ether);
    }
}
