"""What a Keras file may name without ``model.trust``: classes and functions that compute and touch nothing else.

An allow-list: a name that is not here asks for trust. Left out on purpose are all that hold or find code (Lambda,
TFSMLayer, JaxLayer, TorchModuleWrapper, InstanceMethod, ClassMethod ...), all that read files (lookups with a
vocabulary, feature columns), and all that a model does not need for its scores (losses, metrics, optimizers).
"""

import re

from transforms.model.graph import names

MODELS = names("Functional Model Sequential")

LAYERS = names(
    """
    InputLayer Activation ActivityRegularization Add AlphaDropout AdditiveAttention Attention Average
    BatchNormalization BatchNormalizationV1 BatchNormalizationV2 SyncBatchNormalization Bidirectional Concatenate
    Dense Dot Dropout ELU EinsumDense Embedding ReversibleEmbedding Flatten GaussianDropout GaussianNoise
    GroupNormalization GroupQueryAttention Identity LayerNormalization LeakyReLU LocallyConnected1D
    LocallyConnected2D Masking Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization ReLU RepeatVector Rescaling Reshape Resizing Softmax SpatialDropout1D SpatialDropout2D
    SpatialDropout3D SpectralNormalization Subtract ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D Conv1D
    Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose Convolution1D Convolution2D Convolution3D
    Convolution1DTranspose Convolution2DTranspose Convolution3DTranspose DepthwiseConv1D DepthwiseConv2D
    SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D AveragePooling1D AveragePooling2D
    AveragePooling3D AvgPool1D AvgPool2D AvgPool3D MaxPooling1D MaxPooling2D MaxPooling3D MaxPool1D MaxPool2D
    MaxPool3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
    GlobalAvgPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalMaxPool1D GlobalMaxPool2D
    GlobalMaxPool3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
    AdaptiveMaxPooling2D AdaptiveMaxPooling3D RNN SimpleRNN SimpleRNNCell GRU GRUV1 GRUV2 GRUCell LSTM LSTMV1 LSTMV2
    LSTMCell StackedRNNCells ConvLSTM1D ConvLSTM2D ConvLSTM3D ConvLSTM2DCell AugMix AutoContrast CategoryEncoding
    CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Discretization Equalization HashedCrossing
    Hashing MelSpectrogram MixUp Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
    RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale
    RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
    RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom Solarization STFTSpectrogram
    """
)

