// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {InferenceMarket} from "../../../contracts/market/InferenceMarket.sol";
import {SignedDocuments} from "../../../contracts/market/SignedDocuments.sol";
import {Deployed} from "../Deployed.sol";

/// @notice Every document, whatever its content, against forge's own EIP-712 encoder, which knows nothing of ours.
contract SignedDocumentsTest is Test {
    string internal constant ASK = "Ask(uint16 layerStart,uint16 layerEnd,uint128 weiPerToken)";
    string internal constant LINE = "Line(address node,uint128 cumulative)";

    function test_hash_ask_differential(SignedDocuments.Ask memory ask) public pure {
        assertEq(SignedDocuments.hash(ask), _expected(ASK, abi.encode(ask)));
    }

    function test_hash_order_differential(SignedDocuments.Order memory order) public pure {
        string memory definition = string.concat(
            "Order(bytes32 session,bytes32 salt,bytes32 modelVersion,bytes32 promptRoot,uint32 maxTokens,",
            "bytes32 samplingSeed,uint32 sampling,uint128 maxPrice,Ask[] asks,uint64 deadline)",
            ASK
        );
        assertEq(SignedDocuments.hash(order), _expected(definition, abi.encode(order)));
    }

    function test_hash_tokenFeed_differential(SignedDocuments.TokenFeed memory feed) public pure {
        assertEq(
            SignedDocuments.hash(feed),
            _expected("TokenFeed(bytes32 orderDigest,uint32 to,bytes32 root)", abi.encode(feed))
        );
    }

    function test_hash_receipt_differential(SignedDocuments.Receipt memory receipt) public pure {
        string memory definition = string.concat(
            "Receipt(bytes32 orderDigest,address node,uint16 segment,uint32 from,uint32 to,bytes32 inRoot,",
            "bytes32 outRoot,bytes32[] predecessors,uint128 price)"
        );
        assertEq(SignedDocuments.hash(receipt), _expected(definition, abi.encode(receipt)));
    }

    function test_hash_line_differential(SignedDocuments.Line memory line) public pure {
        assertEq(SignedDocuments.hash(line), _expected(LINE, abi.encode(line)));
    }

    function test_hash_voucher_differential(SignedDocuments.Voucher memory voucher) public pure {
        string memory definition = string.concat("Voucher(bytes32 session,Line[] lines)", LINE);
        assertEq(SignedDocuments.hash(voucher), _expected(definition, abi.encode(voucher)));
    }

    function test_digest_prefixesDomainAndStruct(bytes32 domain, bytes32 structHash) public pure {
        assertEq(SignedDocuments.digest(domain, structHash), keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }

    function _expected(string memory definition, bytes memory encoded) private pure returns (bytes32) {
        return vm.eip712HashStruct(definition, encoded);
    }
}

/// @notice The market's domain is the one that clients compute.
contract MarketDomainTest is Deployed {
    /// @dev A market at the vector's address on the vector's chain has the vector's separator.
    function test_domainSeparator_goldenVectors() public {
        string memory path = "tests/vectors/eip712.jsonl";
        for (string memory line = vm.readLine(path); bytes(line).length != 0; line = vm.readLine(path)) {
            address at = vm.parseJsonAddress(line, ".verifyingContract");
            vm.chainId(vm.parseJsonUint(line, ".chainId"));
            vm.etch(at, address(market).code);
            assertEq(InferenceMarket(at).domainSeparator(), vm.parseJsonBytes32(line, ".domainSeparator"), line);
        }
    }

    function test_domainSeparator_bindsNameVersionChainAndContract(uint64 chain) public {
        vm.chainId(chain = uint64(bound(chain, 1, type(uint64).max - 1)));
        bytes32 typehash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 expected =
            keccak256(abi.encode(typehash, keccak256("Neural Nexus"), keccak256("1"), uint256(chain), address(market)));
        assertEq(market.domainSeparator(), expected);
    }
}
