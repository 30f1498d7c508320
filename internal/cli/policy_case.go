package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/admission/workload"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/policy/suite"
)

func newPolicyTest(e *env) *cobra.Command {
	var one single
	cmd := &cobra.Command{
		Use: "test FILE|DIR", Short: "Do policies decide as they should? Needs no server",
		Long: `With --request, decide one request by the policies in FILE and print the verdict: exit code 3 when they say no.
Without it, run the test cases in a file or folder: exit code 1 when one fails. A case is YAML with name, policies (files) or
shipped (names), request, records, exceptions and expect; docs/reference/policies.md describes it.`,
		Example: "  hullmark policy test age.yaml --request req.json --record rec.json\n  hullmark policy test cases/",
		Args:    exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if one.request != "" {
				return e.decideOne(args[0], one)
			}
			if len(one.records)+len(one.exceptions) > 0 {
				return usageError{fmt.Errorf("--record and --exception belong to --request")}
			}
			return e.runCases(args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&one.request, "request", "", "JSON file with the request")
	flags.StringArrayVar(&one.records, "record", nil, "JSON file with the record of an image; repeatable")
	flags.StringArrayVar(&one.exceptions, "exception", nil, "JSON file with an exception; repeatable")
	flags.StringVar(&one.at, "at", "", "the moment of the decision, RFC 3339 (default: the request's, or now)")
	return cmd
}

// single is what one request is decided from.
type single struct {
	request             string
	records, exceptions []string
	at                  string
}

func (e *env) decideOne(file string, s single) error {
	_, program, err := e.readPolicies(file)
	if err != nil {
		return err
	}
	var req policy.Request
	if err := readJSON(s.request, &req); err != nil {
		return err
	}
	if req.At, err = moment(s.at, req.At); err != nil {
		return err
	}
	if err := suite.Complete(&req, workload.ParseReference); err != nil {
		return err
	}
	records, err := readAll[policy.Record](s.records)
	if err != nil {
		return err
	}
	exceptions, err := readAll[policy.Exception](s.exceptions)
	if err != nil {
		return err
	}
	v := program.Decide(req, suite.Records(records), exceptions)
	if err := e.printer().Print(v, func(p *output.Printer) { printVerdict(p, v) }); err != nil {
		return err
	}
	if !v.Allow {
		return fault.New(fault.Policy, "policy-denies", "the policies deny this request; what each asks for is above")
	}
	return nil
}

// moment is the clock of a decision that is made by hand.
func moment(flag string, requested time.Time) (time.Time, error) {
	if flag != "" {
		at, err := time.Parse(time.RFC3339, flag)
		if err != nil {
			return at, usageError{fmt.Errorf("--at must look like 2026-05-12T12:00:00Z")}
		}
		return at, nil
	}
	if requested.IsZero() {
		return time.Now(), nil
	}
	return requested, nil
}

func readAll[T any](files []string) ([]T, error) {
	out := make([]T, len(files))
	for i, file := range files {
		if err := readJSON(file, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readJSON(file string, into any) error {
	text, err := suite.ReadFile(file)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fault.New(fault.Invalid, "policy-case-malformed", "%s is not what is expected there: %v", file, err)
	}
	return nil
}

func printVerdict(p *output.Printer, v policy.Verdict) {
	word := "deny"
	if v.Allow {
		word = "allow"
	}
	p.Line("%s  (revision %s, record head %d)", word, v.Revision, v.Head)
	for _, f := range v.Findings {
		p.Line("%-8s %s", f.Stage, f.Sentence())
	}
}

// outcome is what `policy test` says about one case.
type outcome struct {
	Name        string         `json:"name"`
	Pass        bool           `json:"pass"`
	Differences []string       `json:"differences,omitempty"`
	Verdict     policy.Verdict `json:"verdict"`
}

func (e *env) runCases(path string) error {
	cases, err := suite.Load(path)
	if err != nil {
		return err
	}
	results, failed := make([]outcome, len(cases)), 0
	for i, c := range cases {
		if results[i], err = runCase(c); err != nil {
			return err
		}
		if !results[i].Pass {
			failed++
		}
	}
	if err := e.printer().Print(results, func(p *output.Printer) { printOutcomes(p, results) }); err != nil {
		return err
	}
	if failed > 0 {
		return fault.New(fault.Invalid, "policy-case-failed", "%s of %d did not decide as expected; each difference is above",
			count(failed, "case"), len(results))
	}
	return nil
}

func runCase(c suite.Case) (outcome, error) {
	set, err := c.Set()
	if err != nil {
		return outcome{}, err
	}
	program, err := policy.Compile(set)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	v, differences, err := c.Run(program, workload.ParseReference)
	return outcome{Name: c.Name, Pass: len(differences) == 0, Differences: differences, Verdict: v}, err
}

func printOutcomes(p *output.Printer, results []outcome) {
	for _, r := range results {
		word := "ok"
		if !r.Pass {
			word = "FAIL"
		}
		p.Line("%-4s  %s", word, r.Name)
		for _, d := range r.Differences {
			p.Line("      %s", d)
		}
	}
	p.Line("%s", count(len(results), "case"))
}
