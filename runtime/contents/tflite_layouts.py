"""What the slots of each table of TFLite's schema hold, as of LiteRT 2.3 (November 2026), a letter a slot.

The schema, tflite/schema/schema.fbs, only ever appends slots; those past the last that is known are not read.

    b i q     a number of 1, 4 or 8 bytes
    B I Q     a vector of such numbers
    s         a text
    t T u     a table, a vector of tables, a union's table: each has a layout of its own
    g G       the index of a graph; a vector of such indices
    p         a number of 4 bytes from 1 on: a stride, the size of a window or a block, which kernels divide by
    d         the same, 1 where it is left out: a dilation
    m         how borders are padded: 0 or 1
    a         which activation is fused: 0 to 5
    -         nothing any more
"""

from dataclasses import dataclass

MODEL = "iTTsTITTTT"
GRAPH = "TIITsi"
TENSOR = "IbistbtIbTi"
QUANTIZATION = "IIIQbui"
BLOCKWISE, CUSTOM_QUANTIZATION = "iiiI", "B"
SPARSITY, SPARSE_DIMENSION, SPARSE_VECTORS = "IIT", "bibubu", ("", "I", "H", "B")
OPERATOR = "iIIbuBbBIqqbui"
OPERATOR_CODE = "bsii"
BUFFER = "Bqq"
METADATA = "si"
SIGNATURE, SIGNATURE_ENTRY = "TTs-i", "si"
VARIANT = "Ibb"


@dataclass(frozen=True)
class Options:
    """The table of options of some operators; none of them takes another.

    Attributes:
        layout: Its slots.
        operators: Those that take it; of the table of an operator that is not here the layout alone is known.
    """

    layout: str
    operators: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether its operators cannot do without: left out, all numbers are 0, and a graph may call itself."""
        return not set("pgG").isdisjoint(self.layout)


def _options(*rows: str) -> dict[int, Options]:
    table = {}
    for row in rows:
        number, layout, *operators = row.split()
        table[int(number)] = Options(layout, tuple(operators))
    return table


# By the number of their type in the union BuiltinOptions; tables without slots are left out.
OPTIONS = _options(
    "1 mppaddb CONV_2D",
    "2 mppiadd DEPTHWISE_CONV_2D",
    "3 iII CONCAT_EMBEDDINGS",
    "4 b LSH_PROJECTION",
    "5 mppppa AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    "6 iab SVDF",
    "7 ab RNN",
    "8 abbbbB FULLY_CONNECTED",
    "9 i SOFTMAX",
    "10 ia CONCATENATION",
    "11 ab ADD",
    "12 a L2_NORMALIZATION",
    "13 iiii LOCAL_RESPONSE_NORMALIZATION",
    "14 aiibb LSTM",
    "15 --bb RESIZE_BILINEAR",
    "16 g CALL",
    "17 I RESHAPE",
    "18 iib SKIP_GRAM",
    "19 p SPACE_TO_DEPTH",
    "20 b EMBEDDING_LOOKUP_SPARSE",
    "21 a MUL",
    "23 ii GATHER",
    "27 b MEAN SUM REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL",
    "28 ab SUB",
    "29 a DIV",
    "30 I SQUEEZE",
    "31 bab UNIDIRECTIONAL_SEQUENCE_RNN",
    "32 iiiiib STRIDED_SLICE",
    "35 p SPLIT",
    "37 bb CAST",
    "40 b ARG_MAX",
    "49 mppab TRANSPOSE_CONV",
    "50 b SPARSE_TO_DENSE",
    "55 b SHAPE",
    "57 b ARG_MIN",
    "58 iiib FAKE_QUANT",
    "59 pi PACK",
    "61 i ONE_HOT",
    "64 ii UNPACK",
    "69 aiibbb BIDIRECTIONAL_SEQUENCE_LSTM",
    "70 babb BIDIRECTIONAL_SEQUENCE_RNN",
    "71 aiibbb UNIDIRECTIONAL_SEQUENCE_LSTM",
    "74 bb RESIZE_NEAREST_NEIGHBOR",
    "75 i LEAKY_RELU",
    "77 b MIRROR_PAD",
    "79 p SPLIT_V",
    "80 b UNIQUE",
    "87 ii REVERSE_SEQUENCE",
    "92 gg IF",
    "93 gg WHILE",
    "94 p DEPTH_TO_SPACE",
    "101 bbb BATCH_MATMUL",
    "102 bb CUMSUM",
    "103 g CALL_ONCE",
    "106 mpppaddd CONV_3D CONV_3D_TRANSPOSE",
    "107 ibb HASHTABLE",
    "111 ss VAR_HANDLE",
    "114 qq RANDOM_STANDARD_NORMAL RANDOM_UNIFORM MULTINOMIAL",
    "115 I BUCKETIZE",
    "116 b GELU",
)

# The same of the union BuiltinOptions2.
MORE_OPTIONS = _options(
    "1 q STABLEHLO_CONCATENATE",
    "2 Q STABLEHLO_BROADCAST_IN_DIM",
    "3 QQQ STABLEHLO_SLICE",
    "4 QQQQBqqQqqQqqQqqI STABLEHLO_CONVOLUTION",
    "5 sbsiIB STABLEHLO_CUSTOM_CALL",
    "6 Qg STABLEHLO_REDUCE",
    "7 bQQQqbg STABLEHLO_SCATTER",
    "8 ii STABLEHLO_COMPARE",
    "9 Q STABLEHLO_DYNAMIC_SLICE",
    "10 QQQ STABLEHLO_PAD",
    "11 q STABLEHLO_IOTA",
    "12 QQQQI STABLEHLO_DOT_GENERAL",
    "13 QQQQQg STABLEHLO_REDUCE_WINDOW",
    "14 qbg STABLEHLO_SORT",
    "15 gg STABLEHLO_WHILE",
    "16 QQQqQb STABLEHLO_GATHER",
    "17 Q STABLEHLO_TRANSPOSE",
    "19 b STABLEHLO_RNG_BIT_GENERATOR",
    "20 i REDUCE_WINDOW",
    "21 sgBbi STABLEHLO_COMPOSITE",
    "23 G STABLEHLO_CASE",
)
