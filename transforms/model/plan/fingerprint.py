"""What a compiled model computes, as one digest: equal for equal models, whatever they were loaded from.

A node's digest is made of its operation, its attributes and the digests of its inputs, so that names, which differ
from trace to trace, do not count. Weights count as they are in the model, before anything is folded.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from transforms.model.graph import FlatGraph, NodeDef, node_name, tensor_name
from transforms.model.plan.plan import Plan
from transforms.placement import WHOLE
from transforms.table import NUMBERS_VERSION

# They name things of the process that traced.
_NAMES = frozenset({"container", "shared_name", "name", "output_shapes"})


def fingerprint_of(plan: Plan) -> str:
    """32 hex digits over weights, graph, target layer, method, score space, preprocessing and what the numbers mean.

    Where the target layer does not cover the whole input, what it covers counts too.
    """
    options, preprocessing = plan.options, plan.preprocessing
    identity = {
        "graph": graph_digests(plan.flat, [plan.target.tensor, plan.scores.tensor]),
        "channel_axis": plan.target.channel_axis,
        "activation": plan.scores.activation,
        "probabilities": plan.scores.are_probabilities,
        "method": options.method,
        "score": options.score,
        "contrast": plan.contrast,
        "input": [plan.input_height, plan.input_width, plan.channels_first, plan.input_dtype],
        "preprocessing": [
            plan.sampling.resize,
            preprocessing.scale,
            preprocessing.offset,
            preprocessing.bgr,
            *([beyond] if (beyond := _beyond_default(plan)) else []),
        ],
        "schema": NUMBERS_VERSION,
    }
    if plan.seen != WHOLE:
        identity["seen"] = [round(edge, 5) for edge in plan.seen]
    if plan.scores.kind in ("value", "multi_label"):  # their rows say other things of the same scores
        identity |= {"output_kind": plan.scores.kind, "thresholds": plan.thresholds}
    if options.precision != "float32":
        identity["precision"] = options.precision
    if plan.earlier:
        identity["layers"] = [
            graph_digests(plan.flat, [layer.tensor for layer in plan.earlier]),
            [layer.channel_axis for layer in plan.earlier],
            options.fusion,
        ]
    if plan.extra:
        identity["inputs"] = [dataclasses.asdict(extra) for extra in plan.extra]
    return _digest(json.dumps(identity, sort_keys=True).encode()).hex()


def _beyond_default(plan: Plan) -> dict[str, Any]:
    """What earlier versions did not have, where it is not as they had it."""
    bits = {"bits": plan.preprocessing.bits} if plan.preprocessing.bits != 8 else {}
    return bits | plan.sampling.beyond_default()


def graph_digests(flat: FlatGraph, tensors: Iterable[str]) -> list[str]:
    """A digest of everything that each tensor is computed from, in hex."""
    nodes = {node.name: node for node in flat.graph_def.node}
    functions = {function.signature.name: function for function in flat.graph_def.library.function}
    library = {name: _function_digest(function, functions) for name, function in functions.items()}
    digests: dict[str, bytes] = {}

    others = [node_name(name) for name in flat.extra]

    def own(node: NodeDef) -> bytes:
        if node.name == node_name(flat.input):
            return b"images"
        if node.name in others:
            return f"input {others.index(node.name)}".encode()
        if node.name in flat.weights:
            return _array_digest(flat.weights[node.name])
        return _node_digest(node, library.__getitem__)

    for name in tensors:
        stack = [node_name(name)]
        while stack:
            node = nodes[stack[-1]]
            missing = [i for i in map(node_name, node.input) if i not in digests]
            if missing:
                stack += missing
                continue
            inputs = [digests[node_name(i)] + tensor_name(i).rpartition(":")[2].encode() for i in node.input]
            digests[stack.pop()] = _digest(own(node), *inputs)
    return [_digest(digests[node_name(name)], tensor_name(name).rpartition(":")[2].encode()).hex() for name in tensors]


def _node_digest(node: NodeDef, function_digest: Callable[[str], bytes]) -> bytes:
    parts = [node.op.encode()]
    for key in sorted(node.attr):
        if key.startswith("_") or key in _NAMES:
            continue
        value = node.attr[key]
        parts.append(key.encode())
        if value.HasField("func"):
            parts.append(function_digest(value.func.name))
        elif value.list.func:
            parts += [function_digest(function.name) for function in value.list.func]
        else:
            parts.append(value.SerializeToString(deterministic=True))
    return _digest(*parts)


def _function_digest(function: Any, functions: Mapping[str, Any]) -> bytes:
    """A branch or loop body: its nodes in order, referred to by their number."""
    numbers = {argument.name: f"argument {i}" for i, argument in enumerate(function.signature.input_arg)}
    numbers |= {node.name: f"node {i}" for i, node in enumerate(function.node_def)}

    def renamed(reference: str) -> bytes:
        name, _, rest = reference.lstrip("^").partition(":")
        return f"{numbers[name]}:{rest}".encode()

    parts = []
    for node in function.node_def:
        parts.append(_node_digest(node, lambda name: _function_digest(functions[name], functions)))
        parts += [renamed(reference) for reference in node.input]
    parts += [renamed(function.ret[argument.name]) for argument in function.signature.output_arg]
    return _digest(*parts)


def _array_digest(array: np.ndarray) -> bytes:
    return _digest(f"{array.dtype.str} {array.shape}".encode(), np.ascontiguousarray(array).view(np.uint8).data)


def _digest(*parts: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
