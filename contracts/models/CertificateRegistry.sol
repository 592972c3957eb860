// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICertificateRegistry} from "../interfaces/ICertificateRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title CertificateRegistry
/// @dev See {ICertificateRegistry}.
contract CertificateRegistry is ICertificateRegistry {
    /// @dev As in the ModelRegistry.
    uint256 private constant LONGEST_CID = 128;

    /// @notice The registry that knows who published a version.
    IModelRegistry public immutable models;

    mapping(bytes32 modelVersion => Certificate) private _certificates;

    constructor(IModelRegistry models_) {
        models = models_;
    }

    /// @inheritdoc ICertificateRegistry
    function anchor(bytes32 modelVersion, string calldata cid, bytes32 contentHash) external {
        address publisher = models.publisherOf(modelVersion);
        // INVARIANT: only the publisher speaks for a version; an unknown version has publisher zero, nobody's address.
        if (msg.sender != publisher) revert CertificateRegistry_NotPublisher(modelVersion, msg.sender, publisher);
        // INVARIANT: a certificate cannot be swapped after somebody relied on it; a new one needs a new version.
        if (_certificates[modelVersion].anchoredAt != 0) revert CertificateRegistry_AlreadyAnchored(modelVersion);
        uint256 length = bytes(cid).length;
        if (length == 0 || length > LONGEST_CID) revert CertificateRegistry_CidLength(length, LONGEST_CID);
        if (contentHash == 0) revert CertificateRegistry_NoContentHash();

        _certificates[modelVersion] =
            Certificate({cid: cid, contentHash: contentHash, anchoredAt: uint64(block.timestamp)});
        emit Anchored(modelVersion, publisher, contentHash, cid);
    }

    /// @inheritdoc ICertificateRegistry
    function certificate(bytes32 modelVersion) external view returns (Certificate memory) {
        return _certificates[modelVersion];
    }
}
