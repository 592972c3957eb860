// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDisputeAnswers} from "../interfaces/IDisputeAnswers.sol";
import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {SignedDocuments} from "../market/SignedDocuments.sol";
import {TensorCommitments} from "../step/libraries/TensorCommitments.sol";
import {GameEvidence} from "./GameEvidence.sol";
import {GameOutcomes} from "./GameOutcomes.sol";
import {HashTrees} from "./HashTrees.sol";

/// @title DisputeAnswers
/// @dev See {IDisputeAnswers}. The second piece of {DisputeGame}, which runs this code on its own storage; called at
/// its own address it finds no games, and the registry does not obey it.
contract DisputeAnswers is IDisputeAnswers, GameOutcomes {
    using SafeCast for uint256;
    using SignedDocuments for SignedDocuments.Receipt;
    using SignedDocuments for SignedDocuments.Scores;
    using SignedDocuments for SignedDocuments.Trace;

    /// @dev Gas of an answer, transaction and calldata included: once, and per byte of what it posts. A byte costs 40 on
    /// a chain with EIP-7623; the rest hashes and logs it.
    uint256 private constant ANSWER_GAS = 300_000;
    uint256 private constant ANSWER_BYTE_GAS = 52;

    uint256 private constant SHARED_LEAF = 1024;
    uint256 private constant LONGEST_PIECE = 8192;

    constructor(
        Parts memory parts,
        uint256 minimumBond_,
        uint256 answersGas_,
        uint256 bounty_
    )
        GameEvidence(parts)
        GameOutcomes(minimumBond_, answersGas_, bounty_)
    {}

    /// @inheritdoc IDisputeAnswers
    function equivocate(
        SignedDocuments.Receipt calldata first,
        bytes calldata firstSignature,
        SignedDocuments.Receipt calldata second,
        bytes calldata secondSignature,
        bytes32 salt
    )
        external
    {
        bytes32 one = _digest(first.hash());
        bytes32 two = _digest(second.hash());
        // INVARIANT: same question, two answers. `inRoot` is part of the question: an honest node that replays after
        // a lying predecessor was replaced computes from other rows.
        if (
            first.node != second.node || first.orderDigest != second.orderDigest || first.segment != second.segment
                || first.to != second.to || first.inRoot != second.inRoot || first.outRoot == second.outRoot
        ) revert DisputeGame_NoContradiction(one, two);
        _requireReceiptKey(one, firstSignature, first.node);
        _requireReceiptKey(two, secondSignature, first.node);

        // INVARIANT: a copier of this transaction is refused: it had not committed. So it burns nothing either.
        _useCommitment(one, salt, false);
        _convictAtOnce(first.node, one, two);
    }

    /// @inheritdoc IDisputeAnswers
    function contradict(
        address node,
        bytes32 receiptDigest,
        bytes32 firstRoot,
        bytes calldata firstSignature,
        bytes32 secondRoot,
        bytes calldata secondSignature,
        bytes32 salt
    )
        external
    {
        bytes32 one = _traceDigest(receiptDigest, firstRoot);
        bytes32 two = _traceDigest(receiptDigest, secondRoot);
        // INVARIANT: a node computes one trace for a receipt: an honest one posts the same again whatever the chain
        // forgets.
        if (one == two) revert DisputeGame_NoContradiction(one, two);
        _requireReceiptKey(one, firstSignature, node);
        _requireReceiptKey(two, secondSignature, node);
        // INVARIANT: as for receipts.
        _useCommitment(one, salt, false);
        _convictAtOnce(node, one, two);
    }

    /// @inheritdoc IDisputeAnswers
    function postTrace(
        uint256 id,
        bytes32[] calldata tensorRoots,
        IStepVerifier.Boundary calldata boundary,
        bytes calldata signature
    )
        external
    {
        (StoredGame memory game, Disputed storage about) = _answering(id, State.Trace);
        IStepVerifier.Subject storage subject = about.subject;
        (uint32 firstNumber, uint32 tensorCount) =
            VERIFIER.segment(subject.programRoot, subject.layerStart, subject.layerEnd, subject.layers, boundary);
        // INVARIANT: every tensor of the segment and none besides: a trace cut short would end in right rows that are
        // not the segment's output.
        _requireCount(tensorRoots.length, tensorCount);
        // INVARIANT: the trace is the receipt's: from its input rows to its output rows.
        _requireRoot(tensorRoots[0], about.inRoot);
        _requireRoot(tensorRoots[tensorCount - 1], about.outRoot);
        bytes32 root = HashTrees.rootOfWords(tensorRoots);
        // INVARIANT: only the node binds itself: any other trace would convict it.
        _requireReceiptKey(_traceDigest(game.receipt, root), signature, about.node);

        subject.traceRoot = root;
        subject.tensorCount = tensorCount;
        subject.firstNumber = firstNumber;
        Answer memory answer;
        answer.root = root;
        answer.count = tensorCount;
        _answer(game, answer, 32 * tensorRoots.length);
        emit TracePosted(game.receipt, tensorRoots);
    }

    /// @inheritdoc IDisputeAnswers
    function postRows(
        uint256 id,
        bytes32[] calldata siblings,
        IStepVerifier.Descriptors calldata producer,
        bytes32[] calldata hashes
    )
        external
    {
        (StoredGame memory game, Disputed storage about) = _answering(id, State.Rows);
        IStepVerifier.Subject memory subject = about.subject;
        Answer memory answer = _rows(subject, game.tensor, producer, hashes);
        // INVARIANT: type and shape are the program's and part of the root: a node whose tensor has others cannot
        // answer at all, and loses by its clock.
        bytes32 found = _included(
            TensorCommitments.leafHash(bytes.concat(answer.tensorRoot)), game.tensor, subject.tensorCount, siblings
        );
        _requireRoot(found, subject.traceRoot);
        _answer(game, answer, 32 * (siblings.length + hashes.length));
        emit RowsPosted(game.receipt, game.tensor, hashes);
    }

    /// @inheritdoc IDisputeAnswers
    function postSubtree(uint256 id, bytes32[] calldata siblings, bytes32[] calldata leaves) external {
        (StoredGame memory game,) = _answering(id, State.Subtree);
        Answer storage rows = _answers[_question(game, State.Rows)];
        uint256 start = uint256(game.subtree) * MOST_HASHES;
        uint256 count = rows.count - start < MOST_HASHES ? rows.count - start : MOST_HASHES;
        _requireCount(leaves.length, count);
        Answer memory answer;
        answer.root = HashTrees.rootOfHashes(leaves);
        answer.count = count.toUint32();
        // INVARIANT: subtrees of 2 048 = 2^11 leaves are nodes of the tree, so they prove in it like leaves.
        _requireRoot(_included(answer.root, game.subtree, _subtrees(rows.count), siblings), rows.root);
        _answer(game, answer, 32 * (siblings.length + leaves.length));
        emit SubtreePosted(game.receipt, game.tensor, game.subtree, leaves);
    }

    /// @inheritdoc IDisputeAnswers
    function postBytes(uint256 id, bytes32[] calldata siblings, bytes calldata data) external {
        (StoredGame memory game,) = _answering(id, State.Bytes);
        Answer storage rows = _answers[_question(game, State.Rows)];
        // INVARIANT: a leaf has the length that the shape says: a step would not know what to read in another.
        _requireCount(data.length, game.leaf + 1 == rows.count ? rows.lastBytes : rows.leafBytes);
        Answer memory answer;
        answer.root = TensorCommitments.leafHash(data);
        answer.count = uint32(data.length);
        _requireRoot(_included(answer.root, game.leaf, rows.count, siblings), rows.root);
        _answer(game, answer, 32 * siblings.length + data.length);
        emit BytesPosted(game.receipt, game.tensor, game.leaf, data);
    }

    /// @inheritdoc IDisputeAnswers
    function postScores(
        uint256 id,
        IStepVerifier.Descriptors calldata producer,
        bytes calldata records,
        bytes calldata scores,
        bytes calldata signature
    )
        external
    {
        (StoredGame memory game, Disputed storage about) = _answering(id, State.Scores);
        Answer memory answer;
        answer.root = VERIFIER.scoreRoot(about.subject, _claim(game), game.element, producer, records, scores);
        // INVARIANT: only the node binds itself: no root of the trace says what the scores were.
        SignedDocuments.Scores memory row = SignedDocuments.Scores({
            receiptDigest: game.receipt, tensor: game.tensor, leaf: game.leaf, element: game.element, root: answer.root
        });
        _requireReceiptKey(_digest(row.hash()), signature, about.node);
        _answer(game, answer, records.length + scores.length);
        emit ScoresPosted(game.receipt, game.tensor, game.leaf, game.element, records, scores);
    }

    // ---------------------------------------------------------------- inside

    /// @dev Keeps an answer, and what it cost the node in this block.
    function _answer(StoredGame memory game, Answer memory answer, uint256 posted) private {
        _due[game.receipt] += (ANSWER_GAS + ANSWER_BYTE_GAS * posted) * block.basefee;
        _save(game, answer);
    }

    function _traceDigest(bytes32 receiptDigest, bytes32 root) private view returns (bytes32) {
        return _digest(SignedDocuments.Trace({receiptDigest: receiptDigest, root: root}).hash());
    }

    /// @dev What a tensor's rows are, by the program and by the hashes posted.
    function _rows(
        IStepVerifier.Subject memory subject,
        uint32 tensor,
        IStepVerifier.Descriptors calldata producer,
        bytes32[] calldata hashes
    )
        private
        view
        returns (Answer memory answer)
    {
        (uint8 dtype, uint64[] memory shape, uint256 leaves) = VERIFIER.layout(subject, tensor, producer);
        _requireCount(hashes.length, leaves > MOST_HASHES ? _subtrees(leaves) : leaves);
        answer.root = HashTrees.rootOfHashes(hashes);
        answer.tensorRoot = TensorCommitments.tensorRoot(subject.salt, dtype, shape, answer.root);
        answer.count = leaves.toUint32();
        (answer.leafBytes, answer.lastBytes) = _leafLengths(dtype, shape, leaves);
        // INVARIANT: input and sequence have no op, whatever descriptor came along: nobody is asked for their scores.
        bool isSequence = subject.layerEnd == subject.layers && tensor + 1 == subject.tensorCount;
        if (tensor != 0 && !isSequence) answer.kind = uint8(producer.data[0][1]);
    }

    /// @dev Bytes of the leaves of a tensor: short rows share one, as many as a power of two allows within 1 KiB; rows
    /// above 8 KiB are halved while they can be.
    function _leafLengths(
        uint8 dtype,
        uint64[] memory shape,
        uint256 leaves
    )
        private
        pure
        returns (uint32 each, uint32 last)
    {
        if (leaves == 0) return (0, 0);
        uint256 size = uint256(1) << (dtype - 1); // 1: int8 to 4: int64
        uint256 total = size;
        for (uint256 i = 0; i < shape.length; ++i) {
            total *= shape[i];
        }
        uint256 columns = shape.length > 1 ? shape[shape.length - 1] : 1;
        uint256 length = size * columns;
        while (length <= SHARED_LEAF / 2) {
            length *= 2;
        }
        for (; length > LONGEST_PIECE && columns % 2 == 0; columns /= 2) {
            length /= 2;
        }
        each = length.toUint32();
        last = (total - length * (leaves - 1)).toUint32();
    }

    function _included(
        bytes32 leaf,
        uint256 index,
        uint256 size,
        bytes32[] calldata siblings
    )
        private
        pure
        returns (bytes32)
    {
        bytes32[] memory path = new bytes32[](1);
        path[0] = leaf;
        return TensorCommitments.rangeRoot(path, index, size, siblings);
    }

    function _requireRoot(bytes32 found, bytes32 needed) private pure {
        if (found != needed) revert DisputeGame_WrongRoot(found, needed);
    }

    function _requireCount(uint256 found, uint256 needed) private pure {
        if (found != needed) revert DisputeGame_WrongCount(found, needed);
    }
}
