"""The grammar of Aethel for Lark's LALR parser. It is ambiguous nowhere: Lark refuses a conflict."""

from __future__ import annotations

AETHEL_GRAMMAR = r"""
source: (intent | batch)+
batch: "atomic_batch" NAME "{" intent+ "}"
intent: "intent" NAME "(" parameters ")" "{" guard solve verify "}"
parameters: [parameter ("," parameter)*]
parameter: NAME [":" (INT | BOOL)]

guard: ["guard" "{" (expression ";")* "}"]
solve: ["solve" block]
verify: ["verify" "{" (expression ";")* "}"]

block: "{" statement* "}"
?statement: NAME "=" expression ";"                     -> assignment
          | branch
branch: IF expression block [_ELSE (block | branch)]

?expression: disjunction
           | disjunction (IMPLIES | ARROW) expression             -> binary
?disjunction: conjunction
            | disjunction (OR | BARS) conjunction                -> binary
?conjunction: negation
            | conjunction (AND | AMPERSANDS) negation                  -> binary
?negation: comparison
         | NOT negation                                 -> unary
?comparison: sum
           | sum COMPARISON sum                         -> binary
?sum: product
    | sum (PLUS | MINUS) product                        -> binary
?product: signed
        | product (STAR | SLASH | PERCENT) signed       -> binary
?signed: atom
       | MINUS signed                                   -> unary
       | BANG signed                                    -> unary
?atom: NUMBER                                           -> number
     | TRUE                                             -> truth
     | FALSE                                            -> truth
     | NAME                                             -> named
     | "old" "(" NAME ")"                               -> old
     | "(" expression ")"

INT: "Int"
BOOL: "Bool"
IF: "if"
_ELSE: "else"
IMPLIES: "implies"
ARROW: "=>"
OR: "or"
BARS: "||"
AND: "and"
AMPERSANDS: "&&"
NOT: "not"
BANG: "!"
TRUE: "true"
FALSE: "false"
COMPARISON: "==" | "!=" | "<=" | ">=" | "<" | ">"
PLUS: "+"
MINUS: "-"
STAR: "*"
SLASH: "/"
PERCENT: "%"
NAME: /[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /[0-9]+/

%ignore /[ \t\n]+/
"""
