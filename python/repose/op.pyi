"""The operators of the graph: written by tools/make_op_stub.py."""
from typing import Any

from repose._repose import Value

def abs(x: Any) -> Value:
    """absolute value; of the smallest integer: itself"""

def acos(x: Any) -> Value:
    """arc cosine"""

def acosh(x: Any) -> Value:
    """inverse hyperbolic cosine"""

def add(a: Any, b: Any) -> Value:
    """a + b"""

def arange(start: Any, end: Any = ..., step: Any = ..., dtype: Any = ...) -> Value:
    """start, start + step, … before end; one operand alone is the end"""

def argmax(x: Any, axis: Any = ..., keepdims: Any = ..., select_last: Any = ...) -> Value:
    """position of the largest element along `axis` (None: of all)"""

def argmin(x: Any, axis: Any = ..., keepdims: Any = ..., select_last: Any = ...) -> Value:
    """position of the smallest element along `axis` (None: of all)"""

def argsort(x: Any, axis: Any = ..., descending: Any = ..., dtype: Any = ...) -> Value:
    """where the elements in order along `axis` are in x; equal ones keep their order"""

def asin(x: Any) -> Value:
    """arc sine"""

def asinh(x: Any) -> Value:
    """inverse hyperbolic sine"""

def assert_op(condition: Any, *further: Any, format: Any = ...) -> Value:
    """fails with the formatted message unless the condition holds"""

def astype(x: Any, dtype: Any) -> Value:
    """the same values in another dtype"""

def atan(x: Any) -> Value:
    """arc tangent"""

def atan2(a: Any, b: Any) -> Value:
    """angle of the point (b, a), in [-pi, pi]"""

def atanh(x: Any) -> Value:
    """inverse hyperbolic tangent"""

def bitcast(x: Any, dtype: Any) -> Value:
    """the same bits in another dtype"""

def bitwise_and(a: Any, b: Any) -> Value:
    """bits in both"""

def bitwise_not(x: Any) -> Value:
    """every bit inverted"""

def bitwise_or(a: Any, b: Any) -> Value:
    """bits in one or both"""

def bitwise_xor(a: Any, b: Any) -> Value:
    """bits in exactly one"""

def broadcast_to(x: Any, shape: Any) -> Value:
    """x repeated along dimensions where it is 1, to the shape"""

def bucketize(x: Any, boundaries: Any, out_int32: Any = ..., right: Any = ...) -> Value:
    """for each element the number of ascending boundaries below it (`right`: not above)"""

def call_dps_packed(function: Any, args: Any) -> Value:
    """a library function that writes its result into a given buffer"""

def call_inplace_packed(function: Any, *further: Any, inplace_indices: Any) -> Value:
    """a library function that overwrites arguments: result i is argument inplace_indices[i] afterwards (-1: what the function gives)"""

def call_packed(function: Any, *further: Any) -> Value:
    """a library function that may have effects"""

def call_pure_packed(function: Any, *further: Any) -> Value:
    """a library function without effects"""

def call_tir(program: Any, args: Any) -> Value:
    """allocates results of type out_sinfo and calls program(args…, results…)"""

def call_tir_inplace(program: Any, args: Any, inplace_indices: Any) -> Value:
    """call_tir whose result i overwrites argument inplace_indices[i] (-1: a new buffer)"""

def call_tir_with_grad(program: Any, args: Any, te_grad_name: Any, te_grad_kwargs: Any = ...) -> Value:
    """call_tir, whose gradient nobody knows here"""

def ceil(x: Any) -> Value:
    """the smallest integer not below"""

def check(condition: Any, *further: Any, message: Any, guaranteed: Any = ...) -> Value:
    """fails with the message unless the condition holds; {0}, {1}, … in the message stand for the further operands. Never dropped: proofs may rest on it. guaranteed: an operator makes sure of the condition, which is there for what follows from it"""

def clip(x: Any, min: Any = ..., max: Any = ...) -> Value:
    """values below min become min, then values above max become max"""

def collapse_sum_like(x: Any, collapse_target: Any) -> Value:
    """sums of x over the dimensions along which a tensor of the target's shape would be broadcast to x's"""

