// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Pages} from "../../../contracts/nodes/Pages.sol";

contract PagesTest is Test {
    /// @dev Pages never overlap the end, never overflow, and following ones cover the list exactly.
    function test_size_pagesCoverTheListExactly(uint8 total, uint8 limit) public pure {
        limit = uint8(bound(limit, 1, 255));
        uint256 offset;
        while (true) {
            uint256 size = Pages.size(offset, limit, total);
            assertLe(size, limit);
            if (size == 0) break;
            offset += size;
        }
        assertEq(offset, total);
    }

    function test_size_hugeArguments_doNotOverflow(uint256 offset, uint256 limit, uint256 total) public pure {
        uint256 size = Pages.size(offset, limit, total);
        assertLe(size, limit);
        if (offset < total) {
            assertLe(offset + size, total);
            assertTrue(size == limit || offset + size == total);
        } else {
            assertEq(size, 0);
        }
    }
}

