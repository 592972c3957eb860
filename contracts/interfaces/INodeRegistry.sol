// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "./IModelRegistry.sol";
import {IPullPayments} from "./IPullPayments.sol";

/// @title INodeRegistry
/// @notice Who serves, with what stake, where, and which layers. A node's id is the address that registered it.
/// @dev No owner: the vault, the dispute contract and all parameters are fixed at deployment.
interface INodeRegistry is IPullPayments {
    /// @notice The protocol's times, in seconds.
    struct Timing {
        uint40 longestSession; // T
        uint40 challengeWindow; // W
        uint40 clock; // C, per side of a game
        uint40 minimumMove; // M, per move of a game
    }

    /// @notice What the registry knows about a node.
    struct Node {
        address receiptKey; // signs its receipts; fixed for ever
        uint40 unbondableAfter; // its stake can leave after this timestamp; zero when it is not unbonding
        bool convicted; // lost a dispute; for ever
        uint128 stake; // wei
        uint64 openGames; // disputes that hold the stake
        bytes32 tlsKeyHash; // SHA-256 of the public key (SPKI) of its TLS certificate
        string endpoint; // host:port
    }

    /// @notice One node's offer to serve layers `[layerStart, layerEnd)` of a model version.
    struct Announcement {
        address node;
        uint16 layerStart;
        uint16 layerEnd;
        uint128 weiPerToken;
    }

    event Registered(address indexed node, address receiptKey, bytes32 tlsKeyHash, string endpoint, uint256 stake);
    event StakeAdded(address indexed node, uint256 amount, uint256 stake);
    event EndpointUpdated(address indexed node, bytes32 tlsKeyHash, string endpoint);
    event Announced(
        address indexed node, bytes32 indexed modelVersion, uint16 layerStart, uint16 layerEnd, uint128 weiPerToken
    );
    event AnnouncementRemoved(address indexed node, bytes32 indexed modelVersion);
    event UnbondRequested(address indexed node, uint256 unbondableAfter);
    event Unbonded(address indexed node, uint256 stake);
    event GameOpened(address indexed node, uint256 openGames);
    event GameClosed(address indexed node, uint256 openGames);

    /// @notice A node was convicted: `toVault + toBeneficiary` is its whole stake.
    event Slashed(address indexed node, uint256 toVault, address indexed beneficiary, uint256 toBeneficiary);

    /// @notice Thrown when the registry is deployed without a vault or with a zero parameter.
    error NodeRegistry_BadParameters();

    /// @notice Thrown when an address registers that has registered before, even if it has left since.
    error NodeRegistry_AlreadyRegistered(address node);

    /// @notice Thrown when an address is not a registered node.
    error NodeRegistry_Unknown(address node);

    /// @notice Thrown when a node acts, or is paid for, that is unbonding, gone or convicted.
    error NodeRegistry_NotActive(address node);

    /// @notice Thrown when a first stake is below the minimum.
    error NodeRegistry_StakeTooLow(uint256 sent, uint256 minimum);

    /// @notice Thrown when no money is sent with `addStake`, or more than fits.
    error NodeRegistry_BadAmount(uint256 sent);

    /// @notice Thrown when the receipt key or the TLS key hash is zero.
    error NodeRegistry_MissingKey(address receiptKey, bytes32 tlsKeyHash);

    /// @notice Thrown when an endpoint is empty or longer than `longest` bytes.
    error NodeRegistry_EndpointLength(uint256 length, uint256 longest);

    /// @notice Thrown when a layer range is empty or outside the version (zero layers: there is no such version).
    error NodeRegistry_BadLayers(bytes32 modelVersion, uint16 layerStart, uint16 layerEnd, uint16 layers);

    /// @notice Thrown when there is no announcement to remove.
    error NodeRegistry_NotAnnounced(address node, bytes32 modelVersion);

    /// @notice Thrown when somebody prunes an announcement of a node that is still active.
    error NodeRegistry_StillActive(address node);

    /// @notice Thrown when a node completes an unbonding that it never requested.
    error NodeRegistry_NotUnbonding(address node);

    /// @notice Thrown when the stake may not leave yet.
    error NodeRegistry_TooEarly(uint256 now_, uint256 unbondableAfter);

    /// @notice Thrown when a game comes after the stake may leave.
    error NodeRegistry_TooLate(uint256 now_, uint256 unbondableAfter);

    /// @notice Thrown when the stake may not leave because of open games, or none is left to close.
    error NodeRegistry_OpenGames(address node, uint256 openGames);

