package cli

import (
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/trace"
)

// printTrace prints the answer's sentence, then its tree.
func printTrace(p *output.Printer, r *trace.Result) {
	p.Tree(treeOf(r.Root))
	p.Line("\n%s", output.Head(r.Summary))
	if rests(r.Root) {
		p.Line("%s", output.Dim("[n] is statement n of the record"))
	}
}

// rests reports whether anything in the tree rests on a statement: a local file does not.
func rests(n *trace.Node) bool {
	return len(n.Evidence) > 0 || slices.ContainsFunc(n.Children, rests)
}

func treeOf(n *trace.Node) output.Tree {
	t := output.Tree{Text: nodeText(n)}
	for _, c := range n.Children {
		t.Branches = append(t.Branches, treeOf(c))
	}
	return t
}

// facts are the attributes that a person wants beside a node's title, by kind.
var facts = map[trace.Kind][]string{
	trace.KindLayer: {"instruction", "path"},
	trace.KindImage: {"platform", "instruction"},
}

// nodeText is a node's title, styled by what it means, with the facts that explain it and the
// statements that it rests on.
func nodeText(n *trace.Node) string {
	text := n.Title
	switch n.Kind {
	case trace.KindRecall, trace.KindVulnerability:
		text = output.Bad(text)
	case trace.KindGap, trace.KindRemoved, trace.KindUnreadable, trace.KindTruncated:
		text = output.Warn(text)
	case trace.KindRelease, trace.KindImage:
		text = output.Head(text)
	}
	for _, name := range facts[n.Kind] {
		if v := n.Attributes[name]; v != "" {
			text += "  " + clipped(v, 60)
		}
	}
	if len(n.Evidence) > 0 {
		text += output.Dim(fmt.Sprintf("  %v", n.Evidence))
	}
	return text
}
