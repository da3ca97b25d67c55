"""A network approximated, trained further in PyTorch, and taken back."""

import numpy as np
import torch
from laws.spectrum import network

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.ir.ops import Conv
from convgraph.numerics.session import run_model


def convolutions(graph: cg.Graph) -> int:
    return sum(isinstance(graph.op(node), Conv) for node in graph.compute_nodes())


def test_an_approximated_network_is_trained_and_optimized_again() -> None:
    graph = network()
    exact, near = cg.optimize(graph), cg.optimize(graph, max_error=0.01)
    assert near.approximated is not None
    assert near.verification is not None
    assert near.verification.equal
    split = len(near.approximated.steps)
    assert split >= 3
    assert convolutions(near.graph) == convolutions(exact.graph) + split == 8 + split

    torch.manual_seed(0)
    teacher, student = cg.to_torch(graph), cg.to_torch(near.graph)
    losses = []
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-6)
    images = torch.randn(2, 3, 22, 18)
    with torch.no_grad():
        wanted = teacher(images)
    for _ in range(10):
        optimizer.zero_grad()
        loss = (student(images) - wanted).norm() / wanted.norm()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[0] < 0.01
    assert losses[-1] < 0.8 * losses[0]

    taken_back = cg.from_torch(student, torch.randn(2, 3, 22, 18))
    again = cg.optimize(taken_back)
    assert again.verification is not None
    assert again.verification.equal
    # What was split stays split, and the training is in it.
    assert convolutions(again.graph) == 8 + split
    assert graph_cost(again.graph).macs < 0.75 * 2 * graph_cost(exact.graph).macs  # of two images
    (name,) = (again.graph.value_name(value) for value in again.graph.outputs)
    (image,) = (again.graph.value_name(value) for value in again.graph.inputs)
    found = run_model(again.proto, {image: images.numpy()})[name]
    off = np.linalg.norm(found - wanted.numpy()) / np.linalg.norm(wanted.numpy())
    assert off < losses[-1] * 1.01
