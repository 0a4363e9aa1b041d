"""Judges PromQL against the metrics that exist: names, labels, their values, and functions that fit the type."""

from dataclasses import dataclass, field

import promql_parser as ql

# What scraping adds to each series (a PodMonitor).
TARGET = {"namespace", "pod", "container", "job", "instance", "endpoint"}
OVER_COUNTERS = {"rate", "irate", "increase", "resets"}
OVER_GAUGES = {
    "delta", "idelta", "deriv", "predict_linear", "changes", "avg_over_time", "min_over_time", "max_over_time",
    "sum_over_time", "last_over_time", "quantile_over_time", "stddev_over_time",
}  # fmt: skip
# Functions that give a number, and no series.
NUMBERS = ("time", "scalar", "pi")
RISES = ("counter", "histogram_bucket", "histogram_sum", "histogram_count")


@dataclass
class Judge:
    """Problems of one expression."""

    families: dict
    documented: dict
    recorded: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    def selector(self, node):
        """Labels of a selector's series, and the type of its metric."""
        if node.name is None:
            self.problems.append(f"{node.prettify()} names no metric")
            return set(TARGET), None
        if node.name in self.recorded:
            labels, kind = self.recorded[node.name], "gauge"
        elif node.name in self.families:
            family = self.families[node.name]
            labels, kind = set(family.labels) | TARGET, family.kind
        else:
            self.problems.append(f"there is no metric `{node.name}`")
            return set(TARGET), None
        for matcher in node.matchers.matchers:
            self.matcher(node.name, matcher, labels)
        return labels, kind

    def matcher(self, name, matcher, labels):
        if matcher.name not in labels:
            self.problems.append(f"`{name}` has no label `{matcher.name}`")
        elif name in self.families and matcher.op in (ql.MatchOp.Equal, ql.MatchOp.NotEqual) and matcher.value:
            closed = matcher.name not in TARGET | {"model", "version", "device", "metric"}
            known = self.families[name].labels[matcher.name] | self.documented.get(name, set())
            if closed and "$" not in matcher.value and matcher.value not in known:
                self.problems.append(f'`{name}` has no {matcher.name}="{matcher.value}"')

    def labels(self, node):
        """Labels of the result of any expression; notes problems on the way."""
        if isinstance(node, ql.VectorSelector):
            labels, kind = self.selector(node)
            if kind in RISES:
                self.problems.append(f"`{node.name}` is a {kind} and only rises: take its rate or increase")
            return labels
        if isinstance(node, ql.MatrixSelector):
            self.problems.append(f"{node.prettify()} has a range and no function over it")
            return self.selector(node.vector_selector)[0]
        if isinstance(node, ql.AggregateExpr):
            return self.aggregate(node)
        if isinstance(node, ql.BinaryExpr):
            return self.binary(node)
        if isinstance(node, ql.Call):
            return self.call(node)
        if isinstance(node, (ql.ParenExpr, ql.UnaryExpr, ql.SubqueryExpr)):
            return self.labels(node.expr)
        return set()

    def call(self, node):
        name = node.func.name
        result = set()
        for argument in node.args:
            if isinstance(argument, ql.MatrixSelector):
                labels, kind = self.selector(argument.vector_selector)
                metric = argument.vector_selector.name
                if name in OVER_COUNTERS and kind is not None and kind not in RISES:
                    self.problems.append(f"`{name}` is for counters, and `{metric}` is a {kind}")
                if name in OVER_GAUGES and kind in RISES:
                    self.problems.append(f"`{name}` is for gauges, and `{metric}` is a {kind}")
                result |= labels
            else:
                result |= self.labels(argument)
        if name == "histogram_quantile":
            if "le" not in result:
                self.problems.append("histogram_quantile needs the label `le`, and what it is given has none")
            result -= {"le"}
        if name == "vector" or name in NUMBERS:
            return set()
        return result

    def aggregate(self, node):
        inside = self.labels(node.expr)
        if node.modifier is None:
            return set() if str(node.op) not in ("topk", "bottomk") else inside
        listed = set(node.modifier.labels)
        if node.modifier.type == ql.AggModifierType.By:
            self.problems += [
                f"`{node.op} by` names `{it}`, which its series do not have" for it in sorted(listed - inside)
            ]
            return listed
        return inside - listed

    def binary(self, node):
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        sides = [side for side, it in ((left, node.lhs), (right, node.rhs)) if not is_number(it)]
        matching = node.modifier.matching if node.modifier else None
        if len(sides) < 2:
            return sides[0] if sides else set()
        if matching is None:
            if left != right and str(node.op) not in ("or", "unless"):
                odd = ", ".join(sorted(left ^ right))
                self.problems.append(f"the sides of `{node.op}` differ in {odd}, so nothing would match")
            return left | right if str(node.op) == "or" else left
        named = set(matching.labels)
        if str(matching).startswith("on"):
            self.problems += [
                f"`on` names `{it}`, which one side does not have" for it in sorted(named - (left & right))
            ]
        return left


def is_number(node):
    """Whether an expression is one number, which goes with every series."""
    if isinstance(node, (ql.ParenExpr, ql.UnaryExpr)):
        return is_number(node.expr)
    if isinstance(node, ql.BinaryExpr):
        return is_number(node.lhs) and is_number(node.rhs)
    return isinstance(node, ql.NumberLiteral) or (isinstance(node, ql.Call) and node.func.name in NUMBERS)


def judge(expression, families, documented, recorded=None):
    """What is wrong with an expression, and the labels of its result."""
    try:
        tree = ql.parse(expression)
    except ValueError as error:
        return [f"does not parse: {error}"], set()
    found = Judge(families, documented, recorded or {})
    labels = found.labels(tree)
    return found.problems, labels
