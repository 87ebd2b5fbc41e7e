"""Reads a LaTeX table as LaTeX would: what does not compile there fails here, without a TeX."""

import re

CELL = re.compile(r"\\begin\{tabular\}\[t\]\{@\{\}l@\{\}\}(.*?)\\end\{tabular\}")
COMMANDS = {
    *("begin", "end", "caption", "centering", "setlength", "tabcolsep", "resizebox", "ifdim"),
    *("width", "linewidth", "else", "fi", "toprule", "midrule", "bottomrule", "par", "raggedright"),
    *("footnotesize", "textbf", "underline", "textbackslash", "textasciitilde"),
    *("textasciicircum", "pm", "times", "rightarrow", "rho", "tau", "leq", "geq", "infty"),
}


def rows_of(text: str) -> list[list[str]]:
    """Header and rows as cells of LaTeX. Fails for what LaTeX would refuse or leave out."""
    comment, _, body = text.partition("\n")
    assert comment == r"% needs \usepackage{booktabs,graphicx}"
    assert_balanced(body)
    assert_escaped(body)
    columns = re.search(r"\\begin\{tabular\}\{((?:l|p\{[\d.]+cm\})+)\}\n\\toprule", body)
    assert columns
    count = len(re.sub(r"\{.*?\}", "", columns[1]))
    head, below = body.split("\\toprule\n")[1].split("\\midrule\n")
    lines = [head, *below.split("\\bottomrule")[0].splitlines(keepends=True)]
    rows = [cells_of(line) for line in lines]
    assert {len(row) for row in rows} == {count}
    return rows


def cells_of(line: str) -> list[str]:
    assert line.endswith(" \\\\\n")
    alone = CELL.sub(lambda found: found[1].replace(r" \\ ", " / "), line.removesuffix(" \\\\\n"))
    assert "\\\\" not in alone
    return re.split(r"(?<!\\)&", alone.replace(" & ", "&"))


def assert_balanced(text: str) -> None:
    open_ones: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
    assert open_ones == []
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "  ")):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0


def assert_escaped(text: str) -> None:
    assert text.isascii()
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= COMMANDS
    bare = re.sub(r"\\[&%$#_{}\\]", "", text.replace("{!}{%\n", "{!}{\n"))
    assert not set("%#_^~") & set(bare)
    assert bare.count("$") % 2 == 0
