// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {INodeRegistry} from "../../../contracts/interfaces/INodeRegistry.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";

/// @notice A contract that takes part as user or node and can be told how to behave when money arrives.
contract Participant {
    enum Mood {
        Accept,
        Revert,
        BurnGas,
        Reenter
    }

    Mood public mood;

    receive() external payable {
        if (mood == Mood.Revert) revert("no, thank you");
        if (mood == Mood.BurnGas) {
            while (true) {}
        }
        if (mood == Mood.Reenter) IPullPayments(msg.sender).withdraw();
    }

    function become(Mood mood_) external {
        mood = mood_;
    }

    function open(
        IInferenceMarket market,
        address signer,
        uint64 expiry,
        IInferenceMarket.Cap[] calldata caps,
        bytes32 nonce
    )
        external
        payable
        returns (bytes32)
    {
        return market.open{value: msg.value}(signer, expiry, caps, nonce);
    }

    function register(INodeRegistry nodes, address receiptKey) external payable {
        nodes.register{value: msg.value}("localhost:1", keccak256("tls"), receiptKey);
    }

    function withdraw(IPullPayments source) external returns (uint256) {
        return source.withdraw();
    }

    function withdrawTo(IPullPayments source, address payable to) external returns (uint256) {
        return source.withdrawTo(to);
    }
}

/// @notice Puts its ether into a contract that has no way to refuse it.
contract Forcer {
    constructor(address payable target) payable {
        selfdestruct(target);
    }
}
