// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IInferenceMarket} from "../interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {PullPayments} from "./PullPayments.sol";
import {SignedDocuments} from "./SignedDocuments.sol";

/// @title InferenceMarket
/// @dev See {IInferenceMarket}. Money comes in only with the openings and `allot`, and leaves only by `withdraw`. In
/// between it is either locked in a line (`cap`, or `cumulative` once the line is Refunded, and the publisher's share of
/// that sum beside it) or credited to a balance; no move reads `address(this).balance`, so ether forced into the contract
/// changes nothing.
contract InferenceMarket is IInferenceMarket, PullPayments, EIP712 {
    using SafeCast for uint256;
    using SignedDocuments for SignedDocuments.Voucher;

    /// @dev What of a line is still locked: its cap, then what a game holds of it, then nothing.
    enum LineState {
        Running,
        Refunded,
        Settled
    }

    /// @dev Two storage words. `end` is zero until the session is closed. `hasShare` is in the first one, so that the
    /// settlement of a session without a share reads no other.
    struct StoredSession {
        address user;
        uint40 expiry;
        uint40 end;
        uint8 lineCount;
        bool hasShare;
        address signer;
        uint16 share; // basis points
        uint40 openedAt;
    }

    /// @dev One storage word; 104 bits hold 2e31 wei. `cap` is zero only for lines that do not exist, `end` until the
    /// node closes its line.
    struct StoredLine {
        uint104 cap;
        uint104 cumulative;
        uint40 end;
        LineState state;
    }

    /// @dev Bounds every loop over a session's lines.
    uint256 private constant MOST_LINES = 32;

    /// @dev The vault's share is one part in ten of what a node earned, rounded down.
    uint256 private constant VAULT_DIVISOR = 10;

    /// @dev A share is in basis points of what a node earned, rounded down.
    uint256 private constant SHARE_DIVISOR = 10_000;

    /// @notice The registry that knows the nodes, and that fixes the protocol's times, vault and dispute contract.
    INodeRegistry public immutable nodes;

    /// @notice The registry that knows who published a version and what share is asked for it; the nodes' own.
    IModelRegistry public immutable models;

    /// @inheritdoc IInferenceMarket
    address public immutable vault;

    /// @inheritdoc IInferenceMarket
    address public immutable dispute;

    /// @inheritdoc IInferenceMarket
    uint256 public immutable longestSession;

    /// @inheritdoc IInferenceMarket
    uint256 public immutable challengeWindow;

    mapping(bytes32 session => StoredSession) private _sessions;
    mapping(bytes32 session => mapping(address node => StoredLine)) private _lines;

    /// @dev Apart from the sessions: only one that is opened for a version pays for the word.
    mapping(bytes32 session => bytes32) private _versions;

    /// @dev Apart from the lines: only a disputed line pays for the word.
    mapping(bytes32 session => mapping(address node => uint256)) private _openGames;
    mapping(address node => ReceiptLog) private _receiptLogs;

    modifier onlyDispute() {
        _requireDispute();
        _;
    }

    /// @param nodes_ the registry. Models, times, vault and dispute contract are read from it, so that the two cannot disagree:
    /// a stake that left before the market's windows are over would secure nothing.
    constructor(INodeRegistry nodes_) EIP712("Neural Nexus", "1") {
        nodes = nodes_;
        models = nodes_.models();
        vault = nodes_.vault();
        dispute = nodes_.dispute();
        INodeRegistry.Timing memory timing = nodes_.timing();
        longestSession = timing.longestSession;
        challengeWindow = timing.challengeWindow;
    }

    // ---------------------------------------------------------------- opening

    /// @inheritdoc IInferenceMarket
    function open(
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce
    )
        external
        payable
        returns (bytes32 session)
    {
        return _open(signer, expiry, caps, nonce, 0);
    }

    /// @inheritdoc IInferenceMarket
    function openFor(
        bytes32 modelVersion,
        uint16 share,
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce
    )
        external
        payable
        returns (bytes32 session)
    {
        return _openFor(modelVersion, share, signer, expiry, caps, nonce);
    }

    /// @inheritdoc IInferenceMarket
    function payPerInference(
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce,
        bytes32 orderDigest
    )
        external
        payable
        returns (bytes32 session)
    {
        session = _open(signer, expiry, caps, nonce, 0);
        emit OrderPaid(session, orderDigest, msg.value);
    }

    /// @inheritdoc IInferenceMarket
    function payPerInferenceFor(
        bytes32 modelVersion,
        uint16 share,
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce,
        bytes32 orderDigest
    )
        external
        payable
        returns (bytes32 session)
    {
        session = _openFor(modelVersion, share, signer, expiry, caps, nonce);
        emit OrderPaid(session, orderDigest, msg.value);
    }

    /// @inheritdoc IInferenceMarket
    function allot(bytes32 session, address node, uint128 cap) external payable {
        StoredSession storage entry = _existing(session);
        // INVARIANT: only the user decides who can be paid from the session.
        if (msg.sender != entry.user) revert InferenceMarket_NotAllowed(msg.sender);
        // INVARIANT: no money enters a session whose end is fixed or whose time is over: the new line's challenge
        // window would be shorter than its node and its challengers count on.
        if (entry.end != 0) revert InferenceMarket_SessionClosed(session, entry.end);
        if (block.timestamp > entry.expiry) revert InferenceMarket_SessionExpired(session, entry.expiry);

        StoredLine storage line = _lines[session][node];
        // INVARIANT: a node that closed its line has stopped; it must not find new money, or games, in it. As an open
        // session settles only such lines, no settled line comes to life again either.
        if (line.end != 0) revert InferenceMarket_LineClosed(session, node, line.end);
        uint256 standing = line.cap;
        // INVARIANT: caps never fall: a node works against the cap it has seen.
        if (cap <= standing) revert InferenceMarket_CapMustRise(node, standing, cap);
        // INVARIANT: the share beside the cap rises by the difference of two rounded sums: what is locked is at every
        // moment what one opening with the new cap would have locked, so raising in small steps saves no wei.
        uint256 share = _rateOf(entry);
        _requireValue(cap - standing + _shareOf(cap, share) - _shareOf(standing, share));
        if (standing == 0) {
            // INVARIANT: at most 32 lines, as in `open`.
            if (entry.lineCount >= MOST_LINES) revert InferenceMarket_BadLineCount(MOST_LINES + 1, MOST_LINES);
            ++entry.lineCount;
        }
        _requireActive(node);

        line.cap = uint256(cap).toUint104();
        emit Allotted(session, node, cap);
    }

    // ---------------------------------------------------------------- earning

    /// @inheritdoc IInferenceMarket
    function post(SignedDocuments.Voucher calldata voucher, bytes calldata signature) external {
        bytes32 session = voucher.session;
        StoredSession storage entry = _existing(session);
        // INVARIANT: only the session key, fixed at opening, moves money to a node. The digest binds chain, contract
        // and session, so a voucher counts nowhere else. A high s, another length or garbage recovers zero.
        (address recovered,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(voucher.hash()), signature);
        if (recovered != entry.signer) revert InferenceMarket_BadSignature(session, recovered);

        Refusal first = Refusal.None;
        bool taken = false;
        for (uint256 i = 0; i < voucher.lines.length; ++i) {
            Refusal refusal = _postLine(session, entry, voucher.lines[i]);
            if (refusal == Refusal.None) {
                taken = true;
            } else if (first == Refusal.None) {
                first = refusal;
            }
        }
        // A voucher that did nothing at all says so instead of taking the caller's gas in silence.
        if (!taken && first != Refusal.None) revert InferenceMarket_VoucherRefused(session, first);
    }

    /// @inheritdoc IInferenceMarket
    function commitReceipts(bytes32 root, uint64 count) external {
        // INVARIANT: only nodes have a log.
        if (nodes.receiptKeyOf(msg.sender) == address(0)) revert InferenceMarket_NotAllowed(msg.sender);
        // INVARIANT: the log is append-only, so its length only rises.
        uint64 committed = _receiptLogs[msg.sender].count;
        if (count <= committed) revert InferenceMarket_LogMustGrow(committed, count);

        _receiptLogs[msg.sender] = ReceiptLog({root: root, count: count, committedAt: uint64(block.timestamp)});
        emit ReceiptsCommitted(msg.sender, root, count);
    }

    // ---------------------------------------------------------------- closing

    /// @inheritdoc IInferenceMarket
    function close(bytes32 session) external {
        StoredSession storage entry = _existing(session);
        // INVARIANT: the end is fixed once; closing again must not move it.
        if (entry.end != 0) revert InferenceMarket_SessionClosed(session, entry.end);
        // INVARIANT: before the expiry only the user ends what the user paid for.
        if (msg.sender != entry.user && block.timestamp <= entry.expiry) revert InferenceMarket_NotAllowed(msg.sender);

        uint40 end = _endIfClosedNow(entry);
        entry.end = end;
        emit SessionClosed(session, end);
    }

    /// @inheritdoc IInferenceMarket
    function closeLine(bytes32 session) external {
        StoredSession storage entry = _existing(session);
        StoredLine storage line = _existingLine(session, msg.sender);
        // INVARIANT: an end never moves, neither the session's nor the line's own.
        if (entry.end != 0) revert InferenceMarket_SessionClosed(session, entry.end);
        if (line.end != 0) revert InferenceMarket_LineClosed(session, msg.sender, line.end);
        if (line.state == LineState.Settled) revert InferenceMarket_LineSettled(session, msg.sender);

        uint40 end = _endIfClosedNow(entry);
        line.end = end;
        emit LineClosed(session, msg.sender, end);
    }

    /// @inheritdoc IInferenceMarket
    function settle(bytes32 session, address node) external {
        if (!_trySettle(session, node)) _revertNotSettled(session, node);
    }

    /// @inheritdoc IInferenceMarket
    function settleMany(bytes32 session, address[] calldata nodes_) external {
        for (uint256 i = 0; i < nodes_.length; ++i) {
            // INVARIANT: one line's failure never reverts another's.
            if (!_trySettle(session, nodes_[i])) emit LineNotSettled(session, nodes_[i]);
        }
    }

    // ---------------------------------------------------------------- the dispute's door

    /// @inheritdoc IInferenceMarket
    function openGame(bytes32 session, address node) external onlyDispute {
        StoredSession storage entry = _existing(session);
        _existingLine(session, node);
        // INVARIANT: no game starts after the session's own end. With the games' own clocks this bounds for how long
        // anybody can hold back what a node has earned, and it lets the stake leave T + W + G after the request. The
        // line's end and its settlement do not count: a node that closes early still answers for what it signs.
        uint256 end = _sessionEnd(entry);
        if (block.timestamp > end) revert InferenceMarket_TooLate(block.timestamp, end);
        // INVARIANT: against a convicted node there is nothing left to win.
        if (nodes.isConvicted(node)) revert InferenceMarket_NodeNotActive(node);
        uint256 games = ++_openGames[session][node];
        emit GameOpened(session, node, games);
    }

    /// @inheritdoc IInferenceMarket
    function closeGame(bytes32 session, address node) external onlyDispute {
        uint256 games = _openGames[session][node];
        // INVARIANT: games close once each: an underflow would hold the line's money for ever. A line that was
        // forfeited and settled meanwhile closes its games too, so that their bonds return.
        if (games == 0) revert InferenceMarket_OpenGames(session, node, 0);
        _openGames[session][node] = games - 1;
        emit GameClosed(session, node, games - 1);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IInferenceMarket
    function sessionOf(bytes32 session) external view returns (Session memory) {
        StoredSession storage entry = _existing(session);
        return Session({
            user: entry.user, signer: entry.signer, expiry: entry.expiry, end: entry.end, lineCount: entry.lineCount
        });
    }

    /// @inheritdoc IInferenceMarket
    function lineOf(bytes32 session, address node) external view returns (LineView memory found) {
        StoredLine storage line = _lines[session][node];
        if (line.cap == 0) return found;
        found = LineView({
            cap: line.cap,
            cumulative: line.cumulative,
            end: uint64(_endOf(_sessions[session], line)),
            closedByNode: line.end != 0,
            refunded: line.state == LineState.Refunded,
            settled: line.state == LineState.Settled,
            openGames: _openGames[session][node]
        });
    }

    /// @inheritdoc IInferenceMarket
    function shareOf(bytes32 session) external view returns (SessionShare memory found) {
        StoredSession storage entry = _sessions[session];
        bytes32 modelVersion = _versions[session];
        found = SessionShare({
            modelVersion: modelVersion,
            publisher: modelVersion == 0 ? address(0) : models.publisherOf(modelVersion),
            basisPoints: entry.share,
            openedAt: entry.openedAt
        });
    }

    /// @inheritdoc IInferenceMarket
    function receiptLogOf(address node) external view returns (ReceiptLog memory) {
        return _receiptLogs[node];
    }

    /// @inheritdoc IInferenceMarket
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IInferenceMarket
    function sessionId(address user, bytes32 nonce) public pure returns (bytes32) {
        // INVARIANT: the opener's address is part of the id, so nobody can take or front-run another user's id.
        return keccak256(abi.encode(user, nonce));
    }

    // ---------------------------------------------------------------- inside

    function _openFor(
        bytes32 modelVersion,
        uint16 share,
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce
    )
        private
        returns (bytes32 session)
    {
        IModelRegistry.Share memory asked = models.shareOf(modelVersion);
        // INVARIANT: nobody pays another share than agreed to: a publisher that raises it while the opening is on its
        // way stops the opening. What is agreed to is taken down here, and no later change touches this session.
        if (share != asked.basisPoints) revert InferenceMarket_OtherShare(modelVersion, share, asked.basisPoints);

        session = _open(signer, expiry, caps, nonce, share);
        _versions[session] = modelVersion;
        emit OpenedFor(session, modelVersion, asked.publisher, share);
    }

    function _open(
        address signer,
        uint64 expiry,
        Cap[] calldata caps,
        bytes32 nonce,
        uint16 share
    )
        private
        returns (bytes32 session)
    {
        // INVARIANT: failed recovery yields zero, so a zero session key would sign anything.
        if (signer == address(0)) revert InferenceMarket_NoSigner();
        // INVARIANT: at most T, or a node's stake could be gone before its lines can be judged.
        uint256 latest = block.timestamp + longestSession;
        if (expiry <= block.timestamp || expiry > latest) {
            revert InferenceMarket_BadExpiry(expiry, block.timestamp, latest);
        }
        // INVARIANT: at most 32 lines: whatever is done for each line of a session stays affordable.
        if (caps.length == 0 || caps.length > MOST_LINES) revert InferenceMarket_BadLineCount(caps.length, MOST_LINES);
        session = sessionId(msg.sender, nonce);
        // INVARIANT: an id is used once: vouchers of an earlier session must never count in a later one.
        if (_sessions[session].user != address(0)) revert InferenceMarket_SessionExists(session);

        StoredSession storage entry = _sessions[session];
        entry.user = msg.sender;
        entry.expiry = uint256(expiry).toUint40();
        entry.lineCount = uint8(caps.length);
        entry.signer = signer;
        entry.share = share;
        // INVARIANT: whether a session is older than a share is a fact of the chain: it is no excuse for younger ones.
        entry.openedAt = block.timestamp.toUint40();
        if (share != 0) entry.hasShare = true;
        uint256 sum = 0;
        for (uint256 i = 0; i < caps.length; ++i) {
            _addLine(session, caps[i]);
            // INVARIANT: each line locks the share of its own cap, rounded as its settlement rounds: no line's share is
            // paid from another's.
            sum += caps[i].cap + _shareOf(caps[i].cap, share);
        }
        _requireValue(sum);
        emit SessionOpened(session, msg.sender, signer, expiry, caps);
    }

    function _addLine(bytes32 session, Cap calldata line) private {
        // INVARIANT: every line has a cap of its own: `cap == 0` says that there is no line.
        if (line.cap == 0) revert InferenceMarket_CapMustRise(line.node, 0, 0);
        // INVARIANT: a node named twice would have one line and pay for two.
        if (_lines[session][line.node].cap != 0) revert InferenceMarket_DuplicateNode(line.node);
        _requireActive(line.node);
        _lines[session][line.node].cap = uint256(line.cap).toUint104();
    }

    function _postLine(
        bytes32 session,
        StoredSession storage entry,
        SignedDocuments.Line calldata offered
    )
        private
        returns (Refusal refusal)
    {
        StoredLine storage line = _lines[session][offered.node];
        if (line.cap == 0) {
            refusal = Refusal.UnknownLine;
        } else if (block.timestamp > _endOf(entry, line)) {
            // INVARIANT: what a line has earned is final at its end, before anybody can settle it.
            refusal = Refusal.Ended;
        } else if (offered.cumulative > line.cap) {
            // INVARIANT: cumulative <= cap: caps add up to the lock, so no line can drain another's money.
            refusal = Refusal.OverCap;
        } else if (offered.cumulative > line.cumulative) {
            // INVARIANT: lines merge by maximum: old vouchers, repeated ones and any order of posting do no harm.
            line.cumulative = uint104(offered.cumulative); // fits: it is at most the cap
            emit VoucherPosted(session, offered.node, offered.cumulative);
        }
        if (refusal != Refusal.None) emit LineRefused(session, offered.node, offered.cumulative, refusal);
    }

    /// @dev False, and nothing changed, when the line cannot be settled now. Calls no receiver.
    function _trySettle(bytes32 session, address node) private returns (bool) {
        StoredSession storage entry = _sessions[session];
        StoredLine storage line = _lines[session][node];
        uint256 cap = line.cap;
        LineState state = line.state;
        // INVARIANT: a line pays once, and only after its challenge window.
        if (cap == 0 || state == LineState.Settled || block.timestamp <= _endOf(entry, line)) return false;

        uint256 earned = line.cumulative;
        uint256 locked = state == LineState.Refunded ? earned : cap;
        uint256 share = _rateOf(entry);
        if (nodes.isConvicted(node)) {
            // INVARIANT: a convicted node is paid nothing more: all that is locked goes back, open games or not.
            line.state = LineState.Settled;
            _credit(entry.user, locked);
            emit LineSettled(session, node, 0, 0, locked, true);
            // INVARIANT: nor is a publisher paid for what a convicted node did.
            if (share != 0) _settleShare(session, node, entry, 0, _shareOf(locked, share));
        } else if (_openGames[session][node] == 0) {
            line.state = LineState.Settled;
            uint256 toVault = earned / VAULT_DIVISOR;
            // INVARIANT: the three parts add up to what was locked, to the wei.
            _credit(vault, toVault);
            _credit(node, earned - toVault);
            _credit(entry.user, locked - earned);
            emit LineSettled(session, node, earned - toVault, toVault, locked - earned, false);
            // INVARIANT: the share's two parts add up to what was locked beside the line, to the wei, and take nothing
            // of the three above. `earned <= locked`, so the second one is never below zero.
            if (share != 0) {
                uint256 toPublisher = _shareOf(earned, share);
                _settleShare(session, node, entry, toPublisher, _shareOf(locked, share) - toPublisher);
            }
        } else {
            // INVARIANT: a game holds what the node earned and never what the user did not spend.
            if (locked == earned) return false;
            line.state = LineState.Refunded;
            _credit(entry.user, locked - earned);
            emit LineRefunded(session, node, locked - earned);
            // INVARIANT: a game holds the share of what the node earned too, and never the rest of it.
            if (share != 0) {
                _settleShare(session, node, entry, 0, _shareOf(locked, share) - _shareOf(earned, share));
            }
        }
        return true;
    }

    /// @dev Credits what was locked beside a line for the publisher. Calls the model registry alone, which cannot fail.
    function _settleShare(
        bytes32 session,
        address node,
        StoredSession storage entry,
        uint256 toPublisher,
        uint256 toUser
    )
        private
    {
        address publisher = models.publisherOf(_versions[session]);
        _credit(publisher, toPublisher);
        _credit(entry.user, toUser);
        emit ShareSettled(session, node, publisher, toPublisher, toUser);
    }

    /// @dev Says why `_trySettle` returned false.
    function _revertNotSettled(bytes32 session, address node) private view {
        StoredSession storage entry = _existing(session);
        StoredLine storage line = _existingLine(session, node);
        if (line.state == LineState.Settled) revert InferenceMarket_LineSettled(session, node);
        uint256 end = _endOf(entry, line);
        if (block.timestamp <= end) revert InferenceMarket_TooEarly(block.timestamp, end);
        revert InferenceMarket_OpenGames(session, node, _openGames[session][node]);
    }

    function _existing(bytes32 session) private view returns (StoredSession storage entry) {
        entry = _sessions[session];
        if (entry.user == address(0)) revert InferenceMarket_SessionUnknown(session);
    }

    function _existingLine(bytes32 session, address node) private view returns (StoredLine storage line) {
        line = _lines[session][node];
        if (line.cap == 0) revert InferenceMarket_LineUnknown(session, node);
    }

    /// @dev The line's own end if its node closed it (never later than the session's), else the session's, else that
    /// of a session that nobody closes.
    function _endOf(StoredSession storage entry, StoredLine storage line) private view returns (uint256) {
        return line.end != 0 ? line.end : _sessionEnd(entry);
    }

    /// @dev Fixed by whoever closes the session, else that of a session that nobody closes.
    function _sessionEnd(StoredSession storage entry) private view returns (uint256) {
        return entry.end != 0 ? entry.end : entry.expiry + challengeWindow;
    }

    /// @dev min(now, expiry) + W: closing late must not buy time.
    function _endIfClosedNow(StoredSession storage entry) private view returns (uint40) {
        uint256 start = block.timestamp < entry.expiry ? block.timestamp : entry.expiry;
        return (start + challengeWindow).toUint40();
    }

    /// @dev Basis points for the publisher, as the session was opened with. One without a share reads no second word.
    function _rateOf(StoredSession storage entry) private view returns (uint256) {
        return entry.hasShare ? entry.share : 0;
    }

    /// @dev The publisher's share of `amount`, rounded down. It never falls as `amount` rises.
    function _shareOf(uint256 amount, uint256 share) private pure returns (uint256) {
        return share == 0 ? 0 : amount * share / SHARE_DIVISOR;
    }

    function _requireValue(uint256 needed) private view {
        // INVARIANT: caps and their shares add up to the lock, to the wei: no line is backed by another session's money, and no
        // money comes in that no line could give back.
        if (msg.value != needed) revert InferenceMarket_WrongValue(msg.value, needed);
    }

    function _requireActive(address node) private view {
        // INVARIANT: an unbonding node's stake may leave before this session is over, and a convicted one has none.
        if (!nodes.isActive(node)) revert InferenceMarket_NodeNotActive(node);
    }

    function _requireDispute() private view {
        // INVARIANT: only the dispute contract, fixed at deployment, holds a line. Without one (zero) nobody can.
        if (msg.sender != dispute) revert InferenceMarket_NotDispute(msg.sender);
    }
}