def collapse_sum_to(x: Any, shape: Any) -> Value:
    """sums of x over the dimensions along which the shape would be broadcast to x's"""

def concat(tensors: Any, axis: Any = ...) -> Value:
    """the tensors one after the other along `axis`"""

def cos(x: Any) -> Value:
    """cosine"""

def cosh(x: Any) -> Value:
    """hyperbolic cosine"""

def cumprod(x: Any, axis: Any = ..., dtype: Any = ..., exclusive: Any = ..., reverse: Any = ...) -> Value:
    """running product along `axis`"""

def cumsum(x: Any, axis: Any = ..., dtype: Any = ..., exclusive: Any = ..., reverse: Any = ...) -> Value:
    """running sum along `axis`"""

def dequantize(x: Any, scale: Any, zero_point: Any, axis: Any = ..., out_dtype: Any = ...) -> Value:
    """scale * (x - zero_point); parameters are scalars, or vectors along `axis`"""

def determinant(x: Any) -> Value:
    """determinants of the matrices in the last two dimensions"""

def divide(a: Any, b: Any) -> Value:
    """a / b; integers round to zero, x / 0 is 0"""

def dynamic_strided_slice(x: Any, begin: Any, end: Any, strides: Any) -> Value:
    """strided_slice along all axes, whose bounds and strides are tensors"""

def einsum(operands: Any, subscripts: Any) -> Value:
    """sums of products of tensors in Einstein's notation: "ij,jk->ik", with "..." for dimensions that are broadcast; more than two operands are taken from the left"""

def equal(a: Any, b: Any) -> Value:
    """a == b"""

def erf(x: Any) -> Value:
    """error function"""

def ewise_fma(a: Any, b: Any, c: Any) -> Value:
    """a * b + c of three tensors of one shape"""

def exp(x: Any) -> Value:
    """exponential"""

def expand(x: Any, shape: Any) -> Value:
    """x broadcast together with the shape: dimensions of either may be 1"""

def expand_dims(x: Any, axis: Any) -> Value:
    """new dimensions of extent 1 at `axis`, counted in the result"""

def eye(n: Any, m: Any = ..., k: Any = ..., dtype: Any = ...) -> Value:
    """an n by m matrix with ones on diagonal k, counted upwards, and zeros elsewhere"""

def eye_like(x: Any, k: Any = ..., dtype: Any = ...) -> Value:
    """a matrix of x's shape with ones on diagonal k, zeros elsewhere"""

def flatten(x: Any) -> Value:
    """the elements in row-major order as a tensor of rank 1"""

def flip(x: Any, axis: Any) -> Value:
    """x with its elements along `axis` in reverse order"""

def floor(x: Any) -> Value:
    """the largest integer not above"""

def floor_divide(a: Any, b: Any) -> Value:
    """a / b rounded down"""

def floor_mod(a: Any, b: Any) -> Value:
    """remainder with the sign of b"""

def full(shape: Any, fill_value: Any, dtype: Any = ...) -> Value:
    """a tensor whose elements are all the fill value (a tensor of rank 0)"""

def full_like(x: Any, fill_value: Any, dtype: Any = ...) -> Value:
    """the fill value (a tensor of rank 0) in x's shape, and in its dtype unless one is given"""

def gather_elements(x: Any, indices: Any, axis: Any = ...) -> Value:
    """for each index the element of x at it along `axis`"""

def gather_nd(x: Any, indices: Any, batch_dims: Any = ...) -> Value:
    """slices of x at index tuples along the last dimension of the indices"""

def greater(a: Any, b: Any) -> Value:
    """a > b"""

def greater_equal(a: Any, b: Any) -> Value:
    """a >= b"""

def grid_sample(x: Any, grid: Any, mode: Any = ..., padding: Any = ..., align_corners: Any = ..., normalized: Any = ...) -> Value:
    """x interpolated at the places that a grid names"""

def hamming_window(window_size: Any, periodic: Any = ..., alpha: Any = ..., beta: Any = ..., dtype: Any = ...) -> Value:
    """alpha - beta * cos(2 * pi * i / n), i below the window's size n (n - 1 unless it is periodic)"""

