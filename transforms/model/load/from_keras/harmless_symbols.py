"""TensorFlow symbols that an op layer (TFOpLambda, SlicingOpLambda) may call without ``model.trust``.

An allow-list of functions of tensors. Left out are all that touch files, libraries, processes or sockets (tf.io,
tf.data, tf.load_library, tf.print ...), that take or hold Python functions (map_fn, cond, py_function ...), that keep
state (variables, tables, summaries), and strings.
"""

from transforms.model.graph import COMPUTES
from transforms.model.load.from_keras.harmless_names import ACTIVATIONS

_MATH = """
    abs accumulate_n acos acosh add add_n angle argmax argmin asin asinh atan atan2 atanh ceil conj cos cosh
    count_nonzero cumprod cumsum cumulative_logsumexp digamma div div_no_nan divide divide_no_nan equal erf erfc erfcinv
    erfinv exp expm1 floor floor_div floordiv floormod greater greater_equal igamma igammac imag invert_permutation
    is_finite is_inf is_nan l2_normalize lbeta less less_equal lgamma log log1p log_sigmoid log_softmax logical_and
    logical_not logical_or logical_xor maximum minimum mod multiply multiply_no_nan negative not_equal polygamma polyval
    pow real realdiv reciprocal reciprocal_no_nan reduce_all reduce_any reduce_euclidean_norm reduce_logsumexp
    reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum reduce_variance rint round rsqrt scalar_mul
    segment_max segment_mean segment_min segment_prod segment_sum sigmoid sign sin sinh softmax softplus softsign sqrt
    square squared_difference subtract tan tanh top_k truediv truncatediv truncatemod unsorted_segment_max
    unsorted_segment_mean unsorted_segment_min unsorted_segment_prod unsorted_segment_sqrt_n unsorted_segment_sum xdivy
    xlog1py xlogy zero_fraction zeta
"""
_ARRAYS = """
    argsort batch_gather batch_to_space batch_to_space_nd bitcast boolean_mask broadcast_static_shape
    broadcast_dynamic_shape broadcast_to cast clip_by_norm clip_by_value complex concat constant convert_to_tensor
    depth_to_space dynamic_partition dynamic_stitch einsum ensure_shape expand_dims extract_image_patches eye fill
    gather gather_nd histogram_fixed_width histogram_fixed_width_bins identity identity_n linspace matmul
    matrix_band_part matrix_diag matrix_diag_part matrix_set_diag matrix_transpose meshgrid norm one_hot ones ones_like
    pad parallel_stack range rank repeat required_space_to_batch_paddings reshape reverse reverse_sequence roll
    saturate_cast scatter_nd searchsorted sequence_mask shape shape_n size slice sort space_to_batch space_to_batch_nd
    space_to_depth split squeeze stack stop_gradient strided_slice tensor_scatter_nd_add tensor_scatter_nd_max
    tensor_scatter_nd_min tensor_scatter_nd_sub tensor_scatter_nd_update tensordot tile transpose unique
    unique_with_counts unravel_index unstack where where_v2 zeros zeros_like
"""
_NN = """
    atrous_conv2d atrous_conv2d_transpose avg_pool avg_pool1d avg_pool2d avg_pool3d batch_normalization bias_add conv1d
    conv1d_transpose conv2d conv2d_transpose conv3d conv3d_transpose conv_transpose convolution crelu depth_to_space
    depthwise_conv2d dilation2d dropout elu embedding_lookup erosion2d fused_batch_norm gelu l2_loss l2_normalize
    leaky_relu local_response_normalization log_softmax lrn max_pool max_pool1d max_pool2d max_pool3d
    max_pool_with_argmax moments pool relu relu6 selu separable_conv2d sigmoid silu softmax softplus softsign
    space_to_depth swish tanh top_k xw_plus_b
"""
_IMAGE = """
    adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation central_crop convert_image_dtype
    crop_and_resize crop_to_bounding_box extract_glimpse extract_patches flip_left_right flip_up_down grayscale_to_rgb
    hsv_to_rgb image_gradients pad_to_bounding_box per_image_standardization resize resize_area resize_bicubic
    resize_bilinear resize_image_with_crop_or_pad resize_image_with_pad resize_images resize_nearest_neighbor
    resize_with_crop_or_pad resize_with_pad rgb_to_grayscale rgb_to_hsv rgb_to_yiq rgb_to_yuv rot90 sobel_edges
    total_variation transpose transpose_image yiq_to_rgb yuv_to_rgb
"""
_LINALG = """
    adjoint band_part cholesky cross det diag diag_part einsum eye inv l2_normalize logdet matmul matrix_transpose
    matvec norm normalize pinv qr set_diag solve svd tensor_diag tensor_diag_part tensordot trace triangular_solve
"""
_SIGNAL = """
    dct fft fft2d fft3d fftshift hamming_window hann_window idct ifft ifft2d ifft3d ifftshift irfft irfft2d irfft3d rfft
    rfft2d rfft3d
"""
_QUANTIZATION = """
    fake_quant_with_min_max_args fake_quant_with_min_max_vars fake_quant_with_min_max_vars_per_channel
    quantize_and_dequantize quantize_and_dequantize_v2
"""
_BACKEND = """
    abs argmax argmin batch_flatten batch_normalization bias_add cast clip concatenate constant conv1d conv2d conv3d cos
    depthwise_conv2d dot elu equal exp expand_dims flatten gather greater greater_equal hard_sigmoid l2_normalize less
    less_equal log max maximum mean min minimum not_equal one_hot ones_like permute_dimensions pool2d pool3d pow prod
    relu repeat repeat_elements reshape resize_images resize_volumes reverse round separable_conv2d sigmoid sign sin
    softmax softplus softsign spatial_2d_padding sqrt square squeeze stack std stop_gradient sum tanh tile transpose var
    zeros_like
"""
_OPERATORS = "add eq getitem ne"

_SPACES = {
    "": _MATH + _ARRAYS + _QUANTIZATION,
    "math": _MATH,
    "nn": _NN,
    "image": _IMAGE,
    "linalg": _LINALG,
    "signal": _SIGNAL,
    "quantization": _QUANTIZATION,
    "dtypes": "cast complex saturate_cast",
    "debugging": "check_numerics assert_all_finite",
    "bitwise": "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift",
}

HARMLESS_SYMBOLS = frozenset(
    [
        f"{version}{space}.{name}".lstrip(".") if space else f"{version}{name}"
        for version in ("", "compat.v1.")
        for space, names in _SPACES.items()
        for name in names.split()
    ]
    + [f"__operators__.{name}" for name in _OPERATORS.split()]
    + [f"keras.backend.{name}" for name in _BACKEND.split()]
    + [f"keras.activations.{name}" for name in ACTIVATIONS]
    + [f"raw_ops.{name}" for name in COMPUTES]
)
