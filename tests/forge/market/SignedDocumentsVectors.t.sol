// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Test} from "forge-std/Test.sol";

import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";

/// @notice The golden documents that Python signs (scripts/make_vectors.py) hash and verify the same here.
contract SignedDocumentsVectorsTest is Test {
    string internal constant FILE = "tests/vectors/eip712.jsonl";
    string internal constant AUDIT_ORDER =
        "AuditOrder(bytes32 orderDigest,address node,uint16 segment,uint32 to,bytes32 inRoot,uint128 price)";

    function test_vectors_hashAndVerify() public {
        uint256 seen;
        for (string memory line = vm.readLine(FILE); bytes(line).length != 0; line = vm.readLine(FILE)) {
            bytes32 structHash = _structHash(vm.parseJsonString(line, ".document"), vm.parseJsonBytes(line, ".encoded"));
            assertEq(structHash, vm.parseJsonBytes32(line, ".structHash"));
            bytes32 digest = SignedDocuments.digest(vm.parseJsonBytes32(line, ".domainSeparator"), structHash);
            assertEq(digest, vm.parseJsonBytes32(line, ".digest"));
            bytes memory signature = vm.parseJsonBytes(line, ".signature");
            assertEq(ECDSA.recover(digest, signature), vm.parseJsonAddress(line, ".signer"));
            ++seen;
        }
        assertEq(seen, 70);
    }

    function _structHash(string memory document, bytes memory encoded) private pure returns (bytes32) {
        bytes32 name = keccak256(bytes(document));
        if (name == keccak256("Ask")) return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.Ask)));
        if (name == keccak256("Line")) return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.Line)));
        if (name == keccak256("Order")) return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.Order)));
        if (name == keccak256("TokenFeed")) {
            return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.TokenFeed)));
        }
        if (name == keccak256("Receipt")) return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.Receipt)));
        // No contract reads this one: the compiler's own hashing stands for the struct.
        if (name == keccak256("AuditOrder")) return vm.eip712HashStruct(AUDIT_ORDER, encoded);
        assertEq(document, "Voucher");
        return SignedDocuments.hash(abi.decode(encoded, (SignedDocuments.Voucher)));
    }
}
