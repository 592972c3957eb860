// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Deployed} from "../Deployed.sol";

/// @notice The golden CIDs that Python computes (tests/vectors/cid.jsonl) are what the EVM's SHA-256 gives, and
/// what the registry keeps. Files of one block only: their CID is the base32 of a prefix and the file's SHA-256.
contract CidVectorsTest is Deployed {
    string internal constant FILE = "tests/vectors/cid.jsonl";
    bytes4 internal constant CIDV1_RAW_SHA256 = 0x01551220;
    bytes internal constant ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

    function test_vectors_ofOneBlock() public {
        uint256 seen;
        for (string memory line = vm.readLine(FILE); bytes(line).length != 0; line = vm.readLine(FILE)) {
            if (vm.parseJsonUint(line, ".size") > vm.parseJsonUint(line, ".chunk_bytes")) continue;
            assertEq(_cid(sha256(_content(line))), vm.parseJsonString(line, ".cid"));
            ++seen;
        }
        assertEq(seen, 6);
    }

    function test_anchored_cidFollowsFromItsContentHash() public {
        bytes32 contentHash = sha256("hello world");
        vm.prank(publisher);
        certificates.anchor(modelVersion, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", contentHash);
        assertEq(certificates.certificate(modelVersion).cid, _cid(certificates.certificate(modelVersion).contentHash));
    }

    function _content(string memory line) private view returns (bytes memory data) {
        if (vm.keyExistsJson(line, ".text")) return bytes(vm.parseJsonString(line, ".text"));
        assertEq(vm.parseJsonString(line, ".pattern"), "i mod 251");
        data = new bytes(vm.parseJsonUint(line, ".size"));
        for (uint256 i = 0; i < data.length; ++i) {
            data[i] = bytes1(uint8(i % 251));
        }
    }

    /// @dev Multibase "b" and RFC 4648 base32 in lower case without padding: 36 bytes are 58 digits, the last of 3 bits.
    function _cid(bytes32 digest) private pure returns (string memory) {
        uint256 high = uint256(uint32(CIDV1_RAW_SHA256));
        bytes memory text = new bytes(59);
        text[0] = "b";
        for (uint256 i = 0; i < 58; ++i) {
            // The five bits from bit 5i on, of 288 bits followed by zeros.
            uint256 value;
            for (uint256 bit = 5 * i; bit < 5 * i + 5; ++bit) {
                uint256 set = bit < 32 ? (high >> (31 - bit)) & 1 : bit < 288 ? (uint256(digest) >> (287 - bit)) & 1 : 0;
                value = (value << 1) | set;
            }
            text[i + 1] = ALPHABET[value];
        }
        return string(text);
    }
}
