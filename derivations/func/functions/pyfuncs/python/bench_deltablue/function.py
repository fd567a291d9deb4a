"""DeltaBlue: an incremental solver of one-way constraints with strengths, on a long chain and on a wide fan.

It is the algorithm that language implementations have long been compared by, for it does nothing but call methods and follow
references. The input is the number of variables (default: 300); the time taken is printed.
"""

import time

from pyfaasm.core import read_input

# The smaller the stronger.
REQUIRED, PREFERRED, STRONG, NORMAL, WEAK, WEAKEST = range(6)


class Variable:
    """A value, and which constraint determines it."""

    def __init__(self, value=0):
        self.value = value
        self.constraints = []
        self.determined_by = None
        self.strength = WEAKEST  # of the weakest constraint that would have to give way to change it
        self.stays = True
        self.mark = 0

    def consumers(self):
        """The constraints that use the value."""
        return [one for one in self.constraints if one is not self.determined_by and one.output is not None]


class Constraint:
    """Something that is to hold between variables. It holds if one of its outputs is chosen to be computed from the rest."""

    changes = False

    def __init__(self, strength, variables, outputs):
        self.strength, self.variables, self.outputs = strength, variables, outputs
        self.output = None

    def compute(self):
        """Gives the output its value."""

    def inputs(self):
        return [one for one in self.variables if one is not self.output]

    def choose(self, mark):
        """The output that can be overridden at the least cost, or None."""
        possible = [one for one in self.outputs if one.mark != mark and self.strength < one.strength]
        return max(possible, key=lambda one: one.strength, default=None)

    def recalculate(self):
        """What follows for the output from how its inputs are determined."""
        others = [one.strength for one in self.outputs if one is not self.output]
        self.output.strength = max([self.strength] + others)
        self.output.stays = not self.changes and all(one.stays for one in self.inputs())
        if self.output.stays:
            self.compute()

    def inputs_are_known(self, mark):
        return all(one.mark == mark or one.stays or one.determined_by is None for one in self.inputs())


class Stay(Constraint):
    """A variable keeps its value."""

    def __init__(self, variable, strength):
        super().__init__(strength, [variable], [variable])


class Edit(Stay):
    """A variable is changed from outside."""

    changes = True


class Equal(Constraint):
    """Two variables have the same value."""

    def __init__(self, one, two, strength):
        super().__init__(strength, [one, two], [one, two])

    def compute(self):
        one, two = self.variables
        self.output.value = one.value if self.output is two else two.value


class Scaled(Constraint):
    """One variable is another times a factor, plus an offset."""

    def __init__(self, source, factor, offset, target, strength):
        super().__init__(strength, [source, factor, offset, target], [source, target])

    def compute(self):
        source, factor, offset, target = self.variables
        if self.output is target:
            target.value = source.value * factor.value + offset.value
        else:
            source.value = (target.value - offset.value) // factor.value


class Solver:
    def __init__(self):
        self.mark = 0

    def new_mark(self):
        self.mark += 1
        return self.mark

    def add(self, constraint):
        for variable in constraint.variables:
            variable.constraints.append(constraint)
        self.enforce(constraint)
        return constraint

    def enforce(self, constraint):
        """Satisfies a constraint, and then those that it had to override, as far as they can be."""
        mark = self.new_mark()
        while constraint is not None:
            constraint = self.satisfy(constraint, mark)

    def satisfy(self, constraint, mark):
        """Chooses an output, and returns the constraint that determined it before."""
        output = constraint.choose(mark)
        if output is None:
            assert constraint.strength != REQUIRED, "a required constraint can't be satisfied"
            return None
        overridden = output.determined_by
        if overridden is not None:
            overridden.output = None
        constraint.output = output
        output.determined_by = constraint
        for variable in constraint.inputs():
            variable.mark = mark
        self.propagate(constraint, mark)
        output.mark = mark
        return overridden

    def propagate(self, constraint, mark):
        todo = [constraint]
        while todo:
            one = todo.pop()
            assert one.output.mark != mark, "constraints that determine each other"
            one.recalculate()
            todo += one.output.consumers()

    def remove(self, constraint):
        output = constraint.output
        for variable in constraint.variables:
            variable.constraints.remove(constraint)
        if output is None:
            return
        constraint.output = None
        for one in sorted(self.unsatisfied_without(output), key=lambda one: one.strength):
            self.enforce(one)

    def unsatisfied_without(self, output):
        """Those that may be satisfied now that nothing determines `output`."""
        output.determined_by, output.strength, output.stays = None, WEAKEST, True
        found, todo = [], [output]
        while todo:
            variable = todo.pop()
            found += [one for one in variable.constraints if one.output is None and one not in found]
            for one in variable.consumers():
                one.recalculate()
                todo.append(one.output)
        return found

    def plan(self, source):
        """The constraints to compute, in order, each time that `source` changes its variable."""
        mark, found, todo = self.new_mark(), [], [source]
        while todo:
            one = todo.pop()
            if one.output.mark != mark and one.inputs_are_known(mark):
                found.append(one)
                one.output.mark = mark
                todo += one.output.consumers()
        return found

    def change(self, variable, values):
        """Sets a variable to one value after the other; returns how many constraints were computed."""
        edit = self.add(Edit(variable, PREFERRED))
        assert edit.output is variable
        plan = self.plan(edit)
        for value in values:
            variable.value = value
            for one in plan:
                one.compute()
        self.remove(edit)
        return len(plan) * len(values)


def chain(size):
    """A chain of equal variables: what is set at one end arrives at the other."""
    solver = Solver()
    variables = [Variable() for _ in range(size)]
    for one, two in zip(variables, variables[1:]):
        solver.add(Equal(one, two, REQUIRED))
    solver.add(Stay(variables[-1], STRONG))
    computed = 0
    for value in (1, 50, 99):
        computed += solver.change(variables[0], range(value))
        assert [one.value for one in variables] == [value - 1] * size
    return computed


def fan(size):
    """Pairs of variables that two others scale: changes go forwards, backwards and to all of them at once."""
    solver = Solver()
    factor, offset = Variable(10), Variable(1000)
    sources, targets = [Variable(number) for number in range(size)], [Variable() for _ in range(size)]
    for source, target in zip(sources, targets):
        solver.add(Stay(source, NORMAL))
        solver.add(Scaled(source, factor, offset, target, REQUIRED))
    assert targets[-1].value == (size - 1) * 10 + 1000

    computed = solver.change(sources[-1], [17] * 10)
    assert targets[-1].value == 1170
    computed += solver.change(targets[-1], [1050] * 10)
    assert sources[-1].value == 5
    computed += solver.change(factor, [5] * 10)
    assert [one.value for one in targets[:-1]] == [number * 5 + 1000 for number in range(size - 1)]
    computed += solver.change(offset, [2000] * 10)
    assert [one.value for one in targets[:-1]] == [number * 5 + 2000 for number in range(size - 1)]
    return computed


def faasm_main():
    size = int(read_input() or 300)
    assert size > 1, size
    for benchmark in (chain, fan):
        began = time.perf_counter()
        computed = benchmark(size)
        print("{}: ok, {} computed, {:.0f} ms".format(benchmark.__name__, computed, (time.perf_counter() - began) * 1000))
