// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title RequiresCancun
/// @notice Refuses to be created on a chain that could not run it.
abstract contract RequiresCancun {
    constructor() {
        // INVARIANT: no money where it could not be paid out: without EIP-1153 (transient storage, which the guards of
        // payments need) or EIP-5656 (`mcopy`, which the compiler uses) one of these opcodes ends the construction.
        assembly ("memory-safe") {
            tstore(0, 1)
            mcopy(0, 0x20, tload(0))
            tstore(0, 0)
        }
    }
}
