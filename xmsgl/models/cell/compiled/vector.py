"""Vectors inside Numba: Python expressions that become LLVM vector instructions.

Left to itself, LLVM neither keeps a tile of a matrix product in registers nor vectorises tanh. Here a step is
written as a formula for all lanes of a vector, which LLVM translates for the CPU. Bounds are not checked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba.core import cgutils

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SIGMOID", "TANH", "VECTOR_BYTES", "Emitter", "Vector", "lane_count"]

#: ``(2^x - 1) / x`` for x in [-1/2, 1/2], interpolated at Chebyshev nodes: to 1.2e-8 and 3e-19.
_SINGLE = (
    0.693147188026228781,
    0.240226507605681269,
    0.0555035711421907782,
    0.00961808255727785149,
    0.00133908633646712344,
    0.000154531629451206902,
)
_DOUBLE = (
    0.693147180559945309,
    0.240226506959100712,
    0.055504108664821627,
    0.00961812910762847949,
    0.00133335581464064707,
    0.000154035303933707334,
    0.0000152527338415567726,
    1.32154868087055628e-6,
    1.01780570877339411e-7,
    7.05489730415549928e-9,
    4.45581790833606449e-10,
    2.57293241773623042e-11,
)

#: ``sigmoid(x) = 1 / (1 + 2^(SIGMOID x))`` and ``tanh(x) = 1 - 2 / (1 + 2^(TANH x))``.
SIGMOID, TANH = -1 / math.log(2), 2 / math.log(2)

#: ``p(x^2)`` with ``normal distribution(x) = sigmoid(x p(x^2))``: minimax fit on [0, 6], error 7e-8 in x
#: times the distribution; positive and increasing beyond.
_NORMAL = (
    1.59576843,
    7.26685688e-2,
    -6.62613615e-5,
    -1.10479874e-4,
    7.93815265e-6,
    -2.66888321e-7,
    3.61112199e-9,
)

#: Exponents beyond which both are constant, in single and double precision; four powers can be multiplied.
_FLAT = (30.0, 60.0)

#: Exponents of the largest normal numbers; those of the smallest are the negatives.
_LARGEST = (126.0, 1022.0)

#: Allows fused multiply-add and no other change.
_FUSE = ("contract",)


_features = llvm.get_host_cpu_features()

#: Width of this CPU's vectors in bytes.
VECTOR_BYTES = 64 if _features.get("avx512f") else 32 if _features.get("avx") else 16


def lane_count(itemsize: int) -> int:
    """Return the number of values of `itemsize` bytes in a vector: a power of two, at least 4."""
    return max(4, VECTOR_BYTES // itemsize)


class Vector:
    """One LLVM vector value, with arithmetic."""

    __slots__ = ("emitter", "value")

    def __init__(self, emitter: Emitter, value: Any) -> None:
        self.emitter, self.value = emitter, value

    def _combine(self, name: str, first: Any, second: Any) -> Vector:
        operation = getattr(self.emitter.builder, name)
        return Vector(self.emitter, operation(first, second, flags=_FUSE))

    def _other(self, other: Vector | float) -> Any:
        if isinstance(other, Vector):
            return other.value
        return self.emitter.constant(other, self.value.type.count).value

    def __add__(self, other: Vector | float) -> Vector:
        return self._combine("fadd", self.value, self._other(other))

    def __sub__(self, other: Vector | float) -> Vector:
        return self._combine("fsub", self.value, self._other(other))

    def __rsub__(self, other: float) -> Vector:
        return self._combine("fsub", self._other(other), self.value)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._combine("fmul", self.value, self._other(other))

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._combine("fdiv", self.value, self._other(other))

    __radd__, __rmul__ = __add__, __mul__

    def root(self) -> Vector:
        """Return the square root."""
        kind = self.value.type
        name = f"llvm.sqrt.v{kind.count}f{8 * self.emitter.itemsize}"
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            self.emitter.builder.module, ir.FunctionType(kind, [kind]), name
        )
        return Vector(self.emitter, self.emitter.builder.call(function, [self.value]))

    def larger(self, other: Vector) -> Vector:
        """Return the larger of two; the other where this one is NaN."""
        builder = self.emitter.builder
        above = builder.fcmp_ordered(">", self.value, other.value)
        return Vector(self.emitter, builder.select(above, self.value, other.value))

    def within(self, limit: float) -> Vector:
        """Clip to +-limit; NaN stays NaN."""
        builder, value = self.emitter.builder, self.value
        for bound, beyond in ((limit, ">"), (-limit, "<")):
            edge = self._other(bound)
            value = builder.select(builder.fcmp_ordered(beyond, value, edge), edge, value)
        return Vector(self.emitter, value)

    def all_between(self, low: float, high: float) -> Any:
        """Return as an LLVM truth value whether every lane is within the bounds and not NaN."""
        builder, lanes = self.emitter.builder, self.value.type.count
        above = builder.fcmp_ordered(">=", self.value, self._other(low))
        both = builder.and_(above, builder.fcmp_ordered("<=", self.value, self._other(high)))
        each = ir.IntType(lanes)
        return builder.icmp_unsigned("==", builder.bitcast(both, each), ir.Constant(each, 2**lanes - 1))

    def magnitude(self) -> tuple[Vector, Vector]:
        """Return the largest e with ``2^e`` not above this positive normal number, and ``2^e``."""
        builder, kind = self.emitter.builder, self.value.type
        digits, bias = (52, 1023) if self.emitter.double else (23, 127)
        integer = ir.VectorType(ir.IntType(8 * self.emitter.itemsize), kind.count)
        shift = ir.Constant(integer, [digits] * kind.count)
        whole = builder.lshr(builder.bitcast(self.value, integer), shift)
        power = builder.bitcast(builder.shl(whole, shift), kind)
        exponent = builder.sitofp(builder.sub(whole, ir.Constant(integer, [bias] * kind.count)), kind)
        return Vector(self.emitter, exponent), Vector(self.emitter, power)

    def pick(self, other: Vector, lanes: Sequence[int]) -> Vector:
        """Return some lanes of this vector followed by the other."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
        return Vector(self.emitter, self.emitter.builder.shuffle_vector(self.value, other.value, mask))

    def lane_pairs_with(self, other: Vector) -> Vector:
        """Add adjacent lanes: the sums of this vector's pairs, then those of the other's."""
        count = 2 * self.value.type.count
        return self.pick(other, range(0, count, 2)) + self.pick(other, range(1, count, 2))


