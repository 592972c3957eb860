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

    /// @notice A version was published under `id`.
    event Published(bytes32 indexed id, address indexed publisher, bytes32 indexed parent, string manifestCid);

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

    /// @notice Publishes a version for ever; the caller is its publisher.
    /// @return id keccak256(abi.encode(publisher, modelVersion)): nobody can take an id that another would get.
    function publish(ModelVersion calldata modelVersion) external returns (bytes32 id);

    /// @notice The id `publish` gives to this version of this publisher.
    function idOf(address publisher, ModelVersion calldata modelVersion) external pure returns (bytes32 id);

    /// @notice A published version. Reverts when there is none.
    function version(bytes32 id) external view returns (ModelVersion memory);

    /// @notice Who published `id`; zero when there is no such version.
    function publisherOf(bytes32 id) external view returns (address);

    /// @notice Number of layers of `id`; zero when there is no such version.
    function layersOf(bytes32 id) external view returns (uint16);

    /// @notice Up to `limit` ids from `offset` on, in order of publishing.
    function versions(uint256 offset, uint256 limit) external view returns (bytes32[] memory page);

    /// @notice Number of published versions.
    function versionCount() external view returns (uint256);
}
