// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {PullPayments} from "../market/PullPayments.sol";
import {Pages} from "./Pages.sol";

/// @title NodeRegistry
/// @dev See {INodeRegistry}.
contract NodeRegistry is INodeRegistry, PullPayments {
    using SafeCast for uint256;

    uint256 private constant LONGEST_ENDPOINT = 256;

    /// @inheritdoc INodeRegistry
    IModelRegistry public immutable models;

    /// @inheritdoc INodeRegistry
    address public immutable vault;

    /// @inheritdoc INodeRegistry
    /// @dev The dispute contract is deployed after this one: its address is computed from the deployer's nonce
    /// beforehand. There is no setter, so nobody, the deployer included, can ever put another judge here.
    address public immutable dispute;

    /// @inheritdoc INodeRegistry
    uint256 public immutable minimumStake;

    uint40 private immutable LONGEST_SESSION;
    uint40 private immutable CHALLENGE_WINDOW;
    uint40 private immutable CLOCK;
    uint40 private immutable MINIMUM_MOVE;

    mapping(address id => Node) private _nodes;
    address[] private _ids;
    mapping(bytes32 modelVersion => Announcement[]) private _announcements;

    /// @dev Position of a node's announcement in its version's list, counted from 1; zero: none.
    mapping(bytes32 modelVersion => mapping(address id => uint256)) private _positions;

    modifier onlyDispute() {
        _requireDispute();
        _;
    }

    modifier onlyActive() {
        _requireActive();
        _;
    }

    constructor(
        IModelRegistry models_,
        address vault_,
        address dispute_,
        uint256 minimumStake_,
        Timing memory timing_
    ) {
        // INVARIANT: a zero time would let a move and its deadline fall together; a zero stake deters nobody; with
        // M above C ten turns would last longer than the 2C + 8M for which stakes are held.
        if (
            vault_ == address(0) || minimumStake_ == 0 || timing_.longestSession == 0 || timing_.challengeWindow == 0
                || timing_.clock == 0 || timing_.minimumMove == 0 || timing_.minimumMove > timing_.clock
        ) revert NodeRegistry_BadParameters();
        models = models_;
        vault = vault_;
        dispute = dispute_;
        minimumStake = minimumStake_;
        LONGEST_SESSION = timing_.longestSession;
        CHALLENGE_WINDOW = timing_.challengeWindow;
        CLOCK = timing_.clock;
        MINIMUM_MOVE = timing_.minimumMove;
    }

    // ---------------------------------------------------------------- joining and serving

    /// @inheritdoc INodeRegistry
    function register(string calldata endpoint, bytes32 tlsKeyHash, address receiptKey) external payable {
        // INVARIANT: the receipt key is fixed per node id for ever. A node that left could otherwise come back with
        // another key and repudiate its receipts, and a convicted one could come back at all.
        if (_nodes[msg.sender].receiptKey != address(0)) revert NodeRegistry_AlreadyRegistered(msg.sender);
        // INVARIANT: the stake covers what a dispute costs.
        if (msg.value < minimumStake) revert NodeRegistry_StakeTooLow(msg.value, minimumStake);
        // INVARIANT: ecrecover answers zero for garbage, so a zero receipt key would sign anything.
        if (receiptKey == address(0) || tlsKeyHash == 0) revert NodeRegistry_MissingKey(receiptKey, tlsKeyHash);
        _requireEndpoint(endpoint);

        Node storage entry = _nodes[msg.sender];
        entry.receiptKey = receiptKey;
        entry.stake = msg.value.toUint128();
        entry.tlsKeyHash = tlsKeyHash;
        entry.endpoint = endpoint;
        _ids.push(msg.sender);
        emit Registered(msg.sender, receiptKey, tlsKeyHash, endpoint, msg.value);
    }

    /// @inheritdoc INodeRegistry
    function addStake() external payable onlyActive {
        if (msg.value == 0) revert NodeRegistry_BadAmount(msg.value);
        uint256 stake = _nodes[msg.sender].stake + msg.value;
        _nodes[msg.sender].stake = stake.toUint128();
        emit StakeAdded(msg.sender, msg.value, stake);
    }

    /// @inheritdoc INodeRegistry
    function updateEndpoint(string calldata endpoint, bytes32 tlsKeyHash) external onlyActive {
        if (tlsKeyHash == 0) revert NodeRegistry_MissingKey(_nodes[msg.sender].receiptKey, tlsKeyHash);
        _requireEndpoint(endpoint);
        _nodes[msg.sender].tlsKeyHash = tlsKeyHash;
        _nodes[msg.sender].endpoint = endpoint;
        emit EndpointUpdated(msg.sender, tlsKeyHash, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function announce(
        bytes32 modelVersion,
        uint16 layerStart,
        uint16 layerEnd,
        uint128 weiPerToken
    )
        external
        onlyActive
    {
        uint16 layers = models.layersOf(modelVersion);
        if (layerStart >= layerEnd || layerEnd > layers) {
            revert NodeRegistry_BadLayers(modelVersion, layerStart, layerEnd, layers);
        }

        // INVARIANT: one announcement per node and version: each entry of the list is backed by a stake of its own.
        Announcement[] storage list = _announcements[modelVersion];
        uint256 position = _positions[modelVersion][msg.sender];
        if (position == 0) {
            list.push();
            position = list.length;
            _positions[modelVersion][msg.sender] = position;
        }
        list[position - 1] =
            Announcement({node: msg.sender, layerStart: layerStart, layerEnd: layerEnd, weiPerToken: weiPerToken});
        emit Announced(msg.sender, modelVersion, layerStart, layerEnd, weiPerToken);
    }

    /// @inheritdoc INodeRegistry
    function withdrawAnnouncement(bytes32 modelVersion) external {
        _removeAnnouncement(msg.sender, modelVersion);
    }

    /// @inheritdoc INodeRegistry
    function pruneAnnouncement(address id, bytes32 modelVersion) external {
        // INVARIANT: nobody takes an active node out of the list but itself.
        if (isActive(id)) revert NodeRegistry_StillActive(id);
        _removeAnnouncement(id, modelVersion);
    }

    // ---------------------------------------------------------------- leaving

    /// @inheritdoc INodeRegistry
    function requestUnbond() external onlyActive {
        uint256 unbondableAfter = block.timestamp + unbondingDelay();
        _nodes[msg.sender].unbondableAfter = unbondableAfter.toUint40();
        emit UnbondRequested(msg.sender, unbondableAfter);
    }

    /// @inheritdoc INodeRegistry
    function completeUnbond() external {
        Node storage entry = _nodes[msg.sender];
        // INVARIANT: a slashed node never withdraws.
        if (entry.convicted) revert NodeRegistry_Convicted(msg.sender);
        uint256 stake = entry.stake;
        if (entry.unbondableAfter == 0 || stake == 0) revert NodeRegistry_NotUnbonding(msg.sender);
        // INVARIANT: a session opened in the second before the request can run T, be challenged for W and be played
        // for G: until all of that is over the stake must be there to be taken.
        if (block.timestamp <= entry.unbondableAfter) {
            revert NodeRegistry_TooEarly(block.timestamp, entry.unbondableAfter);
        }
        // INVARIANT: a game that is still open holds the stake, whatever the clock says.
        if (entry.openGames != 0) revert NodeRegistry_OpenGames(msg.sender, entry.openGames);

        entry.stake = 0;
        _credit(msg.sender, stake);
        emit Unbonded(msg.sender, stake);
    }

    // ---------------------------------------------------------------- the dispute's door

    /// @inheritdoc INodeRegistry
    function openGame(address id) external onlyDispute {
        Node storage entry = _registered(id);
        // INVARIANT: there is nothing left to win from a convicted node.
        if (entry.convicted) revert NodeRegistry_Convicted(id);
        // INVARIANT: a stake that may leave can leave: games about the last sessions open before that, and nobody holds
        // a leaving stake for ever by opening one game after the other.
        if (entry.unbondableAfter != 0 && block.timestamp > entry.unbondableAfter) {
            revert NodeRegistry_TooLate(block.timestamp, entry.unbondableAfter);
        }
        uint64 games = ++entry.openGames;
        emit GameOpened(id, games);
    }

    /// @inheritdoc INodeRegistry
    function closeGame(address id) external onlyDispute {
        Node storage entry = _registered(id);
        // INVARIANT: games close once each; an underflow would hold the stake for ever. Games against a node that was
        // convicted elsewhere close too, so that their bonds return.
        if (entry.openGames == 0) revert NodeRegistry_OpenGames(id, 0);
        uint64 games = --entry.openGames;
        emit GameClosed(id, games);
    }

    /// @inheritdoc INodeRegistry
    function slash(address id, address beneficiary) external onlyDispute returns (uint256 taken, uint256 reward) {
        Node storage entry = _registered(id);
        // INVARIANT: a stake is taken once, never more.
        if (entry.convicted) revert NodeRegistry_Convicted(id);
        taken = entry.stake;
        // INVARIANT: the whole stake, and at least half of it out of everybody's reach: otherwise a node that is about
        // to be caught slashes itself through a friend and gets its money back.
        reward = beneficiary == address(0) ? 0 : taken / 2;

        entry.convicted = true;
        entry.stake = 0;
        _credit(vault, taken - reward);
        _credit(beneficiary, reward);
        emit Slashed(id, taken - reward, beneficiary, reward);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc INodeRegistry
    function node(address id) external view returns (Node memory) {
        return _registered(id);
    }

    /// @inheritdoc INodeRegistry
    function isConvicted(address id) external view returns (bool) {
        return _nodes[id].convicted;
    }

    /// @inheritdoc INodeRegistry
    function stakeOf(address id) external view returns (uint256) {
        return _nodes[id].stake;
    }

    /// @inheritdoc INodeRegistry
    function receiptKeyOf(address id) external view returns (address) {
        return _nodes[id].receiptKey;
    }

    /// @inheritdoc INodeRegistry
    function nodes(uint256 offset, uint256 limit) external view returns (address[] memory page) {
        page = new address[](Pages.size(offset, limit, _ids.length));
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = _ids[offset + i];
        }
    }

    /// @inheritdoc INodeRegistry
    function nodeCount() external view returns (uint256) {
        return _ids.length;
    }

    /// @inheritdoc INodeRegistry
    function announcements(
        bytes32 modelVersion,
        uint256 offset,
        uint256 limit
    )
        external
        view
        returns (Announcement[] memory page)
    {
        Announcement[] storage list = _announcements[modelVersion];
        page = new Announcement[](Pages.size(offset, limit, list.length));
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = list[offset + i];
        }
    }

    /// @inheritdoc INodeRegistry
    function announcementCount(bytes32 modelVersion) external view returns (uint256) {
        return _announcements[modelVersion].length;
    }

    /// @inheritdoc INodeRegistry
    function announcementOf(address id, bytes32 modelVersion) external view returns (Announcement memory found) {
        uint256 position = _positions[modelVersion][id];
        if (position != 0) found = _announcements[modelVersion][position - 1];
    }

    /// @inheritdoc INodeRegistry
    function timing() external view returns (Timing memory) {
        return Timing({
            longestSession: LONGEST_SESSION, challengeWindow: CHALLENGE_WINDOW, clock: CLOCK, minimumMove: MINIMUM_MOVE
        });
    }

    /// @inheritdoc INodeRegistry
    function isActive(address id) public view returns (bool) {
        Node storage entry = _nodes[id];
        return entry.receiptKey != address(0) && entry.unbondableAfter == 0 && !entry.convicted;
    }

    /// @inheritdoc INodeRegistry
    function longestGame() public view returns (uint256) {
        return 2 * uint256(CLOCK) + 8 * uint256(MINIMUM_MOVE);
    }

    /// @inheritdoc INodeRegistry
    function unbondingDelay() public view returns (uint256) {
        return uint256(LONGEST_SESSION) + CHALLENGE_WINDOW + longestGame();
    }

    // ---------------------------------------------------------------- inside

    /// @dev Moves the last entry into the gap: constant cost, whatever the length of the list.
    function _removeAnnouncement(address id, bytes32 modelVersion) private {
        uint256 position = _positions[modelVersion][id];
        if (position == 0) revert NodeRegistry_NotAnnounced(id, modelVersion);
        Announcement[] storage list = _announcements[modelVersion];
        Announcement memory last = list[list.length - 1];
        list[position - 1] = last;
        _positions[modelVersion][last.node] = position;
        // After the line above, so that removing the last entry itself leaves no position behind.
        delete _positions[modelVersion][id];
        list.pop();
        emit AnnouncementRemoved(id, modelVersion);
    }

    function _registered(address id) private view returns (Node storage entry) {
        entry = _nodes[id];
        if (entry.receiptKey == address(0)) revert NodeRegistry_Unknown(id);
    }

    function _requireDispute() private view {
        // INVARIANT: only the dispute contract, fixed at deployment, holds or takes a stake. Without one (zero) nobody
        // can, as no transaction comes from the zero address.
        if (msg.sender != dispute) revert NodeRegistry_NotDispute(msg.sender);
    }

    function _requireActive() private view {
        // INVARIANT: a node on its way out, or convicted, takes no new stake, name or offer.
        if (!isActive(msg.sender)) revert NodeRegistry_NotActive(msg.sender);
    }

    function _requireEndpoint(string calldata endpoint) private pure {
        uint256 length = bytes(endpoint).length;
        if (length == 0 || length > LONGEST_ENDPOINT) revert NodeRegistry_EndpointLength(length, LONGEST_ENDPOINT);
    }
}
