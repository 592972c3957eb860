from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Call(_message.Message):
    __slots__ = ("access", "number", "describe", "open_order", "rows", "close_chunk", "boundary_rows", "receipts")
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DESCRIBE_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_CHUNK_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_ROWS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    access: bytes
    number: int
    describe: DescribeRequest
    open_order: OpenOrderRequest
    rows: RowsIn
    close_chunk: CloseChunkRequest
    boundary_rows: BoundaryRowsRequest
    receipts: ReceiptsRequest
    def __init__(self, access: _Optional[bytes] = ..., number: _Optional[int] = ..., describe: _Optional[_Union[DescribeRequest, _Mapping[str, object]]] = ..., open_order: _Optional[_Union[OpenOrderRequest, _Mapping[str, object]]] = ..., rows: _Optional[_Union[RowsIn, _Mapping[str, object]]] = ..., close_chunk: _Optional[_Union[CloseChunkRequest, _Mapping[str, object]]] = ..., boundary_rows: _Optional[_Union[BoundaryRowsRequest, _Mapping[str, object]]] = ..., receipts: _Optional[_Union[ReceiptsRequest, _Mapping[str, object]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("number", "refusal", "description", "order", "rows", "receipt", "boundary_rows", "receipts")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_ROWS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    refusal: Refusal
    description: NodeDescription
    order: OpenOrderReply
    rows: RowsOut
    receipt: SignedDocument
    boundary_rows: RowsIn
    receipts: ReceiptsReply
    def __init__(self, number: _Optional[int] = ..., refusal: _Optional[_Union[Refusal, _Mapping[str, object]]] = ..., description: _Optional[_Union[NodeDescription, _Mapping[str, object]]] = ..., order: _Optional[_Union[OpenOrderReply, _Mapping[str, object]]] = ..., rows: _Optional[_Union[RowsOut, _Mapping[str, object]]] = ..., receipt: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ..., boundary_rows: _Optional[_Union[RowsIn, _Mapping[str, object]]] = ..., receipts: _Optional[_Union[ReceiptsReply, _Mapping[str, object]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("error", "message", "away")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    error: str
    message: str
    away: bool
    def __init__(self, error: _Optional[str] = ..., message: _Optional[str] = ..., away: _Optional[bool] = ...) -> None: ...

class SignedDocument(_message.Message):
    __slots__ = ("json", "signature")
    JSON_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    json: str
    signature: bytes
    def __init__(self, json: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("challenge",)
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    challenge: bytes
    def __init__(self, challenge: _Optional[bytes] = ...) -> None: ...

class NodeDescription(_message.Message):
    __slots__ = ("node", "model_version", "layer_start", "layer_end", "wei_per_token", "context", "active_orders", "time", "audit_wei_per_token", "signature")
    NODE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    LAYER_START_FIELD_NUMBER: _ClassVar[int]
    LAYER_END_FIELD_NUMBER: _ClassVar[int]
    WEI_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ORDERS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AUDIT_WEI_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    node: bytes
    model_version: bytes
    layer_start: int
    layer_end: int
    wei_per_token: str
    context: int
    active_orders: int
    time: int
    audit_wei_per_token: str
    signature: bytes
    def __init__(self, node: _Optional[bytes] = ..., model_version: _Optional[bytes] = ..., layer_start: _Optional[int] = ..., layer_end: _Optional[int] = ..., wei_per_token: _Optional[str] = ..., context: _Optional[int] = ..., active_orders: _Optional[int] = ..., time: _Optional[int] = ..., audit_wei_per_token: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class OpenOrderRequest(_message.Message):
    __slots__ = ("order", "segment", "prompt_length", "prompt_tokens", "voucher", "prompt_tree", "credit", "audit")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    VOUCHER_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TREE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    order: SignedDocument
    segment: int
    prompt_length: int
    prompt_tokens: _containers.RepeatedScalarFieldContainer[int]
    voucher: SignedDocument
    prompt_tree: bytes
    credit: SignedDocument
    audit: SignedDocument
    def __init__(self, order: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ..., segment: _Optional[int] = ..., prompt_length: _Optional[int] = ..., prompt_tokens: _Optional[_Iterable[int]] = ..., voucher: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ..., prompt_tree: _Optional[bytes] = ..., credit: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ..., audit: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ...) -> None: ...

class OpenOrderReply(_message.Message):
    __slots__ = ("order_digest", "length")
    ORDER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    order_digest: bytes
    length: int
    def __init__(self, order_digest: _Optional[bytes] = ..., length: _Optional[int] = ...) -> None: ...

class RowsIn(_message.Message):
    __slots__ = ("order_digest", "from_position", "count", "rows", "discard", "voucher")
    ORDER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FROM_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    VOUCHER_FIELD_NUMBER: _ClassVar[int]
    order_digest: bytes
    from_position: int
    count: int
    rows: bytes
    discard: bool
    voucher: SignedDocument
    def __init__(self, order_digest: _Optional[bytes] = ..., from_position: _Optional[int] = ..., count: _Optional[int] = ..., rows: _Optional[bytes] = ..., discard: _Optional[bool] = ..., voucher: _Optional[_Union[SignedDocument, _Mapping[str, object]]] = ...) -> None: ...

class RowsOut(_message.Message):
    __slots__ = ("from_position", "count", "rows")
    FROM_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    from_position: int
    count: int
    rows: bytes
    def __init__(self, from_position: _Optional[int] = ..., count: _Optional[int] = ..., rows: _Optional[bytes] = ...) -> None: ...

class CloseChunkRequest(_message.Message):
    __slots__ = ("order_digest", "from_position", "to_position", "predecessors")
    ORDER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FROM_POSITION_FIELD_NUMBER: _ClassVar[int]
    TO_POSITION_FIELD_NUMBER: _ClassVar[int]
    PREDECESSORS_FIELD_NUMBER: _ClassVar[int]
    order_digest: bytes
    from_position: int
    to_position: int
    predecessors: _containers.RepeatedCompositeFieldContainer[SignedDocument]
    def __init__(self, order_digest: _Optional[bytes] = ..., from_position: _Optional[int] = ..., to_position: _Optional[int] = ..., predecessors: _Optional[_Iterable[_Union[SignedDocument, _Mapping[str, object]]]] = ...) -> None: ...

class BoundaryRowsRequest(_message.Message):
    __slots__ = ("order_digest", "time", "signature", "from_position")
    ORDER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    FROM_POSITION_FIELD_NUMBER: _ClassVar[int]
    order_digest: bytes
    time: int
    signature: bytes
    from_position: int
    def __init__(self, order_digest: _Optional[bytes] = ..., time: _Optional[int] = ..., signature: _Optional[bytes] = ..., from_position: _Optional[int] = ...) -> None: ...

class ReceiptsRequest(_message.Message):
    __slots__ = ("order_digest",)
    ORDER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    order_digest: bytes
    def __init__(self, order_digest: _Optional[bytes] = ...) -> None: ...

class ReceiptsReply(_message.Message):
    __slots__ = ("receipts", "log_index", "log_root", "log_size")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    LOG_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_ROOT_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[SignedDocument]
    log_index: _containers.RepeatedScalarFieldContainer[int]
    log_root: bytes
    log_size: int
    def __init__(self, receipts: _Optional[_Iterable[_Union[SignedDocument, _Mapping[str, object]]]] = ..., log_index: _Optional[_Iterable[int]] = ..., log_root: _Optional[bytes] = ..., log_size: _Optional[int] = ...) -> None: ...
