// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDisputeAnswers} from "./IDisputeAnswers.sol";
import {IDisputeChallenges} from "./IDisputeChallenges.sol";

/// @title IDisputeGame
/// @notice Proves to the chain that a node's receipt is wrong, and slashes that node.
///
/// Two ways: documents that contradict each other (`equivocate`, `contradict`); a computation that contradicts the
/// program (`openStep`), narrowed down from the trace to one tensor, one leaf of it, one element, which the step verifier
/// recomputes.
///
/// A step game, mover by mover (node's turns can be played by anyone who has the data):
///
/// | state         | mover      | move                                    | next                    |
/// |---------------|------------|-----------------------------------------|-------------------------|
/// | Trace         | node       | `postTrace`, signed by the receipt key  | PickTensor              |
/// | PickTensor    | challenger | `pickTensor`                            | Rows                    |
/// | Rows          | node       | `postRows`                              | PickLeaf or PickSubtree |
/// | PickSubtree   | challenger | `pickSubtree` (over 2 048 leaves only)  | Subtree                 |
/// | Subtree       | node       | `postSubtree`                           | PickLeaf                |
/// | PickLeaf      | challenger | `pickLeaf`                              | Bytes                   |
/// | Bytes         | node       | `postBytes`                             | Convict                 |
/// | Convict       | anyone     | `convict`; attention: `pickElement`     | Convicted; Scores       |
/// | Scores        | node       | `postScores`, signed by the receipt key | ConvictScores           |
/// | ConvictScores | anyone     | `convict`                               | Convicted               |
///
/// Answers (`post...`) belong to the receipt, not to the game: an answer that exists already moves every game that asks
/// for it at once, so N equal games cost a node one set of answers. Views return states as they are after that.
///
/// Each side has C (`clock`) in total and at least M (`minimumMove`) when its turn begins. After that its moves revert
/// and anyone calls `timeout`: the node's turn convicts it, the challenger's turn acquits it.
///
/// A conviction takes the whole stake. Half of it pays, in this order: the gas of open covered games and a quarter more,
/// likewise the verdict's, the bounty; the vault has all the rest. No proof is worth more than that, as a liar can make
/// every proof itself.
/// @dev No owner. Money is bonds (locked in open games), claims (of covered games, after a conviction) and balances.
interface IDisputeGame is IDisputeChallenges, IDisputeAnswers {}
