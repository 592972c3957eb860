// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {InferenceMarket} from "../../contracts/market/InferenceMarket.sol";
import {ModelRegistry} from "../../contracts/models/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/nodes/NodeRegistry.sol";
import {IInferenceMarket} from "../../contracts/interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";

/// @notice The real registry and market. The prover chooses amounts and timestamps; times and addresses are fixed.
abstract contract SymbolicDeployment is Test {
    uint256 internal constant T = 1 hours;
    uint256 internal constant W = 10 minutes;
    uint256 internal constant C = 5 minutes;
    uint256 internal constant M = 1 minutes;
    uint256 internal constant G = 2 * C + 8 * M;
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant LATEST = 2 ** 39; // timestamps that leave room for every window in 40 bits

    address internal constant VAULT = address(0x7A017);
    address internal constant USER = address(0x05E4);
    address internal constant NODE = address(0xA11CE);
    address internal constant PUBLISHER = address(0x9B11);
    address internal constant CAROL = address(0xCA401);
    uint256 internal constant SESSION_KEY = 0x5E551;

    ModelRegistry internal models;
    NodeRegistry internal nodes;
    InferenceMarket internal market;

    /// @dev `judge` is the contract that registry and market obey.
    function _deploy(address judge) internal {
        vm.warp(START);
        models = new ModelRegistry();
        INodeRegistry.Timing memory timing = INodeRegistry.Timing({
            longestSession: uint40(T), challengeWindow: uint40(W), clock: uint40(C), minimumMove: uint40(M)
        });
        nodes = new NodeRegistry(models, VAULT, judge, 1, timing);
        market = new InferenceMarket(nodes);
    }

    function _register(uint256 stake) internal {
        vm.deal(NODE, stake);
        vm.prank(NODE);
        nodes.register{value: stake}("localhost:50051", keccak256("tls"), address(0x4EC));
    }

    function _open(uint128 cap) internal returns (bytes32) {
        IInferenceMarket.Cap[] memory caps = new IInferenceMarket.Cap[](1);
        caps[0] = IInferenceMarket.Cap({node: NODE, cap: cap});
        vm.deal(USER, cap);
        vm.prank(USER);
        return market.open{value: cap}(vm.addr(SESSION_KEY), uint64(block.timestamp + T), caps, keccak256("nonce"));
    }

    /// @dev For a version whose publisher asks for `share` basis points.
    function _openFor(uint128 cap, uint16 share) internal returns (bytes32) {
        IModelRegistry.ModelVersion memory version;
        (version.weightsRoot, version.programRoot, version.tokenizerHash) = ("weights", "program", "tokenizer");
        (version.layers, version.manifestCid) = (1, "bafk");
        vm.startPrank(PUBLISHER);
        bytes32 id = models.publish(version);
        models.setShare(id, share);
        vm.stopPrank();
        IInferenceMarket.Cap[] memory caps = new IInferenceMarket.Cap[](1);
        caps[0] = IInferenceMarket.Cap({node: NODE, cap: cap});
        uint256 value = uint256(cap) + uint256(cap) * share / 10_000;
        vm.deal(USER, value);
        uint64 expiry = uint64(block.timestamp + T);
        vm.prank(USER);
        return market.openFor{value: value}(id, share, vm.addr(SESSION_KEY), expiry, caps, keccak256("nonce"));
    }
}
