// Package output prints what commands found: tables and trees for people, JSON and YAML for
// programs. Data goes to standard output and talk to standard error; colour is used on a terminal
// only and never when NO_COLOR is set.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
	"go.yaml.in/yaml/v3"
)

// Format is how a command prints its result.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Set implements pflag.Value.
func (f *Format) Set(s string) error {
	switch Format(s) {
	case Table, JSON, YAML:
		*f = Format(s)
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "table|json|yaml" }

// Printer writes one command's result.
type Printer struct {
	out    io.Writer
	format Format
}

// New returns a printer on w. Colours are reduced to what w and the environment allow.
func New(w io.Writer, format Format) *Printer {
	return &Printer{out: colorprofile.NewWriter(w, os.Environ()), format: format}
}

// Print writes v as JSON or YAML, or calls people for the table format.
func (p *Printer) Print(v any, people func(*Printer)) error {
	switch p.format {
	case JSON:
		enc := json.NewEncoder(p.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case YAML:
		return p.yaml(v)
	}
	people(p)
	return nil
}

// yaml prints v under its JSON names, so that the two formats never differ.
func (p *Printer) yaml(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil {
		return err
	}
	blockStyle(&node)
	enc := yaml.NewEncoder(p.out)
	enc.SetIndent(2)
	defer enc.Close()
	return enc.Encode(&node)
}

// blockStyle undoes the flow style that YAML read out of JSON's braces and quotes.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		blockStyle(c)
	}
}

var (
	head  = lipgloss.NewStyle().Bold(true)
	dim   = lipgloss.NewStyle().Faint(true)
	good  = lipgloss.NewStyle().Foreground(lipgloss.Green)
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Red)
	warn  = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	cell  = lipgloss.NewStyle().PaddingRight(2)
	label = lipgloss.NewStyle().Bold(true).PaddingRight(2)
)

// Good, Bad, Warn, Dim and Head style a word by what it means.
func Good(s string) string { return good.Render(s) }

// Bad styles what must not be overlooked.
func Bad(s string) string { return bad.Render(s) }

// Warn styles what deserves a look.
func Warn(s string) string { return warn.Render(s) }

// Dim styles what only some readers need.
func Dim(s string) string { return dim.Render(s) }

// Head styles a heading.
func Head(s string) string { return head.Render(s) }

// Line writes one line, without what a stranger's text could do to the terminal (see Safe).
func (p *Printer) Line(format string, args ...any) {
	io.WriteString(p.out, Safe(fmt.Sprintf(format, args...))+"\n")
}

// Table writes rows under headings, without borders.
func (p *Printer) Table(headings []string, rows [][]string) {
	if len(rows) == 0 {
		p.Line("%s", Dim("none"))
		return
	}
	t := table.New().Headers(headings...).Rows(rows...).
		Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderColumn(false).BorderHeader(false).
		StyleFunc(func(row, _ int) lipgloss.Style {
			if row == table.HeaderRow {
				return label
			}
			return cell
		})
	for line := range strings.Lines(t.String() + "\n") {
		p.Line("%s", strings.TrimRight(line, " \n"))
	}
}

// Tree writes a tree: text of the root, then its branches.
type Tree struct {
	Text     string
	Branches []Tree
}

// Tree writes t with lines that show the branches.
func (p *Printer) Tree(t Tree) { p.branch(t, "", "") }

func (p *Printer) branch(t Tree, first, rest string) {
	for i, line := range strings.Split(t.Text, "\n") {
		if i == 0 {
			p.Line("%s%s", Dim(first), line)
			continue
		}
		p.Line("%s%s", Dim(rest), line)
	}
	for i, b := range t.Branches {
		if i == len(t.Branches)-1 {
			p.branch(b, rest+"└─ ", rest+"   ")
		} else {
			p.branch(b, rest+"├─ ", rest+"│  ")
		}
	}
}
