package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/policy"
)

// policyServer are the commands about the policies that a server has in force.
func policyServer(e *env) []*cobra.Command {
	return []*cobra.Command{newPolicyList(e), newPolicyGet(e), newPolicyApply(e), newPolicyRecord(e)}
}

func newPolicyList(e *env) *cobra.Command {
	return lister(e, "list", "List the policies in force",
		func(ctx context.Context, c *client.Client, _ []string) ([]policy.Document, error) {
			set, err := c.Policies(ctx, "")
			if err != nil {
				return nil, err
			}
			parsed, err := policy.Parse([]byte(set.Document))
			return parsed.Policies, err
		},
		[]string{"POLICY", "STAGE", "DESCRIPTION"}, func(d policy.Document) []string {
			stage := string(d.Spec.Stage)
			if len(d.Spec.Rollout) > 0 {
				stage += " (and others in places)"
			}
			return []string{d.Metadata.Name, stage, d.Metadata.Description}
		})
}

func newPolicyGet(e *env) *cobra.Command {
	var revision string
	cmd := asker(e, "get", "Print the policies in force, as YAML to be edited and applied",
		func(ctx context.Context, c *client.Client, _ []string) (resource.PolicySet, error) {
			return c.Policies(ctx, revision)
		},
		func(p *output.Printer, set resource.PolicySet) {
			text, err := readableYAML(set.Document)
			if err != nil { // what a newer server writes is shown as it is
				text = set.Document
			}
			p.Line("%s", text)
		})
	cmd.Long = `Print the policies in force. Comments do not survive: a revision is the digest of the canonical document.
With --revision, print the set of a revision that a decision names.`
	cmd.Flags().StringVar(&revision, "revision", "", "of this revision, sha256:…, instead of what is in force")
	return cmd
}

// readableYAML renders a canonical document, one line of JSON a policy, for people.
func readableYAML(canonical string) (string, error) {
	var out bytes.Buffer
	in := yaml.NewDecoder(bytes.NewReader([]byte(canonical)))
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for {
		var node yaml.Node
		err := in.Decode(&node)
		if errors.Is(err, io.EOF) {
			return string(bytes.TrimSpace(out.Bytes())), enc.Close()
		}
		if err != nil {
			return "", err
		}
		block(&node)
		if err := enc.Encode(&node); err != nil {
			return "", err
		}
	}
}

// block takes the flow style of JSON from a node, except from short lists of texts.
func block(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	for _, child := range n.Content {
		block(child)
	}
}

func newPolicyApply(e *env) *cobra.Command {
	var replace, dryRun bool
	cmd := &cobra.Command{
		Use: "apply FILE…", Short: "Put policies in force", Args: someArgs("FILE"),
		Long: `Put policies in force: those in the files take the place of those with the same name, the others stay. With --replace the
files are the whole set, and what is not in them ends. Site administrators may. Everything is compiled first; - is standard input.`,
		Example: "  hullmark policy apply policies/*.yaml\n  hullmark policy apply --replace --dry-run policies/*.yaml",
		RunE: func(cmd *cobra.Command, files []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			now, tag, err := c.PoliciesTagged(cmd.Context())
			if err != nil {
				return err
			}
			change, err := e.policyChange(now, files, replace)
			if err != nil {
				return err
			}
			change.Applied = !dryRun
			if !dryRun {
				made, err := c.PutPolicies(cmd.Context(), change.document, tag)
				if err != nil {
					return err
				}
				change.Revision = made.Revision
			}
			return e.printer().Print(change, func(p *output.Printer) { change.print(p) })
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "end every policy that is not in the files")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	return cmd
}

// policyChange is what applying files does to the set in force.
type policyChange struct {
	Revision string   `json:"revision"`
	Applied  bool     `json:"applied"`
	Added    []string `json:"added"`
	Changed  []string `json:"changed"`
	Ended    []string `json:"ended"`

	document string
}

func (e *env) policyChange(now resource.PolicySet, files []string, replace bool) (policyChange, error) {
	had, err := policy.Parse([]byte(now.Document))
	if err != nil {
		return policyChange{}, err
	}
	var applied []policy.Document
	for _, file := range files {
		set, _, err := e.readPolicies(file)
		if err != nil {
			return policyChange{}, err
		}
		applied = append(applied, set.Policies...)
	}
	change := policyChange{Added: []string{}, Changed: []string{}, Ended: []string{}}
	var next policy.Set
	next.Policies = append(next.Policies, applied...)
	for _, d := range had.Policies {
		name := d.Metadata.Name
		i := slices.IndexFunc(applied, func(a policy.Document) bool { return a.Metadata.Name == name })
		switch {
		case i < 0 && replace:
			change.Ended = append(change.Ended, name)
		case i < 0:
			next.Policies = append(next.Policies, d)
		case !sameDocument(d, applied[i]):
			change.Changed = append(change.Changed, name)
		}
	}
	for _, d := range applied {
		if !slices.Contains(had.Names(), d.Metadata.Name) {
			change.Added = append(change.Added, d.Metadata.Name)
		}
	}
	change.document = string(next.Canonical())
	whole, err := policy.Parse([]byte(change.document)) // two files may name the same policy
	if err != nil {
		return policyChange{}, err
	}
	program, err := policy.Compile(whole)
	if err != nil {
		return policyChange{}, err
	}
	change.Revision = program.Revision()
	return change, nil
}

func sameDocument(a, b policy.Document) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (c policyChange) print(p *output.Printer) {
	for _, part := range []struct {
		verb  string
		names []string
	}{{"added", c.Added}, {"changed", c.Changed}, {"ended", c.Ended}} {
		for _, name := range part.names {
			p.Line("%-8s %s", part.verb, name)
		}
	}
	state := "in force"
	if !c.Applied {
		state = "not applied (--dry-run)"
	}
	p.Line("%s", output.Dim(fmt.Sprintf("revision %s, %s", c.Revision, state)))
}
