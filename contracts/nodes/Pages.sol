// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Pages
/// @notice Where a page of a list ends, so that no view has to return a list that strangers can lengthen.
library Pages {
    /// @notice Number of entries on the page that starts at `offset` and has at most `limit` of `total` entries.
    function size(uint256 offset, uint256 limit, uint256 total) internal pure returns (uint256) {
        if (offset >= total) return 0;
        return limit < total - offset ? limit : total - offset;
    }
}
