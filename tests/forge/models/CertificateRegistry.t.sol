// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICertificateRegistry} from "../../../contracts/interfaces/ICertificateRegistry.sol";
import {Deployed} from "../Deployed.sol";

contract CertificateRegistryTest is Deployed {
    string internal constant CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    function test_anchor_keepsTheCertificate(bytes32 hash) public {
        vm.assume(hash != 0);
        vm.expectEmit();
        emit ICertificateRegistry.Anchored(modelVersion, publisher, hash, CID);
        vm.prank(publisher);
        certificates.anchor(modelVersion, CID, hash);
        ICertificateRegistry.Certificate memory found = certificates.certificate(modelVersion);
        assertEq(found.cid, CID);
        assertEq(found.contentHash, hash);
        assertEq(found.anchoredAt, block.timestamp);
    }

    function test_anchor_notThePublisher_reverts(address caller) public {
        vm.assume(caller != publisher);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICertificateRegistry.CertificateRegistry_NotPublisher.selector, modelVersion, caller, publisher
            )
        );
        vm.prank(caller);
        certificates.anchor(modelVersion, CID, "hash");
    }

    function test_anchor_unknownVersion_reverts(bytes32 version) public {
        vm.assume(version != modelVersion);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICertificateRegistry.CertificateRegistry_NotPublisher.selector, version, publisher, address(0)
            )
        );
        vm.prank(publisher);
        certificates.anchor(version, CID, "hash");
    }

    function test_anchor_again_reverts() public {
        vm.startPrank(publisher);
        certificates.anchor(modelVersion, CID, "hash");
        vm.expectRevert(
            abi.encodeWithSelector(ICertificateRegistry.CertificateRegistry_AlreadyAnchored.selector, modelVersion)
        );
        certificates.anchor(modelVersion, CID, "another");
        assertEq(certificates.certificate(modelVersion).contentHash, "hash");
    }

    function test_anchor_cidLength_reverts(uint16 length) public {
        vm.assume(length == 0 || length > 128);
        vm.expectRevert(
            abi.encodeWithSelector(ICertificateRegistry.CertificateRegistry_CidLength.selector, length, 128)
        );
        vm.prank(publisher);
        certificates.anchor(modelVersion, string(new bytes(length)), "hash");
    }

    function test_anchor_withoutContentHash_reverts() public {
        vm.expectRevert(ICertificateRegistry.CertificateRegistry_NoContentHash.selector);
        vm.prank(publisher);
        certificates.anchor(modelVersion, CID, 0);
    }
}
