package cli

import (
	"fmt"

	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/trace"
)

// printTrace prints the answer's sentence, then its tree.
func printTrace(p *output.Printer, r *trace.Result) {
	p.Tree(treeOf(r.Root))
	p.Line("\n%s", output.Head(r.Summary))
}

func treeOf(n *trace.Node) output.Tree {
	t := output.Tree{Text: nodeText(n)}
	for _, c := range n.Children {
		t.Branches = append(t.Branches, treeOf(c))
	}
	return t
}

// nodeText is a node's title, styled by what it means, with the statements that it rests on.
func nodeText(n *trace.Node) string {
	text := n.Title
	switch n.Kind {
	case trace.KindRecall:
		text = output.Bad(text)
	case trace.KindGap, trace.KindRemoved, trace.KindUnreadable, trace.KindTruncated:
		text = output.Warn(text)
	case trace.KindRelease, trace.KindImage:
		text = output.Head(text)
	}
	if len(n.Evidence) > 0 {
		text += output.Dim(fmt.Sprintf("  %v", n.Evidence))
	}
	return text
}
