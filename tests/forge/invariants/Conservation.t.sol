// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {Deployed} from "../Deployed.sol";
import {MarketHandler} from "./MarketHandler.sol";

/// @notice P6: at every moment the contracts hold exactly stakes + locks + unclaimed balances; no path pays twice,
/// locks money for ever, or lets a slashed node withdraw.
contract ConservationTest is Deployed {
    MarketHandler internal handler;
    uint256 internal outside; // stakes of the two nodes that do not play

    function setUp() public override {
        super.setUp();
        outside = address(nodes).balance;
        handler = new MarketHandler(nodes, market, vault, dispute);
        targetContract(address(handler));
        bytes4[] memory notAMove = new bytes4[](1);
        notAMove[0] = MarketHandler.sweep.selector;
        excludeSelector(FuzzSelector({addr: address(handler), selectors: notAMove}));
    }

    /// @dev One function for all: forge replays the whole run for every invariant.
    function invariant_conservation() public view {
        address[] memory all = handler.everybody();
        uint256 owedByMarket;
        uint256 owedByNodes;
        for (uint256 i = 0; i < all.length; ++i) {
            assertEq(market.balanceOf(all[i]), handler.owedByMarket(all[i]), "market owes what the books say");
            assertEq(nodes.balanceOf(all[i]), handler.owedByNodes(all[i]), "registry owes what the books say");
            owedByMarket += market.balanceOf(all[i]);
            owedByNodes += nodes.balanceOf(all[i]);
        }
        assertEq(address(market).balance, handler.lockedInLines() + owedByMarket, "locks + unclaimed");
        assertEq(address(nodes).balance - outside, handler.staked() + owedByNodes, "stakes + unclaimed");

        MarketHandler.Line[] memory lines = handler.allLines();
        for (uint256 i = 0; i < lines.length; ++i) {
            IInferenceMarket.LineView memory line = market.lineOf(lines[i].session, lines[i].node);
            assertEq(line.cap, lines[i].cap, "caps change by allot only");
            assertEq(line.cumulative, lines[i].earned, "the highest voucher counts");
            assertLe(line.cumulative, line.cap, "never above the cap");
            assertEq(line.end, lines[i].end, "the end is fixed by the first closing");
            assertEq(line.openGames, lines[i].games, "games are counted once");
            if (line.settled) assertEq(lines[i].locked + lines[i].beside, 0, "a settled line locks nothing");
            IInferenceMarket.SessionShare memory share = market.shareOf(lines[i].session);
            assertEq(share.basisPoints, lines[i].share, "a session keeps the share that it was opened with");
            assertEq(share.publisher, lines[i].publisher, "and whom it is paid to");
        }
        for (uint256 i = 0; i < handler.operatorCount(); ++i) {
            INodeRegistry.Node memory node = nodes.node(handler.operators(i));
            assertEq(node.stake, handler.stakeOf(handler.operators(i)), "stakes are what the books say");
            assertEq(node.convicted, handler.convicted(handler.operators(i)), "convicted for ever");
            if (node.convicted) assertEq(node.stake, 0, "a slashed node has no stake to withdraw");
        }
    }

    /// @dev No stuck funds: whatever happened before, everybody can leave with everything.
    function afterInvariant() public {
        handler.sweep();
        assertEq(address(market).balance, 0, "nothing stays in the market");
        assertEq(address(nodes).balance, outside, "nothing stays in the registry");
    }
}