    /// @notice Thrown when a node was convicted before.
    error NodeRegistry_Convicted(address node);

    /// @notice Thrown when somebody else than the dispute contract uses its door.
    error NodeRegistry_NotDispute(address caller);

    /// @notice Registers the caller as a node; the money sent is its stake.
    /// @param endpoint where it listens, host:port.
    /// @param tlsKeyHash SHA-256 of the public key (SPKI) of its TLS certificate.
    /// @param receiptKey signs its receipts; cannot be changed.
    function register(string calldata endpoint, bytes32 tlsKeyHash, address receiptKey) external payable;

    /// @notice Adds the money sent to the caller's stake. Only an active node.
    function addStake() external payable;

    /// @notice Changes where the caller listens and with which TLS key. Only an active node.
    function updateEndpoint(string calldata endpoint, bytes32 tlsKeyHash) external;

    /// @notice Announces that the caller serves a layer range of a version; replaces what it announced for that
    /// version before. Only an active node.
    function announce(bytes32 modelVersion, uint16 layerStart, uint16 layerEnd, uint128 weiPerToken) external;

    /// @notice Removes the caller's announcement for a version.
    function withdrawAnnouncement(bytes32 modelVersion) external;

    /// @notice Removes the announcement of a node that is unbonding, gone or convicted. Anyone may call.
    function pruneAnnouncement(address node, bytes32 modelVersion) external;

    /// @notice Starts to leave: no new session can name the caller from now on. Cannot be undone.
    function requestUnbond() external;

    /// @notice Credits the caller's stake to its balance, `unbondingDelay()` after the request and with no game open;
    /// `withdraw` fetches it.
    function completeUnbond() external;

    /// @notice Holds a node's stake for one more game. Only the dispute contract, until the stake may leave.
    function openGame(address node) external;

    /// @notice Releases one game's hold. Only the dispute contract.
    function closeGame(address node) external;

    /// @notice Convicts a node and takes its whole stake, once: half of it, rounded up, for the vault and the rest for
    /// `beneficiary` (zero: all for the vault). Its unsettled lines are forfeited by that. Only the dispute contract.
    /// @dev A dispute contract that has several to pay names itself.
    /// @return taken the whole stake, wei.
    /// @return reward the part credited to `beneficiary`, wei.
    function slash(address node, address beneficiary) external returns (uint256 taken, uint256 reward);

    /// @notice What the registry knows about a node. Reverts when it never registered.
    function node(address id) external view returns (Node memory);

    /// @notice Whether a node is registered, not unbonding and not convicted.
    function isActive(address id) external view returns (bool);

    /// @notice Whether a node lost a dispute.
    function isConvicted(address id) external view returns (bool);

    /// @notice A node's stake, wei; zero when it has none, or never registered.
    function stakeOf(address node) external view returns (uint256);

    /// @notice The key that signs a node's receipts; zero when it never registered.
    function receiptKeyOf(address id) external view returns (address);

    /// @notice Up to `limit` node ids from `offset` on, in order of registration (those that left included).
    function nodes(uint256 offset, uint256 limit) external view returns (address[] memory page);

    /// @notice Number of nodes that ever registered.
    function nodeCount() external view returns (uint256);

    /// @notice Up to `limit` announcements for a version from `offset` on. The order changes when one is removed.
    /// A node that became inactive stays listed until it is pruned: ask `isActive`.
    function announcements(
        bytes32 modelVersion,
        uint256 offset,
        uint256 limit
    )
        external
        view
        returns (Announcement[] memory page);

    /// @notice Number of announcements for a version.
    function announcementCount(bytes32 modelVersion) external view returns (uint256);

    /// @notice A node's announcement for a version; all zero when there is none.
    function announcementOf(address id, bytes32 modelVersion) external view returns (Announcement memory);

    /// @notice The protocol's times.
    function timing() external view returns (Timing memory);

    /// @notice Longest game, `2C + 8M`, seconds: ten turns, five of each side, each side C in total and M a turn at least.
    function longestGame() external view returns (uint256);

    /// @notice Time between an unbonding request and the stake's release, `T + W + G`, seconds.
    function unbondingDelay() external view returns (uint256);

    /// @notice Smallest first stake, wei.
    function minimumStake() external view returns (uint256);

    /// @notice The registry that knows the versions: how many layers each has, who published it, for what share.
    function models() external view returns (IModelRegistry);

    /// @notice Where the vault's share goes.
    function vault() external view returns (address);

    /// @notice The dispute contract; zero when this deployment has none.
    function dispute() external view returns (address);
}
