// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IModelRegistry
/// @notice Immutable model versions: what exactly a node claims to run.
/// @dev Certificates of a version are anchored in the CertificateRegistry under the version's id.
interface IModelRegistry {
    /// @notice Semantic version; ordered by major, then minor, then patch.
    struct SemVer {
        uint16 major;
        uint16 minor;
        uint16 patch;
    }

    /// @notice What a publisher states about a version.
    struct ModelVersion {
        bytes32 weightsRoot; // RFC 9162 root over all tensors
        bytes32 programRoot; // RFC 9162 root over the op descriptors
        bytes32 tokenizerHash; // SHA-256 of the tokenizer file
        bytes32 parent; // id of the version this one came from; zero for a first version
        uint128 pricePerToken; // suggested wei per token over all layers; the binding price is in the signed order
        uint16 layers;
        SemVer semver;
        string manifestCid; // CIDv1 of the manifest
    }

    /// @notice What a publisher asks for a version beside what its nodes earn. No part of the version: it may change.
    struct Share {
        address publisher; // whom it is paid to; never changes
        uint16 basisPoints; // parts in 10 000 of what nodes earn, paid by the user on top
        uint64 since; // timestamp at which it last rose from zero; zero while it was never above
    }

    /// @notice A version was published under `id`.
    event Published(bytes32 indexed id, address indexed publisher, bytes32 indexed parent, string manifestCid);

    /// @notice The publisher asks for `basisPoints` of what nodes earn, in sessions that are opened from now on.
    event ShareSet(bytes32 indexed id, address indexed publisher, uint256 basisPoints);

    /// @notice Thrown when the same publisher publishes the same version again.
    error ModelRegistry_AlreadyPublished(bytes32 id);

    /// @notice Thrown when an id is not a published version.
    error ModelRegistry_Unknown(bytes32 id);

    /// @notice Thrown when a root, the tokenizer hash or the number of layers is zero.
    error ModelRegistry_Incomplete(bytes32 weightsRoot, bytes32 programRoot, bytes32 tokenizerHash, uint16 layers);

    /// @notice Thrown when the manifest CID is empty or longer than `longest` bytes.
    error ModelRegistry_CidLength(uint256 length, uint256 longest);

    /// @notice Thrown when a child's version is not above its parent's.
    error ModelRegistry_SemVerMustRise(SemVer parent, SemVer child);

    /// @notice Thrown when somebody else than its publisher sets the share of a version.
    error ModelRegistry_NotPublisher(bytes32 id, address caller, address publisher);

    /// @notice Thrown when a share is above `most`.
    error ModelRegistry_ShareTooHigh(uint256 basisPoints, uint256 most);

    /// @notice Publishes a version for ever; the caller is its publisher.
    /// @return id keccak256(abi.encode(publisher, modelVersion)): nobody can take an id that another would get.
    function publish(ModelVersion calldata modelVersion) external returns (bytes32 id);

    /// @notice Sets what the caller asks for a version of its own beside what nodes earn; zero for nothing. It counts in
    /// sessions that are opened afterwards: one that stands keeps what it was opened with.
    function setShare(bytes32 id, uint16 basisPoints) external;

    /// @notice The id `publish` gives to this version of this publisher.
    function idOf(address publisher, ModelVersion calldata modelVersion) external pure returns (bytes32 id);

    /// @notice A published version. Reverts when there is none.
    function version(bytes32 id) external view returns (ModelVersion memory);

    /// @notice Who published `id`; zero when there is no such version.
    function publisherOf(bytes32 id) external view returns (address);

    /// @notice What the publisher of `id` asks beside what nodes earn. Reverts when there is no such version.
    function shareOf(bytes32 id) external view returns (Share memory);

    /// @notice The highest share that can be set, basis points.
    function mostShare() external pure returns (uint256);

    /// @notice Number of layers of `id`; zero when there is no such version.
    function layersOf(bytes32 id) external view returns (uint16);

    /// @notice Up to `limit` ids from `offset` on, in order of publishing.
    function versions(uint256 offset, uint256 limit) external view returns (bytes32[] memory page);

    /// @notice Number of published versions.
    function versionCount() external view returns (uint256);
}
