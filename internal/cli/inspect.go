package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/image"
	"github.com/hullmark/hullmark/internal/trace"
)

func newInspect(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "inspect PATH", Short: "What is inside an image, a package or a folder? Needs no server", GroupID: "ask",
		Long: `Read a local image archive (docker save, OCI layout or archive), a package tarball or a folder, and
print what is inside in the shape that 'hullmark trace' answers in: layers, the instruction that made
each, and the components that each introduced. What only a server knows is shown as a gap.`,
		Example: "  docker save shop:1 -o shop.tar && hullmark inspect shop.tar\n  hullmark inspect ui-1.2.3.tgz -o json",
		Args:    exactArgs("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := image.Inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			result := inspected(args[0], report)
			return e.printer().Print(result, func(p *output.Printer) { printTrace(p, result) })
		},
	}
}

// inspected is a report in the shape of a trace.
func inspected(path string, r *image.Report) *trace.Result {
	root := &trace.Node{Kind: trace.KindImage, ID: string(r.Manifest), Title: path, Attributes: attributes(
		"source", string(r.Kind), "platform", r.Platform, "family", string(r.Family), "config", string(r.Config), "os", osName(r))}
	if r.Kind == image.Tarball || r.Kind == image.Folder {
		root.Kind = trace.KindPackage
	}
	for i := range r.Layers {
		root.Children = append(root.Children, inspectedLayer(r, i))
	}
	for _, other := range r.Others {
		root.Children = append(root.Children, &trace.Node{Kind: trace.KindTruncated, Title: "not read: " + other})
	}
	root.Children = append(root.Children, &trace.Node{
		Kind: trace.KindGap, Title: "no publication record: a local file says nothing about who published it; push it and ask 'hullmark trace'"})
	kind := string(r.Kind)
	if r.Family != "" {
		kind = string(r.Family) + " image, " + kind
	}
	return &trace.Result{Query: path, Kind: root.Kind, Root: root,
		Summary: inspectedSummary(kind, r)}
}

func inspectedSummary(kind string, r *image.Report) string {
	if r.Kind == image.Tarball || r.Kind == image.Folder {
		return fmt.Sprintf("%s: %s", kind, count(len(r.Components), "component"))
	}
	return fmt.Sprintf("%s: %s, %s, %d removed again by upper layers",
		kind, count(len(r.Layers), "layer"), count(len(r.Components), "component"), len(r.Hidden))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func inspectedLayer(r *image.Report, i int) *trace.Node {
	l := r.Layers[i]
	n := &trace.Node{Kind: trace.KindLayer, ID: string(l.DiffID), Title: layerTitle(i, l.DiffID), Attributes: attributes(
		"createdBy", l.CreatedBy, "entries", strconv.FormatInt(l.Entries, 10), "bytes", strconv.FormatInt(l.Bytes, 10),
		"filesIndexed", strconv.Itoa(l.Files))}
	if l.CreatedBy != "" {
		n.Title += "  " + clipped(l.CreatedBy, 90)
	}
	if l.Incomplete != "" {
		n.Children = append(n.Children, &trace.Node{Kind: trace.KindGap, Title: "not read to its end: " + l.Incomplete})
	}
	for _, c := range r.Components {
		if c.Layer == i {
			n.Children = append(n.Children, inspectedComponent(c))
		}
	}
	for _, h := range r.Hidden {
		if h.Position == i {
			n.Children = append(n.Children, &trace.Node{Kind: trace.KindRemoved, ID: string(h.PURL), Title: string(h.PURL) + "  removed or replaced above"})
		}
	}
	return n
}

func inspectedComponent(c image.Component) *trace.Node {
	n := &trace.Node{Kind: trace.KindComponent, ID: string(c.PURL), Title: string(c.PURL), Attributes: attributes(
		"path", c.Path, "source", c.Source, "upgradedFrom", string(c.UpgradedFrom))}
	if c.UpgradedFrom != "" {
		n.Title += "  upgraded from " + string(c.UpgradedFrom)
	}
	return n
}

// layerTitle names a layer as a trace does. A tarball or folder is one layer without a name.
func layerTitle(i int, d digest.Digest) string {
	if d == "" {
		return "contents"
	}
	return fmt.Sprintf("layer %d  %s:%s", i, d.Algorithm(), d.Short())
}

func osName(r *image.Report) string {
	if r.OS == nil {
		return ""
	}
	return r.OS.PrettyName
}

// attributes makes a map of name, value pairs, without empty values.
func attributes(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}

func clipped(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
