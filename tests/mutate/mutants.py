# SPDX-License-Identifier: MIT
"""Finds what can be changed in a C file, and writes the file so that each change can be switched on.

Where something is comes from clang's syntax tree. Left out is what must be constant, and what a macro makes."""
import collections
import json
import os
import re
import subprocess

SWAPS = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("*",), "&": ("|",),
    "|": ("&",), "^": ("&",), "<<": (">>",), ">>": ("<<",), "+=": ("-=",), "-=": ("+=",), "|=": ("&=",),
    "&=": ("|=",), "*=": ("/=",), "/=": ("*=",),
}
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
TRUTHS = COMPARISONS | {"&&", "||", "!"}
CONSTANT = {"ConstantExpr", "UnaryExprOrTypeTraitExpr", "OffsetOfExpr", "StaticAssertDecl"}
ACTS = {"CallExpr", "AtomicExpr", "CompoundAssignOperator"}
WRAPPERS = {"ImplicitCastExpr", "ParenExpr"}

# is_statement: the changed one is not carried out.
Edit = collections.namedtuple("Edit", "begin end is_statement is_truth code shown function")
Mutant = collections.namedtuple("Mutant", "number function line change")


def syntax_tree(path, flags):
    command = ["clang-14", "-fsyntax-only", "-w", "-Xclang", "-ast-dump=json", *flags, path]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def inner(node):
    return [child for child in node.get("inner", []) if child]


def bare(node):
    while node.get("kind") in WRAPPERS and inner(node):
        node = inner(node)[0]
    return node


def opcode(node):
    return node.get("opcode") if node.get("kind") in ("BinaryOperator", "UnaryOperator", "CompoundAssignOperator") else None


def is_pointer(node):
    return node.get("type", {}).get("qualType", "").rstrip().endswith(("*", "*const", "]"))


class Finder:
    def __init__(self, text):
        self.text = text
        self.edits = []
        self.function = None
        self.returns = ""
        self.last = None

    def span(self, node):
        """Where it is in the text; None: within one macro, or nowhere."""
        begin, end = node.get("range", {}).get("begin"), node.get("range", {}).get("end")
        if not begin or not end:
            return None
        from_macro, to_macro = begin.get("expansionLoc"), end.get("expansionLoc")
        if from_macro and to_macro and from_macro["offset"] == to_macro["offset"]:
            return None
        last = to_macro or end
        if "offset" not in last or "offset" not in (from_macro or begin):
            return None
        stop = last["offset"] + last["tokLen"]
        if to_macro and self.text[stop:stop + 1] == "(":
            stop = self.closing(stop)
        return (from_macro or begin)["offset"], stop

    def closing(self, at):
        depth = 0
        for i in range(at, len(self.text)):
            depth += {"(": 1, ")": -1}.get(self.text[i], 0)
            if depth == 0:
                return i + 1
        return at

    def whole(self, node):
        """The text of an operand, which may be one macro."""
        span = self.span(node)
        if span:
            return self.text[span[0]:span[1]]
        place = node["range"]["begin"].get("expansionLoc")
        if not place:
            return None
        stop = place["offset"] + place["tokLen"]
        return self.text[place["offset"]:self.closing(stop) if self.text[stop:stop + 1] == "(" else stop]

    def edit(self, span, code, shown, is_statement=False, is_truth=False):
        edit = Edit(*span, is_statement, is_truth, code, " ".join(shown.split()), self.function)
        if edit not in self.edits:
            self.edits.append(edit)

    def expression(self, node, code, shown=None, is_truth=False):
        span = self.span(node)
        if span:
            self.edit(span, code, f"{self.text[span[0]:span[1]]} → {shown or code}", is_truth=is_truth)

    def statement(self, node, replacement=""):
        span = self.span(node)
        if not span:
            return
        stop = span[1] + re.match(r"\s*;?", self.text[span[1]:]).end()
        text = self.text[span[0]:stop]
        self.edit((span[0], stop), replacement, f"{text} → {replacement or 'nothing'}", is_statement=True)

    def operator(self, node):
        sign = node["opcode"]
        left, right = inner(node)
        lhs, rhs = self.whole(left), self.whole(right)
        if lhs is None or rhs is None:
            return
        if is_pointer(right) and sign in "+-":
            return
        for other in SWAPS.get(sign, ()):
            self.expression(node, f"({lhs}) {other} ({rhs})", f"{lhs} {other} {rhs}", sign in ("&&", "||"))
        if sign in ("&&", "||"):
            self.expression(node, f"!!({lhs})", lhs, True)
            if opcode(bare(left)) != sign:
                self.expression(node, f"!!({rhs})", rhs, True)

    def unary(self, node):
        sign, operand = node["opcode"], inner(node)[0]
        text = self.whole(operand)
        if text is None:
            return
        if sign in ("++", "--"):
            other = {"++": "--", "--": "++"}[sign]
            self.expression(node, text + other if node.get("isPostfix") else other + text)
        elif sign == "!":
            self.expression(node, f"!!({text})", text, True)
        elif sign == "~":
            self.expression(node, f"({text})", text)
        elif sign == "-" and bare(operand)["kind"] != "IntegerLiteral":
            self.expression(node, "0")

    def literal(self, node, parents):
        above = next((one for one in reversed(parents) if one["kind"] not in WRAPPERS), {})
        if any(one.get("castKind") == "NullToPointer" for one in parents[-2:]) or above.get("kind") == "ReturnStmt":
            return
        if opcode(above) in COMPARISONS:
            return  # which is changed itself
        text = self.whole(node)
        if above.get("kind") == "InitListExpr" and self.whole(above) in ("{0}", None):
            return
        value = int(node["value"])
        self.expression(node, f"({text} + 1)", str(value + 1))
        if value > 0:
            self.expression(node, f"({text} - 1)", str(value - 1))

    def condition(self, node):
        if opcode(bare(node)) not in TRUTHS and self.span(node):
            self.expression(node, f"!({self.whole(node)})", f"!({self.whole(node)})", True)

    def leave(self, node):
        span = self.span(node) or (0, 0)
        value = self.text[span[0]:span[1]] if span[1] else self.whole(node)
        value = value[len("return"):].strip() if value else ""
        if re.fullmatch(r"-E[A-Z0-9]+", value):
            self.statement(node, "return 0;")
        elif value == "0" and self.returns == "int":
            self.statement(node, "return -EIO;")
        elif value in ("true", "false"):
            self.statement(node, f"return {'false' if value == 'true' else 'true'};")
        if node is not self.last:
            self.statement(node)

    def act(self, node):
        kind = node["kind"]
        if kind in ACTS or opcode(node) in ("=", "++", "--"):
            self.statement(node)
        elif kind == "CStyleCastExpr" and node["type"]["qualType"] == "void":
            self.statement(node)

    def visit(self, node, parents):
        kind = node.get("kind")
        if not kind or kind in CONSTANT or kind == "VarDecl" and node.get("storageClass") in ("static", "extern"):
            return
        children = inner(node)
        if kind in ("IfStmt", "WhileStmt", "ConditionalOperator"):
            self.condition(children[0])
        elif kind == "DoStmt":
            self.condition(children[1])
        elif kind == "ForStmt" and node["inner"][2]:
            self.condition(node["inner"][2])
        if kind in ("CompoundStmt", "CaseStmt", "DefaultStmt"):
            bodies = children
        elif kind in ("IfStmt", "WhileStmt", "ForStmt"):
            bodies = children[1:] if kind != "ForStmt" else children[-1:]
        else:
            bodies = []
        for body in bodies:
            self.act(body)
        if kind in ("BinaryOperator", "CompoundAssignOperator"):
            self.operator(node)
        elif kind == "UnaryOperator":
            self.unary(node)
        elif kind == "IntegerLiteral":
            self.literal(node, parents)
        elif kind == "ReturnStmt":
            self.leave(node)
        elif kind in ("BreakStmt", "ContinueStmt"):
            self.statement(node)
        for child in children:
            self.visit(child, parents + [node])

    def functions(self, tree):
        for node in inner(tree):
            body = inner(node)[-1:] if node["kind"] == "FunctionDecl" else []
            place = node.get("loc", {})
            if body and body[0]["kind"] == "CompoundStmt" and "includedFrom" not in place.get("expansionLoc", place):
                self.function = node["name"]
                self.returns = node["type"]["qualType"].split("(")[0].strip()
                self.last = inner(body[0])[-1] if inner(body[0]) else None
                self.visit(body[0], [node])


