// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ICertificateRegistry
/// @notice Anchors one certificate for a model version, by its publisher, for ever.
interface ICertificateRegistry {
    /// @notice An anchored certificate.
    struct Certificate {
        string cid; // CIDv1 of the canonical JSON
        bytes32 contentHash; // SHA-256 of the canonical JSON
        uint64 anchoredAt; // timestamp, seconds; zero when there is none
    }

    /// @notice A certificate was anchored.
    event Anchored(bytes32 indexed modelVersion, address indexed publisher, bytes32 contentHash, string cid);

    /// @notice Thrown when somebody else than the version's publisher anchors (also when there is no such version).
    error CertificateRegistry_NotPublisher(bytes32 modelVersion, address caller, address publisher);

    /// @notice Thrown when the version has a certificate already.
    error CertificateRegistry_AlreadyAnchored(bytes32 modelVersion);

    /// @notice Thrown when the CID is empty or longer than `longest` bytes.
    error CertificateRegistry_CidLength(uint256 length, uint256 longest);

    /// @notice Thrown when the content hash is zero.
    error CertificateRegistry_NoContentHash();

    /// @notice Anchors the certificate of a version. Only its publisher, only once.
    function anchor(bytes32 modelVersion, string calldata cid, bytes32 contentHash) external;

    /// @notice The certificate of a version; all zero when there is none.
    function certificate(bytes32 modelVersion) external view returns (Certificate memory);
}
