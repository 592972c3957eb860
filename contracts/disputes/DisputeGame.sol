// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeChallenges} from "../interfaces/IDisputeChallenges.sol";
import {DisputeAnswers} from "./DisputeAnswers.sol";
import {GameEvidence} from "./GameEvidence.sol";
import {GameOutcomes} from "./GameOutcomes.sol";

/// @title DisputeGame
/// @dev See {IDisputeGame}. The challenger's moves, the endings and the views are here, what is shown in a game in
/// {DisputeAnswers}: one contract in two pieces, as no contract may have more than 24 KB. Clocks are in {GameClocks},
/// commitments, documents and signatures in {GameEvidence}, money and verdicts in {GameOutcomes}.
contract DisputeGame is IDisputeChallenges, GameOutcomes {
    /// @dev Longest leaf that can be published in one transaction.
    uint256 private constant LONGEST_LEAF = 65_536;

    uint8 private constant ATTENTION = 11;

    /// @notice The code of {IDisputeAnswers}, run on this contract's storage. Created with it, for ever.
    address public immutable answers;

    /// @param parts the contracts that a dispute is about; registry and market must obey this address.
    /// @param minimumBond_ smallest bond, wei, whatever the base fee is.
    /// @param answersGas_ gas that the node's answers of one game may take.
    /// @param bounty_ what the finder of a lie earns beside its gas, wei; at most a tenth of the smallest bond.
    constructor(
        Parts memory parts,
        uint256 minimumBond_,
        uint256 answersGas_,
        uint256 bounty_
    )
        GameEvidence(parts)
        GameOutcomes(minimumBond_, answersGas_, bounty_)
    {
        // INVARIANT: this is the judge that registry and market obey: another one could neither hold nor slash.
        if (parts.nodes.dispute() != address(this) || parts.market.dispute() != address(this)) {
            revert DisputeGame_BadParameters();
        }
        answers = address(new DisputeAnswers(parts, minimumBond_, answersGas_, bounty_));
    }

    /// @dev Whatever is not here is in the other piece. Its address is fixed, it has no state, initialiser or owner of
    /// its own, and both pieces inherit all their storage from {GameOutcomes}.
    fallback() external {
        address code = answers;
        assembly ("memory-safe") {
            let from := mload(0x40)
            calldatacopy(from, 0, calldatasize())
            let done := delegatecall(gas(), code, from, calldatasize(), 0, 0)
            returndatacopy(from, 0, returndatasize())
            switch done
            case 0 { revert(from, returndatasize()) }
            default { return(from, returndatasize()) }
        }
    }

    // ---------------------------------------------------------------- opening

    /// @inheritdoc IDisputeChallenges
    function openStep(Opening calldata opening) external payable returns (uint256 game) {
        address node = opening.receipt.node;
        (bytes32 receipt, uint256 committed) = _admit(opening);
        if (NODES.isConvicted(node)) {
            _payLate(receipt, node, committed);
            return 0;
        }
        // INVARIANT: as in `_start`; here first, so that who is refused has not paid for a description.
        if (opening.onlyCovered && !_isCovered(node, _openingClaim(true))) revert DisputeGame_NotCovered(node);
        return _start(receipt, committed, _describeOnce(receipt, opening), opening.onlyCovered);
    }

    /// @inheritdoc IDisputeChallenges
    function sweep(address node) external {
        _sweep(node);
    }

    // ---------------------------------------------------------------- the challenger's picks

    /// @inheritdoc IDisputeChallenges
    function pickTensor(uint256 id, uint32 tensor, bytes32 traceRoot) external payable {
        StoredGame memory game = _picking(id, State.PickTensor, traceRoot);
        uint256 count = _disputed[game.receipt].subject.tensorCount;
        if (tensor >= count) revert DisputeGame_BadIndex(tensor, count);
        game.tensor = tensor;
        _picked(id, game, State.Rows);
        emit TensorPicked(id, tensor);
    }

    /// @inheritdoc IDisputeChallenges
    function pickSubtree(uint256 id, uint32 subtree, bytes32 traceRoot) external payable {
        StoredGame memory game = _picking(id, State.PickSubtree, traceRoot);
        uint256 count = _subtrees(_answers[_question(game, State.Rows)].count);
        if (subtree >= count) revert DisputeGame_BadIndex(subtree, count);
        game.subtree = subtree;
        _picked(id, game, State.Subtree);
        emit SubtreePicked(id, subtree);
    }

    /// @inheritdoc IDisputeChallenges
    function pickLeaf(uint256 id, uint32 leaf, bytes32 traceRoot) external payable {
        StoredGame memory game = _picking(id, State.PickLeaf, traceRoot);
        Answer storage rows = _answers[_question(game, State.Rows)];
        // INVARIANT: within the subtree that was looked into; `subtree` is 0 where there is only one.
        if (leaf >= rows.count || leaf / MOST_HASHES != game.subtree) revert DisputeGame_BadIndex(leaf, rows.count);
        // INVARIANT: an honest node can answer whatever is asked.
        if (rows.leafBytes > LONGEST_LEAF) revert DisputeGame_LeafTooLong(LONGEST_LEAF);
        game.leaf = leaf;
        _picked(id, game, State.Bytes);
        emit LeafPicked(id, leaf);
    }

    /// @inheritdoc IDisputeChallenges
    function pickElement(uint256 id, uint32 element, bytes32 traceRoot) external payable {
        StoredGame memory game = _picking(id, State.Convict, traceRoot);
        uint8 kind = _answers[_question(game, State.Rows)].kind;
        // INVARIANT: an honest node can answer whatever is asked: only attention has scores, only elements have rows.
        if (kind != ATTENTION) revert DisputeGame_NotAttention(id, kind);
        uint256 count = _answers[_question(game, State.Bytes)].count / 4;
        if (element >= count) revert DisputeGame_BadIndex(element, count);
        game.element = element;
        _picked(id, game, State.Scores);
        emit ElementPicked(id, element);
    }

    // ---------------------------------------------------------------- endings

    /// @inheritdoc IDisputeChallenges
    function convict(uint256 id, bytes calldata witness) external {
        uint256 before = gasleft();
        StoredGame memory game = _current(id);
        bool byScores = game.state == State.ConvictScores;
        if (!byScores && game.state != State.Convict) revert DisputeGame_WrongState(id, game.state);
        _requireInTime(id, game);
        Disputed storage about = _disputed[game.receipt];
        // INVARIANT: a step only ever convicts. If a match acquitted, a liar's friend could step a right element and
        // beat the honest challenger. Too little gas reverts here too: there is no verdict without a full step.
        bool wrong = byScores
            ? VERIFIER.convictsScores(
                about.subject, _claim(game), game.element, _answers[_question(game, State.Scores)].root, witness
            )
            : VERIFIER.convicts(about.subject, _claim(game), witness);
        if (!wrong) revert DisputeGame_StepMatches(id);
        uint256 used = _verdictGas(before - gasleft(), witness);
        // INVARIANT: another proof in front of this one takes the verdict from it, and none of its gas.
        if (NODES.isConvicted(about.node)) _voidProven(id, game, used);
        else _convict(id, game, used, game.challenger);
    }

    /// @inheritdoc IDisputeChallenges
    function timeout(uint256 id) external {
        StoredGame memory game = _current(id);
        _requireOpen(id, game.state);
        _requireNotConvicted(_disputed[game.receipt].node);
        uint256 deadline = _deadline(game);
        // INVARIANT: nobody loses by the clock before the last second of its turn is over.
        if (block.timestamp <= deadline) revert DisputeGame_TooEarly(id, deadline);
        if (_isNodesTurn(game.state)) {
            // INVARIANT: somebody is paid to end a silent node's game, whoever opened it: a friend's too.
            _convict(id, game, TIMEOUT_GAS, msg.sender);
        } else {
            _acquit(id, game);
        }
    }

    /// @inheritdoc IDisputeChallenges
    function void(uint256 id) external {
        StoredGame memory game = _current(id);
        _requireOpen(id, game.state);
        address node = _disputed[game.receipt].node;
        // INVARIANT: a bond returns without a verdict only when there is nobody left to judge.
        if (!NODES.isConvicted(node)) revert DisputeGame_NodeNotConvicted(node);
        // INVARIANT: nobody ends a game in front of the proof that its challenger has sent.
        if (msg.sender != game.challenger && _isFresh(node)) revert DisputeGame_NotChallenger(id, msg.sender);
        _void(id, game);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IDisputeChallenges
    function gameOf(uint256 id) external view returns (Game memory found) {
        StoredGame memory game = _current(id);
        Disputed storage about = _disputed[game.receipt];
        bool over = _isFinal(game.state);
        found = Game({
            state: game.state,
            challenger: game.challenger,
            node: about.node,
            session: about.session,
            receipt: game.receipt,
            bond: over ? 0 : game.bond,
            refund: over ? 0 : game.refund,
            covered: game.covered,
            committedAt: game.committedAt,
            turnStartedAt: game.turnStartedAt,
            deadline: over ? 0 : uint64(_deadline(game)),
            nodesTurn: _isNodesTurn(game.state),
            tensor: game.tensor,
            subtree: game.subtree,
            leaf: game.leaf,
            element: game.element
        });
    }

    /// @inheritdoc IDisputeChallenges
    function gameCount() external view returns (uint256) {
        return _games.length;
    }

    /// @inheritdoc IDisputeChallenges
    function disputed(bytes32 receipt) external view returns (Disputed memory) {
        return _disputed[receipt];
    }

    /// @inheritdoc IDisputeChallenges
    function answerOf(
        bytes32 receipt,
        State state,
        uint32 tensor,
        uint32 subtree,
        uint32 leaf,
        uint32 element
    )
        external
        view
        returns (Answer memory)
    {
        StoredGame memory game;
        game.receipt = receipt;
        (game.tensor, game.subtree, game.leaf, game.element) = (tensor, subtree, leaf, element);
        return _answers[_question(game, state)];
    }

    /// @inheritdoc IDisputeChallenges
    function commit(bytes32 commitment) external {
        // Kept per sender: nobody can use up, refresh or copy another's commitment.
        _commitments[msg.sender][commitment] = block.timestamp;
        emit Committed(msg.sender, commitment);
    }

    /// @inheritdoc IDisputeChallenges
    function committedAt(address challenger, bytes32 commitment) external view returns (uint256) {
        return _commitments[challenger][commitment];
    }

    /// @inheritdoc IDisputeChallenges
    function bondNow() external view returns (uint256) {
        return _bondNow();
    }

    /// @inheritdoc IDisputeChallenges
    function topUp(uint256 id) external view returns (uint256) {
        (uint256 bond, uint256 needed) = (_current(id).bond, _bondNow());
        return bond < needed ? needed - bond : 0;
    }

    /// @inheritdoc IDisputeChallenges
    function coveredNow(address node) external view returns (bool) {
        return _isCovered(node, _openingClaim(true));
    }

    /// @inheritdoc IDisputeChallenges
    function claimsOn(address node) external view returns (uint256) {
        return _covers[node].claims;
    }

    /// @inheritdoc IDisputeChallenges
    function setAsideFor(address node) external view returns (uint256) {
        return _convictions[node].setAside;
    }

    /// @inheritdoc IDisputeChallenges
    function dueFor(bytes32 receipt) external view returns (uint256) {
        return _due[receipt];
    }
}
