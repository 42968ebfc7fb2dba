"""The numbers by which MNN's files tell operations, types of values, and kinds of parameters.

https://github.com/alibaba/MNN/tree/master/schema/default (MNN.fbs, Type.fbs), and what the converter of MNN 3.6.1 calls
those that came since.
"""

OPERATIONS = dict(
    enumerate(
        """
        AbsVal QuantizedAdd ArgMax AsString InstanceNorm BatchToSpaceND Copy BinaryOp Bnll Cast Concat Const Convolution
        ConvolutionDepthwise Crop CropAndResize ImageProcess Deconvolution DeconvolutionDepthwise Dequantize
        DetectionOutput Dropout Eltwise ELU Unique Exp ExpandDims Fill Flatten Im2Col Gather GatherV2 Im2Seq
        InnerProduct Input Interp Log LRN LSTM MatMul MoE NonMaxSuppression NonMaxSuppressionV2 Normalize Pack Padding
        Permute Pooling Power PReLU PriorBox Proposal QuantizedAvgPool QuantizedBiasAdd QuantizedConcat
        QuantizedDepthwiseConv2D QuantizedLogistic RasterAndInterpolate QuantizedMaxPool Texture RasterDiff
        QuantizedReshape QuantizedSoftmax QuantizeMaxMin QuantizeV2 Range Rank ReduceJoin Reduction ReLU ReLU6
        RequantizationRange Requantize Reshape Resize RNN ROIPooling Scale Selu Seq2Out Shape Sigmoid Size Slice SliceTf
        Softmax SpaceToBatchND SpatialProduct Col2Im Segment Squeeze StridedSlice CastLike StringSplit StringToNumber
        TanH TfQuantizedConv2D Threshold Tile TopKV2 Transpose UnaryOp Unpack Where Moments RNNSequenceGRU BatchMatMul
        Unsqueeze CosineSimilarity DepthToSpace SpaceToDepth ReverseSequence Pooling3D Convolution3D MatrixBandPart
        GatherND DetectionPostProcess UnravelIndex ScatterNd OneHot BroadcastTo Dilation2D Interp3D
        """.split()  # noqa: SIM905 - a name a line would fill two pages
    )
)
OPERATIONS |= dict(
    enumerate(
        """
        Raster ConvertTensor ArgMin LinSpace RandomUniform TensorArray TensorArraySize TensorArrayRead TensorArrayWrite
        TensorArrayGather TensorArrayScatter TensorArraySplit TensorArrayConcat LSTMBlockCell Reverse ROIAlign
        RandomNormal TensorArrayInsert TensorArrayErase EyeLike CumSum Det CumProd ScatterElements GatherElements Svd
        Histogram DynamicQuant Stft
        """.split(),  # noqa: SIM905
        128,
    )
)
OPERATIONS |= {256: "Plugin", 257: "Select", 258: "ZerosLike", 259: "Broastcast", 260: "SetDiff1D", 262: "Identity"}
OPERATIONS |= {267: "BatchNorm", 268: "ConvTranspose3D", 299: "Attention", 300: "FmhaV2", 301: "Fmhca"}
OPERATIONS |= {302: "SeqLen2Spatial", 303: "SplitGeLU", 304: "GroupNorm", 305: "LinearAttention", 306: "RoPE"}
OPERATIONS |= {512: "Extra", 513: "ConvInt8", 514: "Int8ToFloat", 515: "DepthwiseConvInt8", 517: "FloatToInt8"}
OPERATIONS |= {518: "EltwiseInt8", 600: "While", 601: "If", 603: "LayerNorm", 604: "GridSample"}

CONSTANT, INPUT = "Const", "Input"
CONVOLUTIONS = ("Convolution", "ConvolutionDepthwise", "Deconvolution", "DeconvolutionDepthwise")

UNKNOWN = "operation "
"""What the name of an operation starts with of which only the number is known."""

AXIS, BLOB, CONVOLUTION = 4, 7, 9
PARAMETERS = {
    **{"ArgMax": 2, "BatchNorm": 5, "BinaryOp": 6, CONSTANT: BLOB, "Cast": 8, "Concat": AXIS, "Softmax": AXIS},
    **dict.fromkeys(CONVOLUTIONS, CONVOLUTION),
    **{"Crop": 10, "DetectionOutput": 13, "Eltwise": 14, "Flatten": 17, "InnerProduct": 20, INPUT: 21, "Interp": 22},
    **{"LRN": 23, "MatMul": 25, "Normalize": 27, "Pack": 28, "Permute": 29, "Plugin": 30, "Pooling": 31, "PReLU": 32},
    **{"PriorBox": 33, "Proposal": 34, "Reduction": 50, "Reshape": 55, "Resize": 56, "ROIPooling": 57, "Scale": 58},
    **{"SpaceToBatchND": 63, "BatchToSpaceND": 63, "Squeeze": 64, "Unsqueeze": 64, "StridedSlice": 65},
    **{"ConvertTensor": 66, "UnaryOp": 70, "Moments": 71, "DepthToSpace": 75, "SpaceToDepth": 75, "Extra": 78},
    **{"OneHot": 83, "If": 86, "LayerNorm": 88, "GridSample": 91},
}
"""Which kind of parameters an operation has, by its name; of the usual ones."""

FLOATS = {"BatchNorm": (1, 2, 3, 4), "InnerProduct": (3, 4), "LayerNorm": (2, 3), "PReLU": (1,), "Scale": (1, 2)}
"""Which slots of an operation's parameters are lists of its weights, where these are no convolution's."""

TYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool"}
TYPES |= {14: "bfloat16", 17: "uint16", 19: "float16"}
VALUES = {"bool": (5, 4), "uint8": (3, 1), "int8": (4, 1), "int32": (5, 4), "int64": (6, 8), "float32": (7, 4)}
"""Where a constant of a type has its values, and how many bytes each takes; the types that MNN stores as themselves."""
