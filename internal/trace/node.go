package trace

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// Kind is what a node stands for.
type Kind string

// The kinds. New ones may come; a renderer shows one it does not know by its title.
const (
	KindRelease     Kind = "release"     // a version that was published here
	KindPackage     Kind = "package"     // a name with releases
	KindComponent   Kind = "component"   // a purl found in a layer, not published here
	KindPublication Kind = "publication" // who did what to a release
	KindDecision    Kind = "decision"    // what a gate decided about it
	KindApproval    Kind = "approval"    // who else stands by it
	KindRecall      Kind = "recall"      // why it is stopped
	KindLayer       Kind = "layer"
	KindImage       Kind = "image"
	KindFile        Kind = "file"
	KindPublisher   Kind = "publisher"
	KindRemoved     Kind = "removed"    // it was in a layer, and an upper one took it out
	KindPlacement   Kind = "placement"  // where an image runs
	KindBehaviour   Kind = "behaviour"  // what a component was seen doing
	KindGap         Kind = "gap"        // what the record does not know
	KindUnreadable  Kind = "unreadable" // counted, not named
	KindTruncated   Kind = "truncated"  // counted, left out for length
	// KindVulnerability is what an advisory says of a version. It is not in the record.
	KindVulnerability Kind = "vulnerability"
)

// Grounds is why something is held to be in a layer.
type Grounds = inside.Grounds

// The grounds.
const (
	ByMetadata = inside.ByMetadata
	ByContent  = inside.ByContent
	ByBoth     = inside.ByBoth
)

// Result is the answer to one query.
type Result struct {
	Query   string `json:"query" yaml:"query"`
	Kind    Kind   `json:"kind" yaml:"kind"` // of the root
	Summary string `json:"summary" yaml:"summary"`
	// Head is the size of the record that was read.
	Head int64 `json:"head" yaml:"head"`
	Root *Node `json:"root" yaml:"root"`
}

// Node is one thing in the tree. Equal records give equal trees, in the same order.
type Node struct {
	Kind Kind `json:"kind" yaml:"kind"`
	// ID is the purl, digest, account or sequence number; empty for gap, unreadable and truncated.
	ID string `json:"id,omitempty" yaml:"id,omitempty"`
	// Title is one line for a person.
	Title string `json:"title" yaml:"title"`
	// Attributes are facts for programs, by name; the set depends on Kind.
	Attributes map[string]string `json:"attributes,omitempty" yaml:"attributes,omitempty"`
	// Evidence are the sequence numbers of the statements that this rests on, ascending.
	Evidence []int64 `json:"evidence,omitempty" yaml:"evidence,omitempty,flow"`
	Children []*Node `json:"children,omitempty" yaml:"children,omitempty"`
}

// Vulnerability returns what an advisory says of its parent. It rests on no statement.
func Vulnerability(v evidence.Vulnerability) *Node {
	n := &Node{Kind: KindVulnerability, ID: v.ID, Title: v.ID}
	if v.Severity != evidence.SeverityUnknown {
		n.Title += ", " + v.Severity.String()
	}
	n.Title += ": " + v.Summary
	if len(v.Fixed) > 0 {
		n.Title += "; fixed in " + strings.Join(v.Fixed, ", ")
	}
	if v.Score > 0 {
		n.set("score", strconv.FormatFloat(v.Score, 'f', 1, 64))
	}
	return n.set("severity", v.Severity.String()).set("url", v.URL).set("aliases", strings.Join(v.Aliases, " ")).set("fixed", strings.Join(v.Fixed, " "))
}

// set keeps an attribute that has a value.
func (n *Node) set(name, value string) *Node {
	if value == "" {
		return n
	}
	if n.Attributes == nil {
		n.Attributes = map[string]string{}
	}
	n.Attributes[name] = value
	return n
}

func (n *Node) setInt(name string, value int) *Node { return n.set(name, strconv.Itoa(value)) }

// rests adds the statements that the node stands on.
func (n *Node) rests(seqs ...int64) *Node {
	n.Evidence = append(n.Evidence, seqs...)
	slices.Sort(n.Evidence)
	n.Evidence = slices.Compact(n.Evidence)
	return n
}

func (n *Node) add(children ...*Node) {
	for _, c := range children {
		if c != nil {
			n.Children = append(n.Children, c)
		}
	}
}

func gap(title string) *Node { return &Node{Kind: KindGap, Title: title} }

// truncated returns the node that says that count more were left out, or nil for none.
func truncated(count int, what string) *Node {
	if count <= 0 {
		return nil
	}
	return (&Node{Kind: KindTruncated, Title: "truncated: " + plural(count, "more "+what)}).setInt("count", count)
}

// unreadable returns the node that counts what the actor may not read, or nil for none.
func unreadable(count int, what string) *Node {
	if count <= 0 {
		return nil
	}
	n := &Node{Kind: KindUnreadable, Title: plural(count, what) + " in namespaces you may not read"}
	return n.setInt("count", count)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