def index_put(x: Any, indices: Any, values: Any, accumulate: Any = ...) -> Value:
    """x with elements, or slices, at a tuple of index tensors replaced by values (`accumulate`: increased by them)"""

def index_tensor(x: Any, indices: Any) -> Value:
    """elements, or slices, of x at a tuple of index tensors, one for each of its first dimensions"""

def isfinite(x: Any) -> Value:
    """neither infinite nor NaN"""

def isinf(x: Any) -> Value:
    """infinite"""

def isnan(x: Any) -> Value:
    """not a number"""

def layout_transform(x: Any, index_map: Any, pad_value: Any = ..., axis_separators: Any = ..., input_axis_separators: Any = ...) -> Value:
    """the elements at the places that an index map says, such as `lambda n, c: (n, c // 16, c % 16)`; `pad_value` where nothing comes to lie"""

def left_shift(a: Any, b: Any) -> Value:
    """a << (b modulo the width)"""

def less(a: Any, b: Any) -> Value:
    """a < b"""

def less_equal(a: Any, b: Any) -> Value:
    """a <= b"""

def linear_attention(query: Any, key: Any, value: Any, state: Any, decay: Any = ..., beta: Any = ...) -> Value:
    """attention over a state that each step decays, corrects and reads"""

def log(x: Any) -> Value:
    """natural logarithm"""

def log_add_exp(a: Any, b: Any) -> Value:
    """log(exp(a) + exp(b))"""

def logical_and(a: Any, b: Any) -> Value:
    """a and b"""

def logical_not(x: Any) -> Value:
    """logical negation"""

def logical_or(a: Any, b: Any) -> Value:
    """a or b"""

def logical_xor(a: Any, b: Any) -> Value:
    """exactly one of a, b"""

def matmul(a: Any, b: Any, out_dtype: Any = ...) -> Value:
    """matrix product over the last dimension of a and the one before the last of b; further dimensions broadcast"""

