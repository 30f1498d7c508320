package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/policy/suite"
)

// newPolicy is the group of everything about policies; more are the commands that ask a server.
func newPolicy(e *env, more ...*cobra.Command) *cobra.Command {
	cmd := group("policy", "Write, check and test policies, and put them in force", "act",
		append([]*cobra.Command{newPolicyCheck(e), newPolicyTest(e), newPolicyShipped(e), newPolicyFields(e)}, more...)...)
	cmd.Long = `Policies decide from the record of every image what may run. They are YAML documents with CEL expressions;
docs/reference/policies.md describes them.

  hullmark policy shipped minimum-age > age.yaml    start from one that is shipped
  hullmark policy fields                            what expressions may read
  hullmark policy check age.yaml                    does it compile?
  hullmark policy test cases/                       does it decide as it should?
  hullmark policy apply age.yaml                    put it in force on the server`
	return cmd
}

// checked is what `policy check` says about one file.
type checked struct {
	File     string          `json:"file"`
	Revision string          `json:"revision"`
	Policies []checkedPolicy `json:"policies"`
}

type checkedPolicy struct {
	Name   string       `json:"name"`
	Stage  policy.Stage `json:"stage"`
	Checks []string     `json:"checks"`
}

func newPolicyCheck(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…", Short: "Do policies compile? Needs no server",
		Long: `Read and compile policies. Each mistake is told with document, field, line and what to do. Each file is a set by
itself; - is standard input. Exit codes: 0 all compile, 1 one does not, 2 usage.`,
		Args: someArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			var results []checked
			var failed error
			for _, file := range args {
				one, err := e.checkPolicies(file)
				if err != nil {
					if failed != nil {
						e.report(failed) // all but the last, which Main reports
					}
					failed = err
					continue
				}
				results = append(results, one)
			}
			if len(results) > 0 {
				if err := e.printer().Print(results, func(p *output.Printer) { printChecked(p, results) }); err != nil {
					return err
				}
			}
			return failed
		},
	}
}

func (e *env) checkPolicies(file string) (checked, error) {
	set, program, err := e.readPolicies(file)
	if err != nil {
		return checked{}, err
	}
	out := checked{File: file, Revision: program.Revision()}
	for _, d := range set.Policies {
		one := checkedPolicy{Name: d.Metadata.Name, Stage: d.Spec.Stage}
		for _, c := range d.Spec.Checks {
			one.Checks = append(one.Checks, c.Name)
		}
		out.Policies = append(out.Policies, one)
	}
	return out, nil
}

func printChecked(p *output.Printer, results []checked) {
	var rows [][]string
	for _, r := range results {
		for _, one := range r.Policies {
			rows = append(rows, []string{r.File, one.Name, string(one.Stage), strings.Join(one.Checks, " ")})
		}
	}
	p.Table([]string{"FILE", "POLICY", "STAGE", "CHECKS"}, rows)
}

// readPolicies reads and compiles a file, or standard input.
func (e *env) readPolicies(file string) (policy.Set, *policy.Program, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(e.In, policy.MaxDocument+1))
	} else {
		text, err = suite.ReadFile(file)
	}
	if err != nil {
		return policy.Set{}, nil, err
	}
	set, err := policy.Parse(text)
	if err != nil {
		return policy.Set{}, nil, fmt.Errorf("%s:\n%w", file, err)
	}
	program, err := policy.Compile(set)
	if err != nil {
		return policy.Set{}, nil, fmt.Errorf("%s:\n%w", file, err)
	}
	return set, program, nil
}

// someArgs asks for one argument or more.
func someArgs(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("expected one %s or more", name)}
		}
		return nil
	}
}

func newPolicyShipped(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "shipped [NAME]", Short: "Print the policies that are in force when no others are",
		Long: "Print the YAML of one shipped policy, or of all of them as one document to be edited and put in force.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("expected one NAME or none")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			wanted := policy.ShippedNames()
			if len(args) == 1 {
				wanted = args
			}
			for i, name := range wanted {
				text, ok := policy.ShippedDocument(name)
				if !ok {
					return fault.New(fault.NotFound, "policy-not-shipped", "no shipped policy is called %.100q; they are %s",
						name, strings.Join(policy.ShippedNames(), ", "))
				}
				if i > 0 {
					fmt.Fprintln(e.Out, "---")
				}
				fmt.Fprint(e.Out, string(text))
			}
			return nil
		},
	}
}

func newPolicyFields(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "fields", Short: "List what the expressions of policies may read", Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			fields := policy.Fields()
			return e.printer().Print(fields, func(p *output.Printer) {
				rows := make([][]string, len(fields))
				for i, f := range fields {
					rows[i] = []string{f.Path, f.Type}
				}
				p.Table([]string{"FIELD", "TYPE"}, rows)
			})
		},
	}
}
