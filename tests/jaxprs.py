"""What stands in a traced program, in its loops and in what it calls."""

import jax


def programs_of(equation):
    """The programs that an equation holds."""
    for value in jax.tree.leaves(list(equation.params.values())):
        if hasattr(value, "eqns") or hasattr(value, "jaxpr"):
            yield getattr(value, "jaxpr", value)


def equations(jaxpr):
    """Of a program and of those in it, in order."""
    for equation in jaxpr.eqns:
        yield equation
        for program in programs_of(equation):
            yield from equations(program)


def named(jaxpr, name):
    """The equations of one primitive."""
    return [e for e in equations(jaxpr) if e.primitive.name == name]


def loops(jaxpr):
    """The bodies of all scans."""
    return [scan.params["jaxpr"].jaxpr for scan in named(jaxpr, "scan")]


def size_of_largest(jaxpr):
    """Of all arrays that are computed."""
    return max((v.aval.size for e in equations(jaxpr) for v in e.outvars), default=0)
