// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {IInferenceMarket} from "../../contracts/interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {GenesisVault} from "../../contracts/market/GenesisVault.sol";
import {InferenceMarket} from "../../contracts/market/InferenceMarket.sol";
import {SignedDocuments} from "../../contracts/market/SignedDocuments.sol";
import {CertificateRegistry} from "../../contracts/models/CertificateRegistry.sol";
import {ModelRegistry} from "../../contracts/models/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/nodes/NodeRegistry.sol";
import {DisputeDouble} from "./doubles/DisputeDouble.sol";

/// @notice Every contract deployed and wired as `scripts/deploy.py` does it, two nodes, one user, one model version.
abstract contract Deployed is Test {
    uint256 internal constant T = 1 hours;
    uint256 internal constant W = 10 minutes;
    uint256 internal constant C = 5 minutes;
    uint256 internal constant M = 1 minutes;
    uint256 internal constant G = 2 * C + 8 * M;
    uint256 internal constant MINIMUM_STAKE = 1 ether;
    uint256 internal constant SESSION_KEY = uint256(keccak256("session key"));
    uint16 internal constant LAYERS = 22;
    bytes32 internal constant NONCE = keccak256("nonce");

    ModelRegistry internal models;
    CertificateRegistry internal certificates;
    GenesisVault internal vault;
    NodeRegistry internal nodes;
    InferenceMarket internal market;
    DisputeDouble internal dispute;

    address internal beneficiary = makeAddr("beneficiary");
    address internal publisher = makeAddr("publisher");
    address internal user = makeAddr("user");
    address internal alice = makeAddr("alice, a node");
    address internal bob = makeAddr("bob, a node");
    address internal stranger = makeAddr("stranger");
    address internal signer = vm.addr(SESSION_KEY);
    bytes32 internal modelVersion;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        models = new ModelRegistry();
        certificates = new CertificateRegistry(models);
        vault = new GenesisVault(beneficiary);
        // After the registry (nonce + 0) and the market (nonce + 1).
        address foreseen = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        nodes = new NodeRegistry(models, address(vault), foreseen, MINIMUM_STAKE, _timing());
        market = new InferenceMarket(nodes);
        assertEq(_deployDispute(), foreseen);

        vm.prank(publisher);
        modelVersion = models.publish(_modelVersion());
        _register(alice, 1 ether);
        _register(bob, 2 ether);
        vm.deal(user, 1_000_000 ether);
    }

    /// @dev The one contract that registry and market obey; created right after them.
    function _deployDispute() internal virtual returns (address) {
        dispute = new DisputeDouble(nodes, market);
        return address(dispute);
    }

    function _timing() internal pure returns (INodeRegistry.Timing memory) {
        return INodeRegistry.Timing({
            longestSession: uint40(T), challengeWindow: uint40(W), clock: uint40(C), minimumMove: uint40(M)
        });
    }

    function _modelVersion() internal pure returns (IModelRegistry.ModelVersion memory) {
        return IModelRegistry.ModelVersion({
            weightsRoot: keccak256("weights"),
            programRoot: keccak256("program"),
            tokenizerHash: keccak256("tokenizer"),
            parent: 0,
            pricePerToken: 1 gwei,
            layers: LAYERS,
            semver: IModelRegistry.SemVer({major: 1, minor: 2, patch: 3}),
            manifestCid: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        });
    }

    function _register(address node, uint256 stake) internal {
        vm.deal(node, stake);
        vm.prank(node);
        nodes.register{value: stake}("localhost:50051", keccak256(abi.encode("tls", node)), _receiptKey(node));
    }

    function _receiptKey(address node) internal pure returns (address) {
        return vm.addr(_receiptSecret(node));
    }

    function _receiptSecret(address node) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("receipts", node)));
    }

    function _caps(address node, uint128 cap) internal pure returns (IInferenceMarket.Cap[] memory caps) {
        caps = new IInferenceMarket.Cap[](1);
        caps[0] = IInferenceMarket.Cap({node: node, cap: cap});
    }

    function _caps(
        address first,
        uint128 firstCap,
        address second,
        uint128 secondCap
    )
        internal
        pure
        returns (IInferenceMarket.Cap[] memory caps)
    {
        caps = new IInferenceMarket.Cap[](2);
        caps[0] = IInferenceMarket.Cap({node: first, cap: firstCap});
        caps[1] = IInferenceMarket.Cap({node: second, cap: secondCap});
    }

    function _open(IInferenceMarket.Cap[] memory caps) internal returns (bytes32) {
        return _open(caps, NONCE);
    }

    function _open(IInferenceMarket.Cap[] memory caps, bytes32 nonce) internal returns (bytes32) {
        uint256 sum;
        for (uint256 i = 0; i < caps.length; ++i) {
            sum += caps[i].cap;
        }
        vm.prank(user);
        return market.open{value: sum}(signer, uint64(block.timestamp + T), caps, nonce);
    }

    function _voucher(
        bytes32 session,
        address node,
        uint128 cumulative
    )
        internal
        pure
        returns (SignedDocuments.Voucher memory)
    {
        SignedDocuments.Line[] memory lines = new SignedDocuments.Line[](1);
        lines[0] = SignedDocuments.Line({node: node, cumulative: cumulative});
        return SignedDocuments.Voucher({session: session, lines: lines});
    }

    function _voucher(
        bytes32 session,
        address first,
        uint128 firstSum,
        address second,
        uint128 secondSum
    )
        internal
        pure
        returns (SignedDocuments.Voucher memory)
    {
        SignedDocuments.Line[] memory lines = new SignedDocuments.Line[](2);
        lines[0] = SignedDocuments.Line({node: first, cumulative: firstSum});
        lines[1] = SignedDocuments.Line({node: second, cumulative: secondSum});
        return SignedDocuments.Voucher({session: session, lines: lines});
    }

    function _sign(SignedDocuments.Voucher memory voucher) internal view returns (bytes memory) {
        return _sign(voucher, SESSION_KEY, market.domainSeparator());
    }

    function _sign(
        SignedDocuments.Voucher memory voucher,
        uint256 key,
        bytes32 domain
    )
        internal
        pure
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, SignedDocuments.digest(domain, SignedDocuments.hash(voucher)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev Anyone may post: the stranger does.
    function _post(SignedDocuments.Voucher memory voucher) internal {
        bytes memory signature = _sign(voucher);
        vm.prank(stranger);
        market.post(voucher, signature);
    }

    function _post(bytes32 session, address node, uint128 cumulative) internal {
        _post(_voucher(session, node, cumulative));
    }

    function _close(bytes32 session) internal {
        vm.prank(user);
        market.close(session);
    }

    function _passWindowOf(bytes32 session, address node) internal {
        vm.warp(market.lineOf(session, node).end + 1);
    }

    /// @dev A session of one line in which `node` has earned `cumulative` of `cap`, closed, its window over.
    function _earned(address node, uint128 cap, uint128 cumulative) internal returns (bytes32 session) {
        session = _open(_caps(node, cap));
        _post(session, node, cumulative);
        _close(session);
        _passWindowOf(session, node);
    }
}