INITIALIZERS = names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform
    Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal
    VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal
    lecun_uniform normal one ones orthogonal random_normal random_uniform stft truncated_normal uniform
    variance_scaling zero zeros
    """
)
REGULARIZERS = names("L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer")
CONSTRAINTS = names(
    """
    MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm max_norm maxnorm min_max_norm non_neg nonneg
    radial_constraint unit_norm unitnorm
    """
)
ACTIVATIONS = names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softmax_v2 softplus softsign
    sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
DTYPE_POLICIES = names(
    """
    AWQDTypePolicy DTypePolicy DTypePolicyMap FloatDTypePolicy GPTQDTypePolicy Int4DTypePolicy Policy PolicyV1
    QuantizedDTypePolicy QuantizedFloat8DTypePolicy
    """
)
# Written by the libraries in place of values that JSON does not have.
VALUES = names(
    """
    __bytes__ __ellipsis__ __keras_tensor__ __numpy__ __slice__ __tensor__ __tuple__ TensorShape
    """
)

# keras.ops as layers of a functional model of Keras 3. Those that take functions (Map, Scan, Cond ...) are left out.
OPERATIONS = names(
    """
    Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2
    Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit Average Bincount BitwiseAnd BitwiseInvert
    BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt Ceil Clip Concatenate Conj
    Conjugate Copy Corrcoef Correlate Cos Cosh CountNonzero Cross Cumprod Cumsum Deg2rad Diag Diagflat Diagonal Diff
    Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum EmptyLike Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr
    Flipud Floor FloorDivide Fmax Fmin Fmod Full FullLike Gcd Geomspace GetItem Greater GreaterEqual Heaviside
    Histogram Hsplit Hstack Hypot I0 Imag Inner IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron Lcm
    Ldexp LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot
    LogicalOr LogicalXor Logspace Matmul Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum
    Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile
    Nanstd Nansum Nanvar Ndim Negative Nextafter Nonzero NotEqual OnesLike Outer Pad Percentile Power Prod Ptp
    Quantile Rad2deg Ravel Real Reciprocal Repeat Reshape RightShift Roll Rot90 Round SearchSorted Select Sign
    Signbit Sin Sinc Sinh Size Slogdet Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take
    TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex
    Vander Var Vdot View Vsplit Vstack Where ZerosLike AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm
    Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu Fold Gelu Glu HardShrink HardSigmoid
    HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize OneHot Polar
    RMSNorm Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparsePlus
    SparseSigmoid Sparsemax Squareplus TanhShrink Threshold Unfold CDist Erf Erfc Erfinv ExtractSequences FFT FFT2
    IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt STFT SegmentMax SegmentMin SegmentProd SegmentReduction
    SegmentSum TopK ViewAsComplex ViewAsReal AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur
    HSVToRGB MapCoordinates PadImages PerspectiveTransform RGBToGrayscale RGBToHSV Resize ScaleAndTranslate
    SobelEdges Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve
    SolveTriangular Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient Unstack
    Rearrange
    """
)

# Where each kind of object lives, in either library and in all of their versions. A name is looked up there and
# nowhere else: "keras_x.Dense" or "keras.utils.Dense" is another object.
_ANY = r"(\.[a-z0-9_]+)*"
_KINDS = (
    (MODELS | LAYERS, rf"(tf_)?keras(\.src)?(\.(layers|engine|models){_ANY})?"),
    (OPERATIONS, r"keras(\.src)?\.ops\.(numpy|nn|math|image|linalg|core|einops)"),
    # tf_keras' EfficientNetV2 has some of TensorFlow's own.
    (INITIALIZERS, rf"(tf_)?keras(\.src)?\.initializers{_ANY}|tensorflow\.python\.ops\.init_ops(_v2)?"),
    (REGULARIZERS, rf"(tf_)?keras(\.src)?\.regularizers{_ANY}"),
    (CONSTRAINTS, rf"(tf_)?keras(\.src)?\.constraints{_ANY}"),
    (DTYPE_POLICIES, rf"(tf_)?keras(\.src)?(\.(dtype_policies|mixed_precision){_ANY})?"),
    (frozenset(("SeedGenerator",)), rf"keras(\.src)?\.random{_ANY}"),
)
_FUNCTIONS = rf"builtins|(tf_)?keras(\.src)?(\.activations{_ANY})?"

# Layers of keras.applications that are no layers of Keras: where they live, in either library.
OF_APPLICATIONS = {
    "LayerScale": "applications.convnext",
    "StochasticDepth": "applications.convnext",
    "CustomScaleLayer": "applications.inception_resnet_v2",
}
OF_APPLICATIONS |= {f"Custom>{name}": module for name, module in OF_APPLICATIONS.items()}  # as tf_keras registers them


def is_harmless_class(name: str, module: str | None) -> bool:
    """Whether a class of this name, looked up in this module (None: among the library's own), only computes."""
    if module is None:
        return name in VALUES or any(name in known for known, _ in _KINDS)
    return any(name in known and re.fullmatch(modules, module) is not None for known, modules in _KINDS)


def is_harmless_function(name: str, module: str | None) -> bool:
    """Whether a function of this name, looked up in this module, is an activation of Keras."""
    return name in ACTIVATIONS and (module is None or re.fullmatch(_FUNCTIONS, module) is not None)


# What a setting of a layer may be, where it is a name that Keras looks up; by the end of the setting's own name.
NAMED_IN_SETTINGS = {
    "activation": ACTIVATIONS,
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
}
