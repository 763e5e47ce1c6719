"""The operators that a policy may be made of. Standard library only.

An engine has 200 operators and trusts each. Given attributes that no exporter writes, ONNX Runtime 1.31.1 ends the
process in Einsum and in SplitToSequence and never comes back from TfIdfVectorizer; what works on text runs regular
expressions. So a file may hold what torch's exporter writes for the networks that are built here, and for the common
layers that a policy of one's own is likely to have. What is missing is missing on purpose: anything with text,
sequences, chance or a graph of its own, and whatever nobody has needed yet.

To add an operator, add it here, with a policy that exports it to the tests; the mutants (``tests/deploy/mutants.py``)
then change the attributes, shapes and types that it is given, 20,000 times. What crashes ONNX Runtime there needs a
check in ``inspection.py``, as Split, GatherND and Max have, or has to stay out. Most are not worth it: torch.einsum is
a transposition and a product of matrices, and nn.LSTM in a policy is nn.LSTMCell.
"""

_ARITHMETIC = """
    Abs Acos Add Asin Atan Ceil Clip Cos Cosh Div Erf Exp Floor Log Max Min Mod Mul Neg Pow Reciprocal Round Sign Sin
    Sinh Sqrt Sub Tan
"""
_LOGIC = "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor"
_SHAPES = """
    Concat Constant ConstantOfShape Expand Identity Range Reshape Shape Slice Split Squeeze Tile Transpose Unsqueeze
"""
_PLACES = "ArgMax ArgMin Gather GatherElements GatherND ScatterElements ScatterND TopK Trilu"
_SUMS = "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
_LAYERS = """
    AveragePool BatchNormalization Conv ConvTranspose Gemm InstanceNormalization LayerNormalization MatMul MaxPool Pad
"""
_ACTIVATIONS = """
    Celu Elu Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid Softmax Softplus Tanh
"""
_TYPES = "Cast DequantizeLinear QuantizeLinear"

OPERATORS = frozenset(
    " ".join((_ARITHMETIC, _LOGIC, _SHAPES, _PLACES, _SUMS, _LAYERS, _ACTIVATIONS, _TYPES)).split()
)
"""Types in the standard domain. Those of the domain ``haltere`` bring a function, which is made of these."""


def objection(kind: str) -> str:
    """What is wrong with an operator that isn't among them, and what to do about it."""
    return (
        f"the operator {kind[:60]!r}, which isn't one of the {len(OPERATORS)} that a policy may be made of; "
        "haltere.deploy.vocabulary lists them and says how to add one"
    )