class Emitter:
    """Writes instructions on vectors of one floating type with Numba's LLVM builder."""

    def __init__(self, builder: Any, *, double: bool) -> None:
        self.builder, self.double = builder, double
        self.element = ir.DoubleType() if double else ir.FloatType()
        self.itemsize = 8 if double else 4
        self.lanes = lane_count(self.itemsize)

    def constant(self, value: float, lanes: int | None = None) -> Vector:
        """Return a value in every lane."""
        lanes = lanes or self.lanes
        return Vector(self, ir.Constant(ir.VectorType(self.element, lanes), [value] * lanes))

    def load(self, pointer: Any, offset: Any, lanes: int | None = None) -> Vector:
        """Read adjacent values, aligned or not."""
        kind = ir.VectorType(self.element, lanes or self.lanes)
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), kind.as_pointer())
        return Vector(self, self.builder.load(place, align=self.itemsize))

    def store(self, vector: Vector, pointer: Any, offset: Any) -> None:
        """Write adjacent values."""
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), vector.value.type.as_pointer())
        self.builder.store(vector.value, place, align=self.itemsize)

    def spread(self, pointer: Any, offset: Any, lanes: int | None = None) -> Vector:
        """Read one value into every lane."""
        builder = self.builder
        kind = ir.VectorType(self.element, lanes or self.lanes)
        one = builder.load(builder.gep(pointer, [offset]))
        vector = builder.insert_element(ir.Constant(kind, ir.Undefined), one, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return Vector(self, builder.shuffle_vector(vector, vector, mask))

    def power(self, exponent: Vector) -> Vector:
        """Return two to the exponents, which are clipped to the range of the type."""
        s, f, p = self._power(exponent, _LARGEST[self.double])
        return f * p * s + s

    def _power(self, exponent: Vector, limit: float) -> tuple[Vector, Vector, Vector]:
        """Return s, f and p with ``2^exponent = s (1 + f p)``; s is a power of two, f p precise near 0."""
        digits, bias = (52, 1023) if self.double else (23, 127)
        magic = 1.5 * 2.0**digits + bias  # adding it rounds to an integer in the low bits
        exponent = exponent.within(limit)
        shifted = exponent + magic
        f = exponent - (shifted - magic)
        first, *others = reversed(_DOUBLE if self.double else _SINGLE)
        p = self.constant(first)
        for coefficient in others:
            p = p * f + coefficient
        integer = ir.VectorType(ir.IntType(8 * self.itemsize), self.lanes)
        bits = self.builder.bitcast(shifted.value, integer)
        bits = self.builder.shl(bits, ir.Constant(integer, [digits] * self.lanes))
        return Vector(self, self.builder.bitcast(bits, exponent.value.type)), f, p

    def _sigmoid(self, exponent: Vector) -> tuple[Vector, Vector]:
        s, f, p = self._power(exponent, _FLAT[self.double])
        return self.constant(1.0), (f * p + 1.0) * s + 1.0

    def _tanh(self, exponent: Vector) -> tuple[Vector, Vector]:
        s, f, p = self._power(exponent, _FLAT[self.double])
        less_one = f * p * s + (s - 1.0)
        return less_one, less_one + 2.0

    def squash(self, sigmoid: Sequence[Vector] = (), tanh: Sequence[Vector] = ()) -> list[Vector]:
        """Return the sigmoid of some and the tanh of others, at most four in all.

        Arguments are exponents of two, that is times `SIGMOID` and `TANH`. One division, as expensive as ten
        multiplications, serves all.
        """
        parts = [self._sigmoid(x) for x in sigmoid] + [self._tanh(x) for x in tanh]
        inverses = self._inverses([below for _, below in parts])
        return [above * inverse for (above, _), inverse in zip(parts, inverses, strict=True)]

    def gelu(self, numbers: Sequence[Vector]) -> list[Vector]:
        """Return at most four values, each times the normal distribution there, to single precision."""
        exponents = []
        for x in numbers:
            square = x * x
            first, *others = reversed(_NORMAL)
            p = self.constant(SIGMOID * first)
            for coefficient in others:
                p = p * square + SIGMOID * coefficient
            exponents.append(p * x)
        return [x * share for x, share in zip(numbers, self.squash(sigmoid=exponents), strict=True)]

    def _inverses(self, numbers: list[Vector]) -> list[Vector]:
        if len(numbers) == 1:
            return [self.constant(1.0) / numbers[0]]
        pairs = [numbers[k] * numbers[k + 1] for k in range(0, len(numbers) - 1, 2)]
        single = numbers[-1:] if len(numbers) % 2 else []
        together = self._inverses(pairs + single)
        result = []
        for k, inverse in enumerate(together[: len(pairs)]):
            result += [inverse * numbers[2 * k + 1], inverse * numbers[2 * k]]
        return result + together[len(pairs) :]
