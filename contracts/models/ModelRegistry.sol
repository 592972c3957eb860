// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {Pages} from "../nodes/Pages.sol";

/// @title ModelRegistry
/// @dev See {IModelRegistry}.
contract ModelRegistry is IModelRegistry {
    /// @dev One storage word, apart from the version, which never changes.
    struct StoredShare {
        uint16 basisPoints;
        uint64 since;
    }

    /// @dev A CIDv1 in base32 with SHA-256 has 59 characters; room for longer hashes and other bases.
    uint256 private constant LONGEST_CID = 128;

    /// @dev A fifth of what nodes earn.
    uint16 private constant MOST_SHARE = 2000;

    mapping(bytes32 id => ModelVersion) private _versions;
    mapping(bytes32 id => StoredShare) private _shares;
    bytes32[] private _ids;

    /// @inheritdoc IModelRegistry
    mapping(bytes32 id => address) public publisherOf;

    /// @inheritdoc IModelRegistry
    function publish(ModelVersion calldata modelVersion) external returns (bytes32 id) {
        _requireComplete(modelVersion);
        _requireRises(modelVersion);
        id = idOf(msg.sender, modelVersion);
        // INVARIANT: a version never changes; receipts and disputes rest on its roots.
        if (publisherOf[id] != address(0)) revert ModelRegistry_AlreadyPublished(id);

        publisherOf[id] = msg.sender;
        _versions[id] = modelVersion;
        _ids.push(id);
        emit Published(id, msg.sender, modelVersion.parent, modelVersion.manifestCid);
    }

    /// @inheritdoc IModelRegistry
    function setShare(bytes32 id, uint16 basisPoints) external {
        address publisher = publisherOf[id];
        // INVARIANT: only the publisher speaks for a version; an unknown version has publisher zero, nobody's address.
        if (msg.sender != publisher) revert ModelRegistry_NotPublisher(id, msg.sender, publisher);
        // INVARIANT: what comes on top of a node's price is bounded, whatever a publisher's key is made to sign.
        if (basisPoints > MOST_SHARE) revert ModelRegistry_ShareTooHigh(basisPoints, MOST_SHARE);

        StoredShare storage share = _shares[id];
        // INVARIANT: since when there is a share never moves back: nodes go on serving sessions that may be older.
        if (share.basisPoints == 0 && basisPoints != 0) share.since = uint64(block.timestamp);
        share.basisPoints = basisPoints;
        emit ShareSet(id, publisher, basisPoints);
    }

    /// @inheritdoc IModelRegistry
    function version(bytes32 id) external view returns (ModelVersion memory) {
        if (publisherOf[id] == address(0)) revert ModelRegistry_Unknown(id);
        return _versions[id];
    }

    /// @inheritdoc IModelRegistry
    function shareOf(bytes32 id) external view returns (Share memory) {
        address publisher = publisherOf[id];
        if (publisher == address(0)) revert ModelRegistry_Unknown(id);
        StoredShare storage share = _shares[id];
        return Share({publisher: publisher, basisPoints: share.basisPoints, since: share.since});
    }

    /// @inheritdoc IModelRegistry
    function mostShare() external pure returns (uint256) {
        return MOST_SHARE;
    }

    /// @inheritdoc IModelRegistry
    function layersOf(bytes32 id) external view returns (uint16) {
        return _versions[id].layers;
    }

    /// @inheritdoc IModelRegistry
    function versions(uint256 offset, uint256 limit) external view returns (bytes32[] memory page) {
        page = new bytes32[](Pages.size(offset, limit, _ids.length));
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = _ids[offset + i];
        }
    }

    /// @inheritdoc IModelRegistry
    function versionCount() external view returns (uint256) {
        return _ids.length;
    }

    /// @inheritdoc IModelRegistry
    function idOf(address publisher, ModelVersion calldata modelVersion) public pure returns (bytes32 id) {
        // INVARIANT: the id binds the publisher and every field, so nobody can take another's id first.
        return keccak256(abi.encode(publisher, modelVersion));
    }

    function _requireComplete(ModelVersion calldata v) private pure {
        // INVARIANT: a version without roots or layers could not be disputed: any step would lack its witness.
        if (v.weightsRoot == 0 || v.programRoot == 0 || v.tokenizerHash == 0 || v.layers == 0) {
            revert ModelRegistry_Incomplete(v.weightsRoot, v.programRoot, v.tokenizerHash, v.layers);
        }
        uint256 length = bytes(v.manifestCid).length;
        if (length == 0 || length > LONGEST_CID) revert ModelRegistry_CidLength(length, LONGEST_CID);
    }

    function _requireRises(ModelVersion calldata v) private view {
        if (v.parent == 0) return;
        // INVARIANT: lineage is a tree of published versions, and versions rise along it.
        if (publisherOf[v.parent] == address(0)) revert ModelRegistry_Unknown(v.parent);
        SemVer memory parent = _versions[v.parent].semver;
        if (_rank(v.semver) <= _rank(parent)) revert ModelRegistry_SemVerMustRise(parent, v.semver);
    }

    function _rank(SemVer memory v) private pure returns (uint256) {
        return (uint256(v.major) << 32) | (uint256(v.minor) << 16) | v.patch;
    }
}
