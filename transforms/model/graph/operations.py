"""The operations of TensorFlow's graphs by what they do: every set of their names, once. No TensorFlow here."""

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CONTROL_FLOW = frozenset(
    {"If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase", "Switch", "Merge", "Enter", "Exit"}
)
PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
SAME_VALUE = frozenset(
    {"Identity", "IdentityN", "StopGradient", "PreventGradient", "EnsureShape", "Snapshot", "CheckNumerics"}
)
# They read a tensor's shape, not its values: no gradient and no evidence flows through them.
READS_SHAPE = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})
MATRIX_PRODUCTS = frozenset({"Einsum", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"})
WEIGHTED = CONVOLUTIONS | {"Conv3D", "MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"}
BATCH_NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
SCALES_OR_SHIFTS = BATCH_NORMS | {"Mul", "Add", "AddV2", "Sub", "BiasAdd"}
DIVIDES = frozenset({"RealDiv", "Div"})
POOLS = frozenset({"MaxPool", "MaxPoolV2", "AvgPool"})
REDUCES = frozenset({"Mean", "Max"})
PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
# They may take off rows and columns of a map, add some, or change their order.
MOVES = PADS | {"Slice", "StridedSlice", "CropAndResize", "ReverseV2", "ImageProjectiveTransformV3"}
ROUNDS = frozenset({"Round", "Rint", "Floor", "Ceil", "Sign"})
# Of each element by itself, with no weights but perhaps a number.
BENDS = frozenset({"Pow", "Square", "Sqrt", "Rsqrt", "Exp", "Expm1", "Log", "Log1p"})
CLAMPS_OR_SCALES = frozenset({"Maximum", "Minimum", "ClipByValue", "Mul", "Add", "AddV2", "Sub"}) | DIVIDES
SQUASHES = frozenset({"Sigmoid", "Softmax", "Exp", "Tanh", "Relu6", "ClipByValue", "Minimum"})
ELEMENTWISE = (
    BENDS | CLAMPS_OR_SCALES | SAME_VALUE | ROUNDS
    | {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Tanh", "Sigmoid", "Erf", "Erfc", "AddN"}
    | {"Abs", "Neg", "Reciprocal", "Inv", "SquaredDifference", "DivNoNan", "MulNoNan", "Cast", "Select", "SelectV2"}
    | {"Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "LogicalAnd", "LogicalOr", "LogicalNot"}
    | {"IsFinite", "IsNan", "IsInf"}
)  # fmt: skip
# They have kernels for float16 and bfloat16, on CPUs and GPUs, and lose little: no long sums but those of convolutions.
CAN_BE_NARROW = (
    CONVOLUTIONS | POOLS | {"FusedBatchNormV3", "BiasAdd", "MatMul", "Add", "AddV2", "AddN", "Sub", "Mul"}
    | {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Maximum", "Minimum"}
    | {"ConcatV2", "Pad", "PadV2", "Identity", "Transpose", "Reshape", "Squeeze"}
)  # fmt: skip
RESHAPES = frozenset({"Squeeze", "Reshape"})
# The operations that say which axis holds the channels.
SAYS_FORMAT = CONVOLUTIONS | BATCH_NORMS | {"MaxPool", "AvgPool", "BiasAdd"}
