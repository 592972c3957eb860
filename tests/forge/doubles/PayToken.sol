// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @notice A token that takes signed transfers (EIP-3009), as the coins that agents pay with do.
contract PayToken is ERC3009 {
    constructor(address owner, uint256 amount) ERC20("Test Dollar", "TUSD") EIP712("Test Dollar", "2") {
        _mint(owner, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}

/// @notice An account that is a contract: what its owner signs counts as its own (ERC-1271).
contract OwnedAccount {
    address internal immutable OWNER;

    constructor(address owner) {
        OWNER = owner;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        return ecrecover(hash, uint8(signature[64]), r, s) == OWNER ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}
