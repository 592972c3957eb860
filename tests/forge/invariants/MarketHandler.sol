// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {GenesisVault} from "../../../contracts/market/GenesisVault.sol";
import {InferenceMarket} from "../../../contracts/market/InferenceMarket.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {ModelRegistry} from "../../../contracts/models/ModelRegistry.sol";
import {NodeRegistry} from "../../../contracts/nodes/NodeRegistry.sol";
import {DisputeDouble} from "../doubles/DisputeDouble.sol";

/// @notice Random users, nodes, publishers, strangers and a random judge. Beside the contracts it keeps its own books,
/// written after the protocol's text: what is locked in each line, and beside it for a publisher, what each line has
/// earned, who is owed what.
/// @dev Amounts come from the contracts' inputs only; the books never read a contract's amounts.
contract MarketHandler is CommonBase, StdCheats, StdUtils {
    struct Line {
        bytes32 session;
        address user;
        address node;
        uint256 cap;
        uint256 earned;
        uint256 locked;
        uint256 end;
        uint256 games;
        bool ended; // its end is fixed
        uint256 share; // basis points, as they stood when the session was opened
        uint256 beside; // locked for the publisher
        address publisher;
    }

    uint256 internal constant KEY = uint256(keccak256("one key for all sessions"));

    NodeRegistry internal immutable NODES;
    InferenceMarket internal immutable MARKET;
    GenesisVault internal immutable VAULT;
    DisputeDouble internal immutable DISPUTE;
    ModelRegistry internal immutable MODELS;
    uint256 internal immutable T;
    uint256 internal immutable W;

    address[] public users;
    address[] public operators;
    address internal publisher = makeAddr("publisher"); // of the first version; the first user publishes the second
    bytes32[2] internal _versions;
    mapping(bytes32 version => uint256) internal _asked;
    address internal watcher = makeAddr("watcher"); // earns the rewards

    Line[] internal _lines;
    bytes32[] internal _sessions;
    mapping(bytes32 session => uint256) internal _expiry;
    mapping(bytes32 session => bool) internal _closed;

    mapping(address who => uint256) public owedByMarket;
    mapping(address who => uint256) public owedByNodes;
    mapping(address node => uint256) public stakeOf;
    mapping(address node => bool) public convicted;

    uint256 internal _now;

    /// @dev Every move happens at the handler's own time: forge does not carry a warp from call to call.
    modifier move() {
        vm.warp(_now);
        _;
    }

    constructor(NodeRegistry nodes, InferenceMarket market, GenesisVault vault, DisputeDouble dispute) {
        (NODES, MARKET, VAULT, DISPUTE) = (nodes, market, vault, dispute);
        MODELS = ModelRegistry(address(market.models()));
        (T, W, _now) = (market.longestSession(), market.challengeWindow(), block.timestamp);
        for (uint256 i = 0; i < 3; ++i) {
            users.push(makeAddr(string.concat("user ", vm.toString(i))));
        }
        for (uint256 i = 0; i < 4; ++i) {
            _newOperator(1 ether);
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(_publisherOf(i));
            _versions[i] = MODELS.publish(
                IModelRegistry.ModelVersion({
                    weightsRoot: "weights",
                    programRoot: "program",
                    tokenizerHash: "tokenizer",
                    parent: 0,
                    pricePerToken: 1,
                    layers: 1,
                    semver: IModelRegistry.SemVer({major: 1, minor: 0, patch: 0}),
                    manifestCid: "bafk"
                })
            );
        }
    }

    // ---------------------------------------------------------------- publishers

    function setShare(uint256 which, uint16 share) external move {
        share = uint16(bound(share, 0, 2000));
        vm.prank(_publisherOf(which % 2));
        MODELS.setShare(_versions[which % 2], share);
        _asked[_versions[which % 2]] = share;
    }

    // ---------------------------------------------------------------- users

    /// @dev One time out of three for no version.
    function open(uint256 who, uint256 first, uint256 second, uint96 cap, uint256 lifetime, uint8 which) external move {
        address user = users[who % users.length];
        (address one, address two) = (_operator(first), _operator(second));
        if (!NODES.isActive(one)) one = two;
        if (!NODES.isActive(two)) two = one;
        if (!NODES.isActive(one)) return;
        uint256 count = one == two ? 1 : 2;
        IInferenceMarket.Cap[] memory caps = new IInferenceMarket.Cap[](count);
        uint128 amount = uint128(bound(cap, 1, 100 ether));
        caps[0] = IInferenceMarket.Cap({node: one, cap: amount});
        if (count == 2) caps[1] = IInferenceMarket.Cap({node: two, cap: amount / 2 + 1});

        _expiry[MARKET.sessionId(user, bytes32(_sessions.length))] = _now + bound(lifetime, 1, T);
        _open(user, caps, which % 3);
    }

    function _open(address user, IInferenceMarket.Cap[] memory caps, uint256 which) private {
        bytes32 session = MARKET.sessionId(user, bytes32(_sessions.length));
        uint256 share = which == 2 ? 0 : _asked[_versions[which]];
        uint256 value;
        for (uint256 i = 0; i < caps.length; ++i) {
            address payee = which == 2 ? address(0) : _publisherOf(which);
            value += caps[i].cap + _pushLine(session, user, caps[i].node, caps[i].cap, share, payee);
        }
        vm.deal(user, value);
        vm.prank(user);
        uint64 expiry = uint64(_expiry[session]);
        if (which == 2) {
            MARKET.open{value: value}(vm.addr(KEY), expiry, caps, bytes32(_sessions.length));
        } else {
            bytes32 nonce = bytes32(_sessions.length);
            MARKET.openFor{value: value}(_versions[which], uint16(share), vm.addr(KEY), expiry, caps, nonce);
        }
        _sessions.push(session);
    }

    function allot(uint256 which, uint256 node, uint96 more) external move {
        if (_lines.length == 0) return;
        Line storage any = _lines[which % _lines.length];
        bytes32 session = any.session;
        address operator = _operator(node);
        if (_closed[session] || _now > _expiry[session] || !NODES.isActive(operator)) return;
        more = uint96(bound(more, 1, 100 ether));
        uint256 index = _find(session, operator);
        if (index != type(uint256).max && _lines[index].ended) return;
        uint256 cap = more + (index == type(uint256).max ? 0 : _lines[index].cap);

        uint256 added;
        if (index == type(uint256).max) {
            added = _pushLine(session, any.user, operator, cap, any.share, any.publisher);
        } else {
            added = _beside(cap, any.share) - _lines[index].beside;
            _lines[index].cap = cap;
            _lines[index].locked = cap;
            _lines[index].beside += added;
        }
        vm.deal(any.user, more + added);
        vm.prank(any.user);
        MARKET.allot{value: more + added}(session, operator, uint128(cap));
    }

    /// @dev Sums from far below to above the cap, in any order, at any time, by anyone.
    function post(uint256 which, uint96 sum, bool recent) external move {
        if (_lines.length == 0) return;
        uint256 among = recent && _lines.length > 4 ? 4 : _lines.length;
        Line storage line = _lines[_lines.length - 1 - which % among];
        uint256 offered = bound(sum, 0, line.cap + line.cap / 8);
        SignedDocuments.Line[] memory lines = new SignedDocuments.Line[](1);
        lines[0] = SignedDocuments.Line({node: line.node, cumulative: uint128(offered)});
        SignedDocuments.Voucher memory voucher = SignedDocuments.Voucher({session: line.session, lines: lines});
        bytes32 digest = SignedDocuments.digest(MARKET.domainSeparator(), SignedDocuments.hash(voucher));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);

        bool acceptable = offered <= line.cap && _now <= line.end;
        try MARKET.post(voucher, abi.encodePacked(r, s, v)) {
            require(acceptable, "books: a voucher counted that must not");
        } catch {
            require(!acceptable, "books: a good voucher was refused");
        }
        if (acceptable && offered > line.earned) line.earned = offered;
    }

    function close(uint256 which, bool byUser) external move {
        if (_lines.length == 0) return;
        Line storage any = _lines[which % _lines.length];
        bytes32 session = any.session;
        if (_closed[session] || (!byUser && _now <= _expiry[session])) return;
        vm.prank(byUser ? any.user : watcher);
        MARKET.close(session);
        _closed[session] = true;
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_lines[i].session == session && !_lines[i].ended) _end(_lines[i]);
        }
    }

    // ---------------------------------------------------------------- nodes

    function register(uint96 stake) external move {
        if (operators.length < 12) _newOperator(bound(stake, 1 ether, 10 ether));
    }

    function addStake(uint256 node, uint96 amount) external move {
        address operator = _operator(node);
        if (!NODES.isActive(operator)) return;
        amount = uint96(bound(amount, 1, 10 ether));
        vm.deal(operator, operator.balance + amount);
        vm.prank(operator);
        NODES.addStake{value: amount}();
        stakeOf[operator] += amount;
    }

    function requestUnbond(uint256 node, uint8 dice) external move {
        address operator = _operator(node);
        if (dice > 60 || !NODES.isActive(operator)) return; // seldom, or nobody is left to play with
        vm.prank(operator);
        NODES.requestUnbond();
    }

    function completeUnbond(uint256 node) external move {
        address operator = _operator(node);
        vm.prank(operator);
        try NODES.completeUnbond() {
            require(!convicted[operator], "books: a slashed node took its stake");
            owedByNodes[operator] += stakeOf[operator];
            stakeOf[operator] = 0;
        } catch {}
    }

    function closeLine(uint256 which) external move {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        if (line.ended || _closed[line.session] || _now > line.end) return;
        vm.prank(line.node);
        MARKET.closeLine(line.session);
        _end(line);
    }

    // ---------------------------------------------------------------- settlement

    /// @dev Three times out of four a line whose window is over, if there is one.
    function settle(uint256 which, uint8 dice) external move {
        if (_lines.length == 0) return;
        Line storage line = _lines[dice < 192 ? _due(which % _lines.length) : which % _lines.length];
        try MARKET.settle(line.session, line.node) {
            _bookSettlement(line, true);
        } catch {
            _bookSettlement(line, false);
        }
    }

    function settleMany(uint256 which) external move {
        if (_lines.length == 0) return;
        bytes32 session = _lines[_due(which % _lines.length)].session;
        MARKET.settleMany(session, operators);
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_lines[i].session == session) _bookSettlement(_lines[i], _payable(_lines[i]));
        }
    }

    function withdraw(uint256 who, bool fromMarket) external move {
        address[] memory all = everybody();
        address payee = all[who % all.length];
        if (payee == address(VAULT)) return _collect();
        mapping(address => uint256) storage owed = fromMarket ? owedByMarket : owedByNodes;
        IPullPayments source = fromMarket ? IPullPayments(MARKET) : IPullPayments(NODES);
        if (owed[payee] == 0) return;
        vm.prank(payee);
        require(source.withdraw() == owed[payee], "books: another amount left");
        owed[payee] = 0;
    }

    // ---------------------------------------------------------------- the judge

    function openGame(uint256 which) external move {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        uint256 end = MARKET.sessionOf(line.session).end;
        if (end == 0) end = _expiry[line.session] + W;
        if (_now > end || convicted[line.node]) return; // the line may be over, and settled
        if (!NODES.isActive(line.node) && _now > NODES.node(line.node).unbondableAfter) return;
        DISPUTE.open(line.session, line.node);
        ++line.games;
    }

    function closeGame(uint256 which) external move {
        if (_lines.length == 0) return;
        Line storage line = _lines[which % _lines.length];
        if (line.games == 0) return;
        DISPUTE.close(line.session, line.node);
        --line.games;
    }

    function convict(uint256 node, bool self, uint8 dice) external move {
        address operator = _operator(node);
        if (dice > 60 || convicted[operator]) return; // seldom
        address rewarded = self ? operator : watcher;
        DISPUTE.convict(operator, rewarded);
        uint256 stake = stakeOf[operator];
        stakeOf[operator] = 0;
        convicted[operator] = true;
        owedByNodes[rewarded] += stake / 2;
        owedByNodes[address(VAULT)] += stake - stake / 2;
    }

    // ---------------------------------------------------------------- time and the end

    function pass(uint256 seconds_) external move {
        _now += bound(seconds_, 1, T / 3);
    }

    /// @notice All games end, everything is settled, every stake leaves, everybody withdraws.
    function sweep() external {
        _now += 10 * (T + W) + NODES.unbondingDelay();
        vm.warp(_now);
        for (uint256 i = 0; i < _lines.length; ++i) {
            while (_lines[i].games != 0) {
                DISPUTE.close(_lines[i].session, _lines[i].node);
                --_lines[i].games;
            }
            if (_lines[i].locked != 0 || !MARKET.lineOf(_lines[i].session, _lines[i].node).settled) {
                MARKET.settle(_lines[i].session, _lines[i].node);
                _bookSettlement(_lines[i], true);
            }
        }
        for (uint256 i = 0; i < operators.length; ++i) {
            if (!NODES.isActive(operators[i])) continue;
            vm.prank(operators[i]);
            NODES.requestUnbond();
        }
        _now += NODES.unbondingDelay() + 1;
        vm.warp(_now);
        for (uint256 i = 0; i < operators.length; ++i) {
            if (stakeOf[operators[i]] != 0) {
                vm.prank(operators[i]);
                NODES.completeUnbond();
                stakeOf[operators[i]] = 0;
            }
            _empty(operators[i]);
        }
        for (uint256 i = 0; i < users.length; ++i) {
            _empty(users[i]);
        }
        _empty(watcher);
        _empty(publisher);
        _collect();
    }

    // ---------------------------------------------------------------- what the books say

    /// @notice For nodes, vault and publishers.
    function lockedInLines() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _lines.length; ++i) {
            sum += _lines[i].locked + _lines[i].beside;
        }
    }

    function staked() external view returns (uint256 sum) {
        for (uint256 i = 0; i < operators.length; ++i) {
            sum += stakeOf[operators[i]];
        }
    }

    function everybody() public view returns (address[] memory all) {
        all = new address[](users.length + operators.length + 3);
        for (uint256 i = 0; i < users.length; ++i) {
            all[i] = users[i];
        }
        for (uint256 i = 0; i < operators.length; ++i) {
            all[users.length + i] = operators[i];
        }
        all[all.length - 3] = publisher;
        all[all.length - 2] = watcher;
        all[all.length - 1] = address(VAULT);
    }

    function allLines() external view returns (Line[] memory) {
        return _lines;
    }

    function operatorCount() external view returns (uint256) {
        return operators.length;
    }

    // ---------------------------------------------------------------- inside

    function _newOperator(uint256 stake) private {
        address operator = makeAddr(string.concat("operator ", vm.toString(operators.length)));
        vm.deal(operator, stake);
        vm.prank(operator);
        NODES.register{value: stake}("localhost:1", "tls", operator);
        operators.push(operator);
        stakeOf[operator] = stake;
    }

    function _operator(uint256 seed) private view returns (address) {
        return operators[seed % operators.length];
    }

    /// @dev Returns what is locked beside the cap.
    function _pushLine(
        bytes32 session,
        address user,
        address node,
        uint256 cap,
        uint256 share,
        address payee
    )
        private
        returns (uint256)
    {
        Line storage line = _lines.push();
        (line.session, line.user, line.node, line.publisher) = (session, user, node, payee);
        (line.cap, line.locked, line.share, line.beside) = (cap, cap, share, _beside(cap, share));
        line.end = _expiry[session] + W;
        return line.beside;
    }

    function _beside(uint256 amount, uint256 share) private pure returns (uint256) {
        return amount * share / 10_000;
    }

    function _publisherOf(uint256 which) private view returns (address) {
        return which == 0 ? publisher : users[0];
    }

    function _find(bytes32 session, address node) private view returns (uint256) {
        for (uint256 i = 0; i < _lines.length; ++i) {
            if (_lines[i].session == session && _lines[i].node == node) return i;
        }
        return type(uint256).max;
    }

    /// @dev The first line from `start` on that can move money, or `start`.
    function _due(uint256 start) private view returns (uint256) {
        for (uint256 i = 0; i < _lines.length; ++i) {
            uint256 at = (start + i) % _lines.length;
            if (_payable(_lines[at])) return at;
        }
        return start;
    }

    function _end(Line storage line) private {
        uint256 expiry = _expiry[line.session];
        line.end = (_now < expiry ? _now : expiry) + W;
        line.ended = true;
    }

    /// @dev Whether a settlement moves money, by the protocol's text. A line with nothing locked may be settled as a
    /// formality (all refunded while a game ran): that moves none.
    function _payable(Line storage line) private view returns (bool) {
        if (_now <= line.end || line.locked == 0) return false;
        return convicted[line.node] || line.games == 0 || line.locked != line.earned;
    }

    function _bookSettlement(Line storage line, bool happened) private {
        if (line.locked == 0) return;
        require(happened == _payable(line), "books: settled when it must not, or not when it must");
        if (!happened) return;
        if (convicted[line.node]) {
            owedByMarket[line.user] += line.locked + line.beside;
            line.locked = line.beside = 0;
        } else if (line.games == 0) {
            uint256 toPublisher = _beside(line.earned, line.share);
            owedByMarket[line.user] += line.locked - line.earned + line.beside - toPublisher;
            owedByMarket[address(VAULT)] += line.earned / 10;
            owedByMarket[line.node] += line.earned - line.earned / 10;
            owedByMarket[line.publisher] += toPublisher;
            line.locked = line.beside = 0;
        } else {
            owedByMarket[line.user] += line.locked - line.earned + line.beside - _beside(line.earned, line.share);
            line.locked = line.earned;
            line.beside = _beside(line.earned, line.share);
        }
    }

    function _collect() private {
        address vault = address(VAULT);
        if (owedByMarket[vault] != 0) require(VAULT.collect(MARKET) == owedByMarket[vault], "books: vault, market");
        if (owedByNodes[vault] != 0) require(VAULT.collect(NODES) == owedByNodes[vault], "books: vault, nodes");
        owedByMarket[vault] = owedByNodes[vault] = 0;
    }

    function _empty(address who) private {
        vm.startPrank(who);
        if (MARKET.balanceOf(who) != 0) MARKET.withdraw();
        if (NODES.balanceOf(who) != 0) NODES.withdraw();
        vm.stopPrank();
    }
}
