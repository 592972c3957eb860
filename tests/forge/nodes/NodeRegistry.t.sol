// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../../contracts/nodes/NodeRegistry.sol";
import {Deployed} from "../Deployed.sol";
import {Participant} from "../doubles/Receivers.sol";

contract NodeRegistryTest is Deployed {
    bytes32 internal constant TLS = keccak256("tls");
    address internal carol = makeAddr("carol, a newcomer");

    function test_constructor_fixesEverything() public view {
        assertEq(nodes.vault(), address(vault));
        assertEq(nodes.dispute(), address(dispute));
        assertEq(nodes.minimumStake(), MINIMUM_STAKE);
        assertEq(nodes.longestGame(), G);
        assertEq(nodes.unbondingDelay(), T + W + G);
        INodeRegistry.Timing memory timing = nodes.timing();
        assertEq(timing.longestSession, T);
        assertEq(timing.challengeWindow, W);
        assertEq(timing.clock, C);
        assertEq(timing.minimumMove, M);
        assertEq(market.longestSession(), T);
        assertEq(market.challengeWindow(), W);
        assertEq(market.vault(), address(vault));
        assertEq(market.dispute(), address(dispute));
    }

    function test_constructor_zeroParameter_reverts(uint8 which) public {
        which = uint8(bound(which, 0, 5));
        INodeRegistry.Timing memory timing = _timing();
        if (which == 0) timing.longestSession = 0;
        if (which == 1) timing.challengeWindow = 0;
        if (which == 2) timing.clock = 0;
        if (which == 3) timing.minimumMove = 0;
        vm.expectRevert(INodeRegistry.NodeRegistry_BadParameters.selector);
        new NodeRegistry(
            models, which == 4 ? address(0) : address(vault), address(dispute), which == 5 ? 0 : MINIMUM_STAKE, timing
        );
    }

    function test_constructor_moveLongerThanTheClock_reverts() public {
        INodeRegistry.Timing memory timing = _timing();
        timing.minimumMove = timing.clock + 1;
        vm.expectRevert(INodeRegistry.NodeRegistry_BadParameters.selector);
        new NodeRegistry(models, address(vault), address(dispute), MINIMUM_STAKE, timing);
    }

    // ---------------------------------------------------------------- register, addStake, updateEndpoint

    function test_register_recordsTheNode(uint96 stake, address key, bytes32 tls) public {
        stake = uint96(bound(stake, MINIMUM_STAKE, 1000 ether));
        vm.assume(key != address(0) && tls != 0);
        vm.deal(carol, stake);
        vm.expectEmit();
        emit INodeRegistry.Registered(carol, key, tls, "carol:1", stake);
        vm.prank(carol);
        nodes.register{value: stake}("carol:1", tls, key);

        INodeRegistry.Node memory entry = nodes.node(carol);
        assertEq(entry.receiptKey, key);
        assertEq(entry.tlsKeyHash, tls);
        assertEq(entry.endpoint, "carol:1");
        assertEq(entry.stake, stake);
        assertEq(entry.unbondableAfter, 0);
        assertFalse(entry.convicted);
        assertEq(entry.openGames, 0);
        assertTrue(nodes.isActive(carol));
        assertEq(nodes.receiptKeyOf(carol), key);
        assertEq(nodes.nodeCount(), 3);
    }

    function test_register_stakeTooLow_reverts(uint256 stake) public {
        stake = bound(stake, 0, MINIMUM_STAKE - 1);
        vm.deal(carol, stake);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeTooLow.selector, stake, MINIMUM_STAKE));
        vm.prank(carol);
        nodes.register{value: stake}("carol:1", TLS, carol);
    }

    /// @dev The receipt key is fixed per node id: a second registration could repudiate receipts.
    function test_register_twice_reverts() public {
        vm.deal(alice, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, alice));
        vm.prank(alice);
        nodes.register{value: 1 ether}("alice:2", TLS, stranger);
    }

    function test_register_afterLeaving_reverts() public {
        _leave(alice);
        vm.deal(alice, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, alice));
        vm.prank(alice);
        nodes.register{value: 1 ether}("alice:2", TLS, stranger);
    }

    function test_register_afterConviction_reverts() public {
        dispute.convict(alice, stranger);
        vm.deal(alice, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, alice));
        vm.prank(alice);
        nodes.register{value: 1 ether}("alice:2", TLS, stranger);
    }

    function test_register_missingKey_reverts() public {
        vm.deal(carol, 2 ether);
        vm.startPrank(carol);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_MissingKey.selector, address(0), TLS));
        nodes.register{value: 1 ether}("carol:1", TLS, address(0));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_MissingKey.selector, carol, 0));
        nodes.register{value: 1 ether}("carol:1", 0, carol);
    }

    function test_register_endpointLength_reverts(uint16 length) public {
        vm.assume(length == 0 || length > 256);
        vm.deal(carol, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_EndpointLength.selector, length, 256));
        vm.prank(carol);
        nodes.register{value: 1 ether}(string(new bytes(length)), TLS, carol);
    }

    function test_addStake_adds(uint96 amount) public {
        amount = uint96(bound(amount, 1, 1000 ether));
        vm.deal(alice, amount);
        vm.expectEmit();
        emit INodeRegistry.StakeAdded(alice, amount, 1 ether + uint256(amount));
        vm.prank(alice);
        nodes.addStake{value: amount}();
        assertEq(nodes.node(alice).stake, 1 ether + uint256(amount));
    }

    function test_addStake_nothing_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_BadAmount.selector, 0));
        vm.prank(alice);
        nodes.addStake();
    }

    function test_updateEndpoint_changesBoth() public {
        vm.expectEmit();
        emit INodeRegistry.EndpointUpdated(alice, TLS, "alice:2");
        vm.prank(alice);
        nodes.updateEndpoint("alice:2", TLS);
        assertEq(nodes.node(alice).endpoint, "alice:2");
        assertEq(nodes.node(alice).tlsKeyHash, TLS);
        assertEq(nodes.receiptKeyOf(alice), _receiptKey(alice));
    }

    function test_updateEndpoint_withoutKeyHash_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_MissingKey.selector, _receiptKey(alice), 0));
        vm.prank(alice);
        nodes.updateEndpoint("alice:2", 0);
    }

    /// @dev What only an active node may do, a stranger, an unbonding node and a convicted one may not.
    function test_activeOnly_inactiveNode_reverts(uint8 how) public {
        address caller = alice;
        how = uint8(bound(how, 0, 2));
        if (how == 0) caller = stranger;
        if (how == 1) {
            vm.prank(alice);
            nodes.requestUnbond();
        }
        if (how == 2) dispute.convict(alice, stranger);

        vm.deal(caller, 1 ether);
        bytes memory refusal = abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotActive.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        nodes.addStake{value: 1 ether}();
        vm.expectRevert(refusal);
        nodes.updateEndpoint("elsewhere:1", TLS);
        vm.expectRevert(refusal);
        nodes.announce(modelVersion, 0, LAYERS, 1);
        vm.expectRevert(refusal);
        nodes.requestUnbond();
    }

    // ---------------------------------------------------------------- announcements

    function test_announce_listsOneEntryPerNode(uint16 start, uint16 end, uint128 price) public {
        start = uint16(bound(start, 0, LAYERS - 1));
        end = uint16(bound(end, start + 1, LAYERS));
        vm.expectEmit();
        emit INodeRegistry.Announced(alice, modelVersion, start, end, price);
        vm.prank(alice);
        nodes.announce(modelVersion, start, end, price);
        vm.startPrank(bob);
        nodes.announce(modelVersion, 0, 1, 7);
        nodes.announce(modelVersion, 0, LAYERS, 8);
        vm.stopPrank();

        assertEq(nodes.announcementCount(modelVersion), 2);
        INodeRegistry.Announcement[] memory page = nodes.announcements(modelVersion, 0, 10);
        assertEq(page.length, 2);
        assertEq(page[0].node, alice);
        assertEq(page[0].layerStart, start);
        assertEq(page[0].layerEnd, end);
        assertEq(page[0].weiPerToken, price);
        assertEq(page[1].node, bob);
        assertEq(page[1].weiPerToken, 8);
        assertEq(nodes.announcementOf(bob, modelVersion).layerEnd, LAYERS);
    }

    function test_announce_badLayers_reverts(uint16 start, uint16 end) public {
        vm.assume(start >= end || end > LAYERS);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_BadLayers.selector, modelVersion, start, end, LAYERS)
        );
        vm.prank(alice);
        nodes.announce(modelVersion, start, end, 1);
    }

    function test_announce_unknownVersion_reverts(bytes32 unknown) public {
        vm.assume(unknown != modelVersion);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_BadLayers.selector, unknown, 0, 1, 0));
        vm.prank(alice);
        nodes.announce(unknown, 0, 1, 1);
    }

    /// @dev Whoever leaves, in whatever order, the others stay listed exactly once.
    function test_withdrawAnnouncement_keepsTheOthers(uint8 leaver) public {
        address[3] memory all = [alice, bob, carol];
        _register(carol, 1 ether);
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(all[i]);
            nodes.announce(modelVersion, uint16(i), LAYERS, 1);
        }
        leaver = uint8(bound(leaver, 0, 2));
        vm.expectEmit();
        emit INodeRegistry.AnnouncementRemoved(all[leaver], modelVersion);
        vm.prank(all[leaver]);
        nodes.withdrawAnnouncement(modelVersion);

        assertEq(nodes.announcementCount(modelVersion), 2);
        for (uint256 i = 0; i < 3; ++i) {
            INodeRegistry.Announcement memory found = nodes.announcementOf(all[i], modelVersion);
            assertEq(found.node, i == leaver ? address(0) : all[i]);
            assertEq(found.layerStart, i == leaver ? 0 : i);
        }
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotAnnounced.selector, all[leaver], modelVersion)
        );
        vm.prank(all[leaver]);
        nodes.withdrawAnnouncement(modelVersion);
    }

    function test_pruneAnnouncement_ofANodeThatLeft() public {
        vm.startPrank(alice);
        nodes.announce(modelVersion, 0, LAYERS, 1);
        nodes.requestUnbond();
        vm.stopPrank();
        vm.prank(stranger);
        nodes.pruneAnnouncement(alice, modelVersion);
        assertEq(nodes.announcementCount(modelVersion), 0);
    }

    function test_pruneAnnouncement_ofAnActiveNode_reverts() public {
        vm.prank(alice);
        nodes.announce(modelVersion, 0, LAYERS, 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_StillActive.selector, alice));
        vm.prank(stranger);
        nodes.pruneAnnouncement(alice, modelVersion);
    }

    /// @dev A withdrawal by one node must not take another's announcement with it, nor double a list's entries.
    function test_announce_againAfterWithdrawing_listsOnce() public {
        vm.startPrank(alice);
        nodes.announce(modelVersion, 0, 1, 1);
        nodes.withdrawAnnouncement(modelVersion);
        nodes.announce(modelVersion, 1, 2, 1);
        assertEq(nodes.announcementCount(modelVersion), 1);
        assertEq(nodes.announcementOf(alice, modelVersion).layerStart, 1);
    }

    function test_nodes_pagesCoverTheList(uint256 offset, uint256 limit) public view {
        address[2] memory all = [alice, bob];
        address[] memory page = nodes.nodes(offset, limit);
        uint256 rest = offset < 2 ? 2 - offset : 0;
        assertEq(page.length, limit < rest ? limit : rest);
        for (uint256 i = 0; i < page.length; ++i) {
            assertEq(page[i], all[offset + i]);
        }
    }

    function test_node_unknown_reverts(address id) public {
        vm.assume(id != alice && id != bob);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Unknown.selector, id));
        nodes.node(id);
        assertFalse(nodes.isActive(id));
        assertEq(nodes.receiptKeyOf(id), address(0));
    }

    // ---------------------------------------------------------------- unbonding

    function test_unbond_stakeLeavesAfterTheDelay(uint256 late) public {
        vm.expectEmit();
        emit INodeRegistry.UnbondRequested(alice, block.timestamp + T + W + G);
        vm.prank(alice);
        nodes.requestUnbond();
        assertFalse(nodes.isActive(alice));
        skip(T + W + G + bound(late, 1, 1000 days));
        vm.prank(alice);
        nodes.completeUnbond();
        assertEq(nodes.node(alice).stake, 0);
        vm.prank(alice);
        assertEq(nodes.withdraw(), 1 ether);
        assertEq(alice.balance, 1 ether);
    }

    function test_completeUnbond_tooEarly_reverts(uint256 wait) public {
        uint256 after_ = block.timestamp + T + W + G;
        vm.startPrank(alice);
        nodes.requestUnbond();
        skip(bound(wait, 0, T + W + G));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_TooEarly.selector, block.timestamp, after_));
        nodes.completeUnbond();
    }

    function test_completeUnbond_neverRequested_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotUnbonding.selector, alice));
        vm.prank(alice);
        nodes.completeUnbond();
    }

    function test_completeUnbond_twice_reverts() public {
        _leave(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotUnbonding.selector, alice));
        vm.prank(alice);
        nodes.completeUnbond();
        assertEq(nodes.balanceOf(alice), 1 ether);
    }

    function test_completeUnbond_openGame_reverts() public {
        bytes32 session = _open(_caps(alice, 1 ether));
        dispute.open(session, alice);
        vm.startPrank(alice);
        nodes.requestUnbond();
        skip(T + W + G + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_OpenGames.selector, alice, 1));
        nodes.completeUnbond();
        vm.stopPrank();
        dispute.close(session, alice);
        vm.prank(alice);
        nodes.completeUnbond();
        assertEq(nodes.balanceOf(alice), 1 ether);
    }

    function test_completeUnbond_convicted_reverts() public {
        vm.prank(alice);
        nodes.requestUnbond();
        skip(T + W + G + 1);
        dispute.convict(alice, stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Convicted.selector, alice));
        vm.prank(alice);
        nodes.completeUnbond();
    }

    /// @dev A node whose contract refuses money loses nothing and holds up nobody.
    function test_unbond_nodeThatRefusesMoney_keepsItsBalance() public {
        Participant node = new Participant();
        vm.deal(address(this), 1 ether);
        node.register{value: 1 ether}(nodes, makeAddr("key"));
        vm.startPrank(address(node));
        nodes.requestUnbond();
        skip(T + W + G + 1);
        nodes.completeUnbond();
        vm.stopPrank();
        node.become(Participant.Mood.Revert);
        vm.expectRevert();
        node.withdraw(nodes);
        node.withdrawTo(nodes, payable(stranger));
        assertEq(stranger.balance, 1 ether);
    }

    // ---------------------------------------------------------------- slashing

    function test_slash_takesTheWholeStakeAndAtLeastHalfIsTheVaults(uint96 more) public {
        more = uint96(bound(more, 1, 1000 ether));
        vm.deal(alice, more);
        vm.prank(alice);
        nodes.addStake{value: more}();
        uint256 stake = 1 ether + uint256(more);

        vm.expectEmit();
        emit INodeRegistry.Slashed(alice, stake - stake / 2, stranger, stake / 2);
        (uint256 taken, uint256 reward) = dispute.convict(alice, stranger);
        assertEq(taken, stake);
        assertEq(reward, stake / 2);
        assertEq(nodes.balanceOf(stranger), stake / 2);
        assertEq(nodes.balanceOf(address(vault)), stake - stake / 2);
        assertEq(nodes.node(alice).stake, 0);
        assertTrue(nodes.isConvicted(alice));
        assertFalse(nodes.isActive(alice));
    }

    /// @dev A node that convicts itself for the reward loses at least half for good.
    function test_slash_nodeConvictsItself_losesHalf() public {
        dispute.convict(alice, alice);
        vm.prank(alice);
        assertEq(nodes.withdraw(), 0.5 ether);
        assertEq(nodes.balanceOf(address(vault)), 0.5 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Convicted.selector, alice));
        vm.prank(alice);
        nodes.completeUnbond();
    }

    function test_slash_withoutBeneficiary_allForTheVault() public {
        (uint256 taken, uint256 reward) = dispute.convict(alice, address(0));
        assertEq(taken, 1 ether);
        assertEq(reward, 0);
        assertEq(nodes.balanceOf(address(vault)), 1 ether);
        assertEq(nodes.balanceOf(address(0)), 0);
    }

    function test_slash_twice_reverts() public {
        dispute.convict(alice, stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Convicted.selector, alice));
        dispute.convict(alice, stranger);
        assertEq(nodes.balanceOf(stranger), 0.5 ether);
    }

    function test_slash_unknownNode_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Unknown.selector, stranger));
        dispute.convict(stranger, alice);
    }

    /// @dev The race between completing the unbonding and the conviction: whichever comes first, no wei twice.
    function test_slash_afterTheStakeLeft_takesNothing() public {
        _leave(alice);
        (uint256 taken, uint256 reward) = dispute.convict(alice, stranger);
        assertEq(taken, 0);
        assertEq(reward, 0);
        vm.prank(alice);
        assertEq(nodes.withdraw(), 1 ether);
        assertEq(address(nodes).balance, 2 ether);
    }

    function test_games_onAConvictedNode_closeButDoNotOpen() public {
        vm.startPrank(address(dispute));
        nodes.openGame(alice);
        nodes.slash(alice, stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_Convicted.selector, alice));
        nodes.openGame(alice);
        nodes.closeGame(alice);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_OpenGames.selector, alice, 0));
        nodes.closeGame(alice);
    }

    function _leave(address node) private {
        vm.startPrank(node);
        nodes.requestUnbond();
        skip(T + W + G + 1);
        nodes.completeUnbond();
        vm.stopPrank();
    }
}
