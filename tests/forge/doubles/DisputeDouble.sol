// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";

/// @notice Stands where the dispute contract will stand: uses both doors, decides what the test tells it to.
contract DisputeDouble {
    INodeRegistry internal immutable NODES;
    IInferenceMarket internal immutable MARKET;

    constructor(INodeRegistry nodes, IInferenceMarket market) {
        NODES = nodes;
        MARKET = market;
    }

    function open(bytes32 session, address node) external {
        MARKET.openGame(session, node);
        NODES.openGame(node);
    }

    /// @notice Acquitted, or void because the node was convicted elsewhere.
    function close(bytes32 session, address node) external {
        MARKET.closeGame(session, node);
        NODES.closeGame(node);
    }

    function convict(address node, address beneficiary) external returns (uint256 taken, uint256 reward) {
        return NODES.slash(node, beneficiary);
    }
}