def max(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """the largest element, NaN wins, over the dimensions `axis` (None: all)"""

def maximum(a: Any, b: Any) -> Value:
    """the larger; NaN wins"""

def mean(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """mean; of integers, rounded to zero, over the dimensions `axis` (None: all)"""

def median(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """the middle element in order, the lower of two, over the dimensions `axis` (None: all); over one dimension a tuple of it and its position"""

def meshgrid(tensors: Any, indexing: Any = ...) -> Value:
    """a tuple: each vector along its dimension of a grid, repeated along the others; "xy" swaps the first two dimensions"""

def min(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """the smallest element, NaN wins, over the dimensions `axis` (None: all)"""

def minimum(a: Any, b: Any) -> Value:
    """the smaller; NaN wins"""

def mod(a: Any, b: Any) -> Value:
    """remainder with the sign of a (fmod)"""

def multinomial_from_uniform(prob: Any, uniform_sample: Any, sample_indices: Any, dtype: Any = ...) -> Value:
    """classes drawn from the distributions in the rows of `prob`, by numbers of a uniform distribution"""

def multiply(a: Any, b: Any) -> Value:
    """a * b"""

def negative(x: Any) -> Value:
    """negation; integers wrap"""

def non_max_suppression(boxes: Any, scores: Any, max_output: Any, iou_threshold: Any = ..., score_threshold: Any = ..., center_point_box: Any = ...) -> Value:
    """batch, class and index of the best boxes that don't overlap a better one"""

def nonzero(x: Any) -> Value:
    """indices of the elements that aren't 0, one column each"""

def not_equal(a: Any, b: Any) -> Value:
    """a != b"""

def null_value() -> Value:
    """stands for an operand that is left out"""

def one_hot(indices: Any, on_value: Any, off_value: Any, depth: Any, axis: Any = ...) -> Value:
    """on_value at the index along a new dimension, off_value elsewhere"""

def ones(shape: Any, dtype: Any = ...) -> Value:
    """a tensor of ones (float32, unless a dtype is given)"""

def ones_like(x: Any, dtype: Any = ...) -> Value:
    """ones of x's shape, and of its dtype unless one is given"""

def outer(a: Any, b: Any) -> Value:
    """the products of all elements of one vector with those of another"""

def permute_dims(x: Any, axes: Any = ...) -> Value:
    """dimension d of the result is dimension axes[d] of the operand (None: reversed)"""

def power(a: Any, b: Any) -> Value:
    """a to the power of b"""

def print(*further: Any, format: Any = ...) -> Value:
    """prints its operands"""

def prod(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """product over the dimensions `axis` (None: all)"""

def quantize(x: Any, scale: Any, zero_point: Any, axis: Any = ..., out_dtype: Any = ...) -> Value:
    """round(x / scale) + zero_point, clamped to the dtype's range; parameters are scalars, or vectors along `axis`"""

def random(shape: Any, seed: Any = ..., distribution: Any = ..., dtype: Any = ...) -> Value:
    """random numbers: the same for the same seed and shape"""

def repeat(x: Any, repeats: Any, axis: Any = ...) -> Value:
    """each element `repeats` times in a row along `axis` (None: of x flattened)"""

def reshape(x: Any, shape: Any) -> Value:
    """the same elements, in row-major order, under another shape with as many elements; a view"""

def resize(x: Any, size: Any, numerator: Any, denominator: Any, crop_begin: Any = ..., crop_end: Any = ..., crop_whole: Any = ..., axis: Any = ..., method: Any = ..., coordinates: Any = ..., rounding: Any = ..., cubic_alpha: Any = ..., exclude_outside: Any = ..., antialias: Any = ..., outside: Any = ...) -> Value:
    """x interpolated along one axis"""

def reverse_sequence(x: Any, seq_lengths: Any, seq_axis: Any = ..., batch_axis: Any = ...) -> Value:
    """the first elements along `seq_axis` in reverse order, as many as the lengths say for each index of `batch_axis`"""

def right_shift(a: Any, b: Any) -> Value:
    """a >> (b modulo the width)"""

def roi_align(x: Any, rois: Any, batch: Any, mode: Any = ..., height: Any = ..., width: Any = ..., sampling: Any = ..., scale: Any = ..., half_pixel: Any = ...) -> Value:
    """points of regions of images, interpolated and combined"""

def roi_max_pool(x: Any, rois: Any, height: Any = ..., width: Any = ..., scale: Any = ...) -> Value:
    """the largest elements of the parts of regions of images"""

def round(x: Any) -> Value:
    """the nearest integer, halves to even"""

def rsqrt(x: Any) -> Value:
    """1 / square root"""

def scatter_elements(x: Any, indices: Any, updates: Any, axis: Any = ..., reduction: Any = ...) -> Value:
    """x with the element at each index along `axis` updated"""

def scatter_nd(x: Any, indices: Any, updates: Any, reduction: Any = ...) -> Value:
    """x with slices updated at index tuples along the last dimension of the indices"""

def shape_of(x: Any) -> Value:
    """the shape of a tensor, as a shape"""

def shape_to_tensor(shape: Any) -> Value:
    """the members of a shape as an int64 tensor of rank 1"""

def sigmoid(x: Any) -> Value:
    """1 / (1 + exp(-x))"""

def sign(x: Any) -> Value:
    """-1, 0 or 1; NaN stays NaN"""

def sin(x: Any) -> Value:
    """sine"""

def sinh(x: Any) -> Value:
    """hyperbolic sine"""

def size(x: Any) -> Value:
    """the number of elements as an int64 tensor of rank 0"""

def slice_scatter(x: Any, src: Any, start: Any, end: Any, step: Any = ..., axis: Any = ...) -> Value:
    """x with a slice along `axis` replaced by `src`; bounds count from the end where they are negative, and are clamped"""

def sort(x: Any, axis: Any = ..., descending: Any = ...) -> Value:
    """x with its elements along `axis` in order; NaN is greater than everything else"""

def split(x: Any, indices_or_sections: Any, axis: Any = ...) -> Value:
    """a tuple of parts along `axis`: a number of sections, or the positions where parts begin after the first"""

def sqrt(x: Any) -> Value:
    """square root"""

def square(x: Any) -> Value:
    """x * x"""

def squeeze(x: Any, axis: Any = ...) -> Value:
    """drops the dimensions `axis`, which are 1 (None: every dimension that is 1)"""

def stack(tensors: Any, axis: Any = ...) -> Value:
    """tensors of one shape one after the other along a new dimension"""

def std(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """square root of the variance over the dimensions `axis` (None: all)"""

def strided_slice(x: Any, begin: Any, end: Any, strides: Any = ..., axes: Any = ..., assume_inbound: Any = ...) -> Value:
    """elements begin, begin + stride, … before end along each of `axes`; bounds count from the end where they are negative, and are clamped as NumPy clamps them"""

def subtract(a: Any, b: Any) -> Value:
    """a - b"""

def sum(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """sum over the dimensions `axis` (None: all)"""

def take(x: Any, indices: Any, axis: Any = ..., mode: Any = ...) -> Value:
    """slices of x along `axis` at the indices; negative ones count from the end"""

def tan(x: Any) -> Value:
    """tangent"""

def tanh(x: Any) -> Value:
    """hyperbolic tangent"""

def tensor_to_shape(t: Any) -> Value:
    """the elements of an integer tensor of rank 1 as a shape"""

def tile(x: Any, repeats: Any) -> Value:
    """x repeated along each dimension"""

def topk(x: Any, k: Any, axis: Any = ..., ret_type: Any = ..., largest: Any = ..., dtype: Any = ...) -> Value:
    """the k largest or smallest elements along `axis`, in order, and their indices (int64 unless `dtype` is given); `ret_type` asks for one of them"""

def tree_ensemble(x: Any, roots: Any, features: Any, thresholds: Any, modes: Any, missing: Any, yes: Any, no: Any, targets: Any, weights: Any, num_targets: Any = ..., aggregate: Any = ...) -> Value:
    """the sum of what the leaves of decision trees give"""

def tril(x: Any, k: Any = ...) -> Value:
    """x up to diagonal k of its last two dimensions, 0 above"""

def triu(x: Any, k: Any = ...) -> Value:
    """x from diagonal k of its last two dimensions on, 0 below"""

def trunc(x: Any) -> Value:
    """the nearest integer towards 0"""

def unique(x: Any, sorted: Any = ..., return_index: Any = ..., return_inverse: Any = ..., return_counts: Any = ..., axis: Any = ...) -> Value:
    """elements or slices along `axis` without repetitions; on demand where each occurs first, where x's are among them, how often each occurs"""

def variance(x: Any, axis: Any = ..., keepdims: Any = ...) -> Value:
    """mean of the squared distance from the mean over the dimensions `axis` (None: all)"""

def view(x: Any, offset: Any, shape: Any) -> Value:
    """the elements from `offset` on, in row-major order, under `shape`; a view"""

def where(condition: Any, a: Any, b: Any) -> Value:
    """a where the condition holds, b elsewhere"""

def while_loop(cond: Any, body: Any, init: Any) -> Value:
    """C1: cond and body take the carried values. C2: both are pure. C3: init and body's result fit their parameters. C4: cond gives a bool of rank 0. While cond(carried) holds, carried = body(carried)"""

def wrap_param(param: Any, dtype: Any = ...) -> Value:
    """a parameter of the model in another dtype"""

def zeros(shape: Any, dtype: Any = ...) -> Value:
    """a tensor of zeros (float32, unless a dtype is given)"""

def zeros_like(x: Any, dtype: Any = ...) -> Value:
    """zeros of x's shape, and of its dtype unless one is given"""

class grad:
    @staticmethod
    def avg_pool1d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.avg_pool1d in its operand"""

    @staticmethod
    def avg_pool2d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.avg_pool2d in its operand"""

    @staticmethod
    def avg_pool3d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.avg_pool3d in its operand"""

    @staticmethod
    def end_checkpoint(x: Any) -> Value:
        """x, which ends a checkpointed part"""

    @staticmethod
    def max_pool1d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.max_pool1d in its operand"""

    @staticmethod
    def max_pool2d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.max_pool2d in its operand"""

    @staticmethod
    def max_pool3d_backward(output_grad: Any, data: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the gradient of nn.max_pool3d in its operand"""

    @staticmethod
    def no_grad(x: Any) -> Value:
        """x, through which no gradient flows"""

    @staticmethod
    def start_checkpoint(x: Any) -> Value:
        """x, from which a checkpointed part begins"""

class image:
    @staticmethod
    def affine_grid(x: Any, size: Any, align_corners: Any = ...) -> Value:
        """the places of a grid from -1 to 1, transformed by a matrix (2, 3) for each image"""

    @staticmethod
    def grid_sample(x: Any, grid: Any, method: Any = ..., layout: Any = ..., padding_mode: Any = ..., align_corners: Any = ...) -> Value:
        """grid_sample with a grid whose dimension 1 names the places"""

    @staticmethod
    def resize2d(x: Any, size: Any, roi: Any = ..., layout: Any = ..., method: Any = ..., coordinate_transformation_mode: Any = ..., rounding_method: Any = ..., cubic_alpha: Any = ..., cubic_exclude: Any = ..., extrapolation_value: Any = ..., out_dtype: Any = ...) -> Value:
        """images whose 2 spatial dimensions are interpolated to a size"""

    @staticmethod
    def resize3d(x: Any, size: Any, roi: Any = ..., layout: Any = ..., method: Any = ..., coordinate_transformation_mode: Any = ..., rounding_method: Any = ..., cubic_alpha: Any = ..., cubic_exclude: Any = ..., extrapolation_value: Any = ..., out_dtype: Any = ...) -> Value:
        """images whose 3 spatial dimensions are interpolated to a size"""

class memory:
    @staticmethod
    def ensure_zero_offset(x: Any) -> Value:
        """the operand, whose memory begins with its first element anyway"""

class nn:
    @staticmethod
    def adaptive_avg_pool1d(x: Any, output_size: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each of output_size windows that cover the operand"""

    @staticmethod
    def adaptive_avg_pool2d(x: Any, output_size: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each of output_size windows that cover the operand"""

    @staticmethod
    def adaptive_avg_pool3d(x: Any, output_size: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each of output_size windows that cover the operand"""

    @staticmethod
    def attention(query: Any, key: Any, value: Any, bias: Any = ..., scale: Any = ..., causal_mask: Any = ..., window_size: Any = ...) -> Value:
        """softmax(q k^T * scale + bias) v for each head; operands are (batch, length, heads, width); `causal_mask` is None, "TopLeft" or "BottomRight\""""

    @staticmethod
    def attention_bias(query: Any, key: Any, value: Any, bias: Any, scale: Any = ..., causal_mask: Any = ..., window_size: Any = ...) -> Value:
        """nn.attention with a bias, which broadcasts to (batch, heads, queries, keys)"""

    @staticmethod
    def attention_var_len(queries: Any, keys: Any, values: Any, seqstart_q: Any, max_seqlen_q: Any = ..., seqstart_k: Any = ..., max_seqlen_k: Any = ..., scale: Any = ..., causal_mask: Any = ..., window_size: Any = ...) -> Value:
        """attention of sequences that lie one after the other, each to itself; `seqstart_q`: where each begins, and behind the last one where that ends"""

    @staticmethod
    def avg_pool1d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each window"""

    @staticmethod
    def avg_pool2d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each window"""

    @staticmethod
    def avg_pool3d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the mean of each window"""

    @staticmethod
    def batch_flatten(x: Any) -> Value:
        """all dimensions but the first as one; a view"""

    @staticmethod
    def batch_norm(x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_var: Any, axis: Any = ..., epsilon: Any = ..., center: Any = ..., scale: Any = ..., momentum: Any = ..., training: Any = ...) -> Value:
        """a tuple of nn.batch_norm_inference and the two statistics, unchanged"""

    @staticmethod
    def batch_norm_inference(x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_var: Any, axis: Any = ..., epsilon: Any = ..., center: Any = ..., scale: Any = ...) -> Value:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta along `axis`"""

    @staticmethod
    def celu(x: Any, alpha: Any = ...) -> Value:
        """x where it is positive, else alpha * (exp(x / alpha) - 1)"""

    @staticmethod
    def conv1d(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """convolution over 1 spatial dimensions"""

    @staticmethod
    def conv1d_transpose(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., output_padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """transposed convolution over 1 spatial dimensions"""

    @staticmethod
    def conv2d(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """convolution over 2 spatial dimensions"""

    @staticmethod
    def conv2d_transpose(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., output_padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """transposed convolution over 2 spatial dimensions"""

    @staticmethod
    def conv3d(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """convolution over 3 spatial dimensions"""

    @staticmethod
    def conv3d_transpose(x: Any, weight: Any, strides: Any = ..., padding: Any = ..., output_padding: Any = ..., dilation: Any = ..., groups: Any = ..., data_layout: Any = ..., kernel_layout: Any = ..., out_layout: Any = ..., out_dtype: Any = ...) -> Value:
        """transposed convolution over 3 spatial dimensions"""

    @staticmethod
    def cross_entropy_with_logits(predictions: Any, labels: Any) -> Value:
        """-sum(predictions * labels), divided by the batch where the rank is above 1"""

    @staticmethod
    def dropout(x: Any, rate: Any = ...) -> Value:
        """in inference: a tuple of x and a mask of ones"""

    @staticmethod
    def elu(x: Any, alpha: Any = ...) -> Value:
        """x where it is positive, else alpha * (exp(x) - 1)"""

    @staticmethod
    def gelu(x: Any) -> Value:
        """x / 2 * (1 + erf(x / sqrt(2)))"""

    @staticmethod
    def gelu_tanh(x: Any) -> Value:
        """gelu, with its approximation by tanh"""

    @staticmethod
    def group_norm(x: Any, gamma: Any, beta: Any, num_groups: Any, channel_axis: Any, axes: Any, epsilon: Any = ..., center: Any = ..., scale: Any = ...) -> Value:
        """layer normalisation over the channels of a group and `axes`, per group; gamma and beta per channel"""

    @staticmethod
    def hard_sigmoid(x: Any, alpha: Any = ..., beta: Any = ...) -> Value:
        """alpha * x + beta, clipped to [0, 1]"""

    @staticmethod
    def hard_swish(x: Any, alpha: Any = ..., beta: Any = ...) -> Value:
        """x * hard_sigmoid(x)"""

    @staticmethod
    def instance_norm(x: Any, gamma: Any, beta: Any, channel_axis: Any, axes: Any, epsilon: Any = ..., center: Any = ..., scale: Any = ...) -> Value:
        """layer normalisation over `axes`, per channel; gamma and beta per channel"""

    @staticmethod
    def layer_norm(x: Any, gamma: Any, beta: Any, axes: Any, epsilon: Any = ..., center: Any = ..., scale: Any = ...) -> Value:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta over `axes`"""

    @staticmethod
    def leakyrelu(x: Any, alpha: Any = ...) -> Value:
        """x where it is positive, else alpha * x"""

    @staticmethod
    def log_softmax(x: Any, axis: Any = ...) -> Value:
        """logarithm of the softmax along `axis`"""

    @staticmethod
    def max_pool1d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the largest element of each window"""

    @staticmethod
    def max_pool2d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the largest element of each window"""

    @staticmethod
    def max_pool3d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ...) -> Value:
        """the largest element of each window"""

    @staticmethod
    def max_pool_indices1d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ..., column_major: Any = ...) -> Value:
        """the largest element of each window, and where it is"""

    @staticmethod
    def max_pool_indices2d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ..., column_major: Any = ...) -> Value:
        """the largest element of each window, and where it is"""

    @staticmethod
    def max_pool_indices3d(x: Any, pool_size: Any = ..., strides: Any = ..., padding: Any = ..., dilation: Any = ..., ceil_mode: Any = ..., count_include_pad: Any = ..., layout: Any = ..., out_layout: Any = ..., column_major: Any = ...) -> Value:
        """the largest element of each window, and where it is"""

    @staticmethod
    def mish(x: Any) -> Value:
        """x * tanh(softplus(x))"""

    @staticmethod
    def nll_loss(predictions: Any, targets: Any, weights: Any = ..., reduction: Any = ..., ignore_index: Any = ...) -> Value:
        """negative log likelihood of targets, weighted; their mean, their sum or all ("none")"""

    @staticmethod
    def pad(x: Any, pad_width: Any, fill: Any = ..., pad_mode: Any = ..., pad_value: Any = ...) -> Value:
        """elements added before and after along each dimension"""

    @staticmethod
    def pixel_shuffle(x: Any, upscale_factor: Any) -> Value:
        """channels as the pixels of an image that is `upscale_factor` times as high and as wide"""

    @staticmethod
    def prelu(x: Any, slope: Any, axis: Any = ...) -> Value:
        """x where it is positive, else slope * x, a slope per index of `axis`"""

    @staticmethod
    def relu(x: Any) -> Value:
        """max(x, 0)"""

    @staticmethod
    def relu6(x: Any) -> Value:
        """min(max(x, 0), 6)"""

    @staticmethod
    def rms_norm(x: Any, weight: Any, axes: Any, epsilon: Any = ...) -> Value:
        """x / sqrt(mean of x^2 + epsilon) * weight over `axes`"""

    @staticmethod
    def selu(x: Any, alpha: Any = ..., gamma: Any = ...) -> Value:
        """gamma * elu(x)"""

    @staticmethod
    def silu(x: Any) -> Value:
        """x * sigmoid(x)"""

    @staticmethod
    def softmax(x: Any, axis: Any = ...) -> Value:
        """exponentials along `axis`, scaled to the sum 1"""

    @staticmethod
    def softplus(x: Any, beta: Any = ..., threshold: Any = ...) -> Value:
        """log(1 + exp(beta * x)) / beta, x where beta * x is above the threshold"""

    @staticmethod
    def softsign(x: Any) -> Value:
        """x / (1 + |x|)"""

    @staticmethod
    def thresholded_relu(x: Any, alpha: Any = ...) -> Value:
        """x where it is above alpha, else 0"""

class vision:
    @staticmethod
    def all_class_non_max_suppression(boxes: Any, scores: Any, max_output_boxes_per_class: Any, iou_threshold: Any, score_threshold: Any, output_format: Any = ...) -> Value:
        """non_max_suppression in places for all boxes, and how many there are"""

    @staticmethod
    def get_valid_counts(data: Any, score_threshold: Any = ..., id_index: Any = ..., score_index: Any = ...) -> Value:
        """how many boxes of each image are valid, the boxes with those in front, and where each comes from"""

    @staticmethod
    def multibox_transform_loc(cls_pred: Any, loc_pred: Any, anchor: Any, clip: Any = ..., threshold: Any = ..., variances: Any = ..., keep_background: Any = ...) -> Value:
        """boxes from offsets to priors, and scores from logits, as SSD networks give them"""

    @staticmethod
    def non_max_suppression(data: Any, valid_count: Any, indices: Any, max_output_size: Any = ..., iou_threshold: Any = ..., force_suppress: Any = ..., top_k: Any = ..., coord_start: Any = ..., score_index: Any = ..., id_index: Any = ..., return_indices: Any = ..., invalid_to_bottom: Any = ..., soft_nms_sigma: Any = ..., score_threshold: Any = ...) -> Value:
        """boxes that don't overlap a better one of their class, as TVM and MXNet have them"""

    @staticmethod
    def roi_align(x: Any, rois: Any, pooled_size: Any, spatial_scale: Any, sample_ratio: Any = ..., aligned: Any = ..., layout: Any = ..., mode: Any = ...) -> Value:
        """roi_align with the number of the image in each region"""

    @staticmethod
    def roi_pool(x: Any, rois: Any, pooled_size: Any, spatial_scale: Any, layout: Any = ...) -> Value:
        """the largest elements of the parts of regions of images"""