def numbered(edits, text):
    """The edits in order with what each is called: function, line of the text, change."""
    seen = collections.Counter()
    for number, edit in enumerate(sorted(edits, key=lambda edit: (edit.begin, -edit.end)), 1):
        start = text.rfind("\n", 0, edit.begin) + 1
        line = " ".join(text[start:text.find("\n", edit.begin)].split())
        name = (edit.function, line, edit.shown)
        seen[name] += 1
        change = edit.shown if seen[name] == 1 else f"{edit.shown} ({seen[name]})"
        yield edit, Mutant(number, edit.function, line, change)


def written(text, edits, begin, end):
    """The text from begin to end; edits: those within, with their numbers, in order."""
    result, at = [], begin
    while edits:
        first = edits[0][0]
        same = [one for one in edits if one[0][:3] == first[:3]]
        within = [one for one in edits if one not in same and one[0].begin < first.end]
        edits = [one for one in edits if one not in same and one not in within]
        result += [text[at:first.begin], switched(same, written(text, within, first.begin, first.end))]
        at = first.end
    return "".join(result) + text[at:end]


def switched(same, original):
    if same[0][0].is_statement:
        for edit, mutant in same:
            original = f"if (mutant({mutant.number})) {{ {edit.code} }} else {{ {original} }}"
        return f"{{ {original} }}"
    if any(edit.is_truth for edit, _ in same):
        original = f"!!({original})"
    choices = "".join(f"mutant({mutant.number}) ? ({' '.join(edit.code.split())}) : " for edit, mutant in same)
    return f"({choices}({original}))"


def make(path, flags, area):
    """The mutants of a file, and its text with all of them."""
    with open(path, encoding="latin-1") as file:
        text = file.read()
    finder = Finder(text)
    finder.functions(syntax_tree(path, flags))
    edits = list(numbered(finder.edits, text))
    head = f'#define MUTANTS {len(edits)}\n#define MUTANTS_PATH "{area}"\n#include "tests/mutate/mutant.h"\n#line 1 "{path}"\n'
    return [mutant for _, mutant in edits], head + written(text, edits, 0, len(text))
