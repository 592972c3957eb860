// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {Deployed} from "../Deployed.sol";

contract ModelRegistryTest is Deployed {
    function test_publish_keepsEveryField(IModelRegistry.ModelVersion memory v, address by) public {
        vm.assume(by != address(0) && v.weightsRoot != 0 && v.programRoot != 0 && v.tokenizerHash != 0 && v.layers != 0);
        vm.assume(bytes(v.manifestCid).length != 0 && bytes(v.manifestCid).length <= 128);
        v.parent = 0;
        bytes32 id = keccak256(abi.encode(by, v));
        vm.expectEmit();
        emit IModelRegistry.Published(id, by, 0, v.manifestCid);
        vm.prank(by);
        assertEq(models.publish(v), id);
        assertEq(models.idOf(by, v), id);
        assertEq(keccak256(abi.encode(models.version(id))), keccak256(abi.encode(v)));
        assertEq(models.publisherOf(id), by);
        assertEq(models.layersOf(id), v.layers);
        assertEq(models.versionCount(), 2);
        assertEq(models.versions(1, 9)[0], id);
    }

    function test_publish_twice_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyPublished.selector, modelVersion));
        vm.prank(publisher);
        models.publish(_modelVersion());
    }

    /// @dev Someone copies a publication from the mempool: the copier gets another id, the publisher is not blocked.
    function test_publish_copiedByAnother_getsAnotherId(address copier) public {
        vm.assume(copier != publisher);
        vm.prank(copier);
        assertNotEq(models.publish(_modelVersion()), modelVersion);
        assertEq(models.publisherOf(modelVersion), publisher);
    }

    function test_publish_incomplete_reverts(uint8 missing) public {
        IModelRegistry.ModelVersion memory v = _modelVersion();
        missing = uint8(bound(missing, 0, 3));
        if (missing == 0) v.weightsRoot = 0;
        if (missing == 1) v.programRoot = 0;
        if (missing == 2) v.tokenizerHash = 0;
        if (missing == 3) v.layers = 0;
        vm.expectRevert(
            abi.encodeWithSelector(
                IModelRegistry.ModelRegistry_Incomplete.selector,
                v.weightsRoot,
                v.programRoot,
                v.tokenizerHash,
                v.layers
            )
        );
        models.publish(v);
    }

    function test_publish_cidLength_reverts(uint16 length) public {
        vm.assume(length == 0 || length > 128);
        IModelRegistry.ModelVersion memory v = _modelVersion();
        v.manifestCid = string(new bytes(length));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_CidLength.selector, length, 128));
        models.publish(v);
    }

    function test_publish_unknownParent_reverts(bytes32 parent) public {
        vm.assume(parent != modelVersion && parent != 0);
        IModelRegistry.ModelVersion memory v = _modelVersion();
        v.parent = parent;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Unknown.selector, parent));
        models.publish(v);
    }

    /// @dev Major, then minor, then patch: anything above 1.2.3 is a child of it, anything else is not.
    function test_publish_semverMustRise(IModelRegistry.SemVer memory semver) public {
        IModelRegistry.ModelVersion memory v = _modelVersion();
        IModelRegistry.SemVer memory standing = v.semver;
        v.parent = modelVersion;
        v.semver = semver;
        bool rises = semver.major > standing.major
            || (semver.major == standing.major
                && (semver.minor > standing.minor || (semver.minor == standing.minor && semver.patch > standing.patch)));
        if (!rises) {
            vm.expectRevert(
                abi.encodeWithSelector(IModelRegistry.ModelRegistry_SemVerMustRise.selector, standing, semver)
            );
        }
        models.publish(v);
    }

    function test_publish_semverNeighbours() public {
        IModelRegistry.ModelVersion memory v = _modelVersion();
        v.parent = modelVersion;
        vm.expectPartialRevert(IModelRegistry.ModelRegistry_SemVerMustRise.selector);
        models.publish(v); // equal
        v.semver = IModelRegistry.SemVer({major: 1, minor: 1, patch: 65_535});
        vm.expectPartialRevert(IModelRegistry.ModelRegistry_SemVerMustRise.selector);
        models.publish(v);
        v.semver = IModelRegistry.SemVer({major: 1, minor: 2, patch: 4});
        models.publish(v);
        v.semver = IModelRegistry.SemVer({major: 2, minor: 0, patch: 0});
        models.publish(v);
    }

    function test_version_unknown_reverts(bytes32 id) public {
        vm.assume(id != modelVersion);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Unknown.selector, id));
        models.version(id);
        assertEq(models.publisherOf(id), address(0));
        assertEq(models.layersOf(id), 0);
    }

    function test_versions_pagesCoverTheList(uint256 offset, uint256 limit) public view {
        bytes32[] memory page = models.versions(offset, limit);
        assertEq(page.length, offset == 0 && limit != 0 ? 1 : 0);
        if (page.length == 1) assertEq(page[0], modelVersion);
    }

    // ---------------------------------------------------------------- share

    function test_setShare_isReadBackWithItsPublisher(uint16 basisPoints) public {
        basisPoints = uint16(bound(basisPoints, 1, 2000));
        assertEq(keccak256(abi.encode(models.shareOf(modelVersion))), keccak256(abi.encode(publisher, 0, 0)));
        vm.expectEmit();
        emit IModelRegistry.ShareSet(modelVersion, publisher, basisPoints);
        vm.prank(publisher);
        models.setShare(modelVersion, basisPoints);
        IModelRegistry.Share memory found = models.shareOf(modelVersion);
        assertEq(found.publisher, publisher);
        assertEq(found.basisPoints, basisPoints);
        assertEq(found.since, block.timestamp);
        // The version itself did not change.
        assertEq(keccak256(abi.encode(models.version(modelVersion))), keccak256(abi.encode(_modelVersion())));
    }

    /// @dev Another rate keeps the time; none at all and then one again starts anew.
    function test_setShare_sinceItLastRoseFromZero() public {
        uint256 start = block.timestamp;
        vm.startPrank(publisher);
        models.setShare(modelVersion, 1);
        vm.warp(start + 5);
        models.setShare(modelVersion, 2000);
        assertEq(models.shareOf(modelVersion).since, start);
        models.setShare(modelVersion, 0);
        assertEq(models.shareOf(modelVersion).since, start);
        vm.warp(start + 9);
        models.setShare(modelVersion, 7);
        assertEq(models.shareOf(modelVersion).since, start + 9);
    }

    function test_setShare_aboveTheMost_reverts(uint16 basisPoints) public {
        basisPoints = uint16(bound(basisPoints, 2001, type(uint16).max));
        assertEq(models.mostShare(), 2000);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_ShareTooHigh.selector, basisPoints, 2000));
        vm.prank(publisher);
        models.setShare(modelVersion, basisPoints);
    }

    function test_setShare_byAnotherThanThePublisher_reverts(address caller) public {
        vm.assume(caller != publisher);
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublisher.selector, modelVersion, caller, publisher)
        );
        vm.prank(caller);
        models.setShare(modelVersion, 1);
    }

    /// @dev Nobody can set the share of a version before it is published, and take it over.
    function test_setShare_unknownVersion_reverts(bytes32 id, address caller) public {
        vm.assume(id != modelVersion && caller != address(0));
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublisher.selector, id, caller, address(0))
        );
        vm.prank(caller);
        models.setShare(id, 1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Unknown.selector, id));
        models.shareOf(id);
    }
}
