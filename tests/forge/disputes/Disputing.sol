// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DisputeGame} from "../../../contracts/disputes/DisputeGame.sol";
import {GameEvidence} from "../../../contracts/disputes/GameEvidence.sol";
import {IDisputeGame} from "../../../contracts/interfaces/IDisputeGame.sol";
import {IDisputeRecords} from "../../../contracts/interfaces/IDisputeRecords.sol";
import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {TensorCommitments} from "../../../contracts/step/libraries/TensorCommitments.sol";
import {Deployed} from "../Deployed.sol";
import {StepVerifierDouble} from "../doubles/StepVerifierDouble.sol";

/// @notice The real dispute contract between registry, market and a step verifier that judges as told. Alice serves
/// segment 0 and bob segment 1 of one order; alice's trace has four tensors.
abstract contract Disputing is Deployed {
    uint256 internal constant BOND = 0.05 ether;
    uint256 internal constant BOUNTY = 0.005 ether;
    uint256 internal constant ANSWERS_GAS = 9_000_000;
    uint32 internal constant POSITIONS = 3;
    bytes32 internal constant SALT = keccak256("the order's salt");
    bytes32 internal constant PROMPT_TREE = keccak256("tree of the prompt");
    bytes32 internal constant SECRET = keccak256("the commitment's salt");
    uint8 internal constant ATTENTION = 11;
    uint8 internal constant LINEAR = 7;

    IDisputeGame internal game;
    StepVerifierDouble internal verifier;
    bytes32 internal session;
    address internal carol = makeAddr("carol, a challenger");
    address internal dave = makeAddr("dave, a challenger");

    bytes[] internal rows; // of tensor 1: i32[3, 300], three leaves
    bytes32[] internal roots; // of alice's trace
    SignedDocuments.Order internal _orderOnce; // one order a test: time passes, its deadline does not

    function setUp() public virtual override {
        verifier = new StepVerifierDouble();
        super.setUp();
        session = _open(_caps(alice, 1 ether, bob, 1 ether));
        vm.deal(carol, 1000 ether);
        vm.deal(dave, 1000 ether);
        for (uint256 i = 0; i < 3; ++i) {
            rows.push(abi.encodePacked(new bytes(1199), uint8(i)));
        }
        verifier.setTensors(4);
        verifier.setShape(1, 3, _shape(3, 300), 3);
        _keep(_order());
        roots.push(_promptRoot());
        roots.push(_tensorRoot(_shape(3, 300), _tree(_leafHashes())));
        roots.push(keccak256("tensor 2"));
        roots.push(keccak256("alice's output"));
    }

    function _deployDispute() internal override returns (address) {
        GameEvidence.Parts memory parts = GameEvidence.Parts(market, nodes, models, verifier);
        DisputeGame deployed = new DisputeGame(parts, BOND, ANSWERS_GAS, BOUNTY);
        game = IDisputeGame(address(deployed));
        return address(deployed);
    }

    // ---------------------------------------------------------------- documents

    function _keep(SignedDocuments.Order memory order) internal {
        _orderOnce.session = order.session;
        _orderOnce.salt = order.salt;
        _orderOnce.modelVersion = order.modelVersion;
        _orderOnce.promptRoot = order.promptRoot;
        _orderOnce.maxTokens = order.maxTokens;
        _orderOnce.maxPrice = order.maxPrice;
        _orderOnce.deadline = order.deadline;
        delete _orderOnce.asks;
        for (uint256 i = 0; i < order.asks.length; ++i) {
            _orderOnce.asks.push(order.asks[i]);
        }
    }

    function _promptRoot() internal pure returns (bytes32) {
        uint64[] memory shape = new uint64[](1);
        shape[0] = POSITIONS;
        return TensorCommitments.tensorRoot(SALT, 3, shape, PROMPT_TREE);
    }

    function _order() internal view returns (SignedDocuments.Order memory order) {
        SignedDocuments.Ask[] memory asks = new SignedDocuments.Ask[](2);
        asks[0] = SignedDocuments.Ask({layerStart: 0, layerEnd: 11, weiPerToken: 1});
        asks[1] = SignedDocuments.Ask({layerStart: 11, layerEnd: 22, weiPerToken: 1});
        order = SignedDocuments.Order({
            session: session,
            salt: SALT,
            modelVersion: modelVersion,
            promptRoot: _promptRoot(),
            maxTokens: 8,
            samplingSeed: 0,
            sampling: 0,
            maxPrice: 1 ether,
            asks: asks,
            deadline: uint64(block.timestamp + T)
        });
    }

    /// @dev Alice's receipt for the prompt: from the prompt to `roots[3]`.
    function _receipt() internal view returns (SignedDocuments.Receipt memory) {
        return SignedDocuments.Receipt({
            orderDigest: _digest(SignedDocuments.hash(_orderOnce)),
            node: alice,
            segment: 0,
            from: 0,
            to: POSITIONS,
            inRoot: _promptRoot(),
            outRoot: keccak256("alice's output"),
            predecessors: new bytes32[](0),
            price: 1
        });
    }

    function _opening(SignedDocuments.Receipt memory receipt) internal view returns (IDisputeRecords.Opening memory) {
        return IDisputeRecords.Opening({
            order: _orderOnce,
            orderSignature: _signature(SESSION_KEY, SignedDocuments.hash(_orderOnce)),
            receipt: receipt,
            receiptSignature: _signature(_receiptSecret(receipt.node), SignedDocuments.hash(receipt)),
            promptLength: POSITIONS,
            promptTree: PROMPT_TREE,
            salt: SECRET,
            onlyCovered: false
        });
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return SignedDocuments.digest(market.domainSeparator(), structHash);
    }

    function _signature(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _digest(structHash));
        return abi.encodePacked(r, s, v);
    }

    // ---------------------------------------------------------------- moves

    function _commit(address challenger, SignedDocuments.Receipt memory receipt) internal {
        bytes32 digest = _digest(SignedDocuments.hash(receipt));
        vm.prank(challenger);
        game.commit(keccak256(abi.encode(digest, challenger, SECRET)));
    }

    function _openStep(address challenger) internal returns (uint256) {
        return _openStep(challenger, _receipt());
    }

    function _openStep(address challenger, SignedDocuments.Receipt memory receipt) internal returns (uint256) {
        _commit(challenger, receipt);
        skip(1);
        return _openCommitted(challenger, receipt);
    }

    function _openCommitted(address challenger, SignedDocuments.Receipt memory receipt) internal returns (uint256) {
        IDisputeRecords.Opening memory opening = _opening(receipt);
        uint256 bond = game.bondNow();
        vm.prank(challenger);
        return game.openStep{value: bond}(opening);
    }

    function _postTrace(uint256 id) internal {
        bytes32 root = _traceRoot();
        bytes32 receipt = game.gameOf(id).receipt;
        bytes memory signature = _signature(
            _receiptSecret(game.gameOf(id).node), SignedDocuments.hash(SignedDocuments.Trace(receipt, root))
        );
        IStepVerifier.Boundary memory boundary;
        game.postTrace(id, roots, boundary, signature);
    }

    /// @dev By the challenger, as in the first hour nobody else may.
    function _void(uint256 id) internal {
        vm.prank(game.gameOf(id).challenger);
        game.void(id);
    }

    /// @dev By the challenger, who is paid for it.
    function _timeout(uint256 id) internal {
        vm.prank(game.gameOf(id).challenger);
        game.timeout(id);
    }

    /// @dev An hour later the vault has what no late move claimed.
    function _sweep(address node) internal {
        skip(1 hours + 1);
        game.sweep(node);
    }

    function _pickTensor(uint256 id, uint32 tensor) internal {
        (uint256 value, bytes32 trace) = (game.topUp(id), _posted(id));
        vm.prank(game.gameOf(id).challenger);
        game.pickTensor{value: value}(id, tensor, trace);
    }

    function _postRows(uint256 id, uint8 kind) internal {
        game.postRows(id, _pathOf(1), _producer(kind), _leafHashes());
    }

    function _pickLeaf(uint256 id, uint32 leaf) internal {
        (uint256 value, bytes32 trace) = (game.topUp(id), _posted(id));
        vm.prank(game.gameOf(id).challenger);
        game.pickLeaf{value: value}(id, leaf, trace);
    }

    function _pickElement(uint256 id, uint32 element) internal {
        (uint256 value, bytes32 trace) = (game.topUp(id), _posted(id));
        vm.prank(game.gameOf(id).challenger);
        game.pickElement{value: value}(id, element, trace);
    }

    /// @dev Root of the trace that stands for a game's receipt.
    function _posted(uint256 id) internal view returns (bytes32) {
        return game.disputed(game.gameOf(id).receipt).subject.traceRoot;
    }

    function _postBytes(uint256 id, uint32 leaf) internal {
        game.postBytes(id, _pathOfLeaf(leaf), rows[leaf]);
    }

    /// @dev A game that is one step away from its verdict: leaf 1 of tensor 1 is published.
    function _atConvict(address challenger) internal returns (uint256 id) {
        return _atConvict(challenger, LINEAR);
    }

    function _atConvict(address challenger, uint8 kind) internal returns (uint256 id) {
        id = _openStep(challenger);
        _postTrace(id);
        _pickTensor(id, 1);
        _postRows(id, kind);
        _pickLeaf(id, 1);
        _postBytes(id, 1);
    }

    function _postScores(uint256 id) internal {
        bytes32 root = keccak256(abi.encode(uint32(7), bytes("records"), bytes("scores")));
        SignedDocuments.Scores memory document = SignedDocuments.Scores(game.gameOf(id).receipt, 1, 1, 7, root);
        bytes memory signature = _signature(_receiptSecret(alice), SignedDocuments.hash(document));
        game.postScores(id, _producer(ATTENTION), "records", "scores", signature);
    }

    function _state(uint256 id) internal view returns (IDisputeRecords.State) {
        return game.gameOf(id).state;
    }

    function _passDeadlineOf(uint256 id) internal {
        vm.warp(game.gameOf(id).deadline + 1);
    }

    // ---------------------------------------------------------------- commitments

    function _shape(uint64 first, uint64 second) internal pure returns (uint64[] memory shape) {
        shape = new uint64[](2);
        (shape[0], shape[1]) = (first, second);
    }

    function _tensorRoot(uint64[] memory shape, bytes32 tree) internal pure returns (bytes32) {
        return TensorCommitments.tensorRoot(SALT, 3, shape, tree);
    }

    function _producer(uint8 kind) internal pure returns (IStepVerifier.Descriptors memory producer) {
        producer.data = new bytes[](1);
        producer.data[0] = abi.encodePacked(uint8(1), kind);
    }

    function _leafHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            hashes[i] = TensorCommitments.leafHash(rows[i]);
        }
    }

    /// @dev The root of a tree, in plain Solidity: overwrites `hashes`.
    function _tree(bytes32[] memory hashes) internal pure returns (bytes32) {
        if (hashes.length == 0) return sha256("");
        for (uint256 count = hashes.length; count > 1; count = (count + 1) / 2) {
            for (uint256 i = 0; 2 * i < count; ++i) {
                hashes[i] =
                    2 * i + 1 < count ? TensorCommitments.nodeHash(hashes[2 * i], hashes[2 * i + 1]) : hashes[2 * i];
            }
        }
        return hashes[0];
    }

    function _traceLeaves() internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](roots.length);
        for (uint256 i = 0; i < roots.length; ++i) {
            leaves[i] = TensorCommitments.leafHash(bytes.concat(roots[i]));
        }
    }

    function _traceRoot() internal view returns (bytes32) {
        return _tree(_traceLeaves());
    }

    /// @dev Proof of one of the four tensor roots.
    function _pathOf(uint256 tensor) internal view returns (bytes32[] memory path) {
        bytes32[] memory leaves = _traceLeaves();
        path = new bytes32[](2);
        path[0] = leaves[tensor ^ 1];
        path[1] = tensor < 2
            ? TensorCommitments.nodeHash(leaves[2], leaves[3])
            : TensorCommitments.nodeHash(leaves[0], leaves[1]);
    }

    /// @dev Proof of one of the three leaves.
    function _pathOfLeaf(uint256 leaf) internal view returns (bytes32[] memory path) {
        bytes32[] memory hashes = _leafHashes();
        if (leaf == 2) {
            path = new bytes32[](1);
            path[0] = TensorCommitments.nodeHash(hashes[0], hashes[1]);
        } else {
            path = new bytes32[](2);
            (path[0], path[1]) = (hashes[leaf ^ 1], hashes[2]);
        }
    }
}
