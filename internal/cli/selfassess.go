package cli

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

// principlesYAML holds the principles and, for each, where the evidence is. A test finds every test
// and file that it names.
//
//go:embed principles.yaml
var principlesYAML []byte

// track is one of the four tracks of the principles.
type track struct {
	Name       string      `yaml:"track" json:"track"`
	Principles []principle `yaml:"principles" json:"principles"`
	// Level is the highest whose principles, and those of all levels below, are met.
	Level int `yaml:"-" json:"level"`
}

// principle is one line of a track, with what it rests on.
type principle struct {
	Level int    `yaml:"level" json:"level"`
	Text  string `yaml:"text" json:"text"`
	// Test, Document, Statement are evidence in the program: a test that holds it ("folder TestName"), a
	// document, a type of statement in the record.
	Test     []string `yaml:"test,omitempty" json:"test,omitempty"`
	Document string   `yaml:"document,omitempty" json:"document,omitempty"`
	// Transcript names sessions with real clients, in e2e/testdata.
	Transcript []string `yaml:"transcript,omitempty" json:"transcript,omitempty"`
	Statement  string   `yaml:"statement,omitempty" json:"statement,omitempty"`
	// Setting is what must be set for the principle to hold, and Check names how a server is asked.
	Setting string `yaml:"setting,omitempty" json:"setting,omitempty"`
	Check   string `yaml:"check,omitempty" json:"check,omitempty"`
	// Organisational says what people must do that no program can.
	Organisational string `yaml:"organisational,omitempty" json:"organisational,omitempty"`
	// Missing says what is not there.
	Missing string `yaml:"missing,omitempty" json:"missing,omitempty"`
	// State is "met", "set" (met by a setting that the server has), "unset", "unasked" (no server was
	// asked), "organisational" or "missing".
	State string `yaml:"-" json:"state"`
	Said  string `yaml:"-" json:"said,omitempty"` // by the server
}

func newSelfAssess(e *env) *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "self-assess", Short: "Which of the OpenSSF's principles for package repositories hold here?", GroupID: "ask", Args: exactArgs(),
		Long: `Print the OpenSSF's Principles for Package Repository Security (v0.1), track by track and level by level, each with what it
rests on: a test of this program, a setting of the server, a type of statement in the record, a document; or "organisational",
where people must do something that no program can. The server that you are logged in to is asked for its settings.`,
		Example: "  hullmark self-assess\n  hullmark self-assess --offline -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			tracks, err := principles()
			if err != nil {
				return err
			}
			var c *client.Client
			if !offline {
				if c, err = e.client(); err != nil {
					return err
				}
			}
			if err := assess(cmd.Context(), c, tracks); err != nil {
				return err
			}
			return e.printer().Print(tracks, func(p *output.Printer) { printTracks(p, tracks) })
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask a server for its settings")
	return cmd
}

// principles reads the embedded list.
func principles() ([]track, error) {
	var tracks []track
	d := yaml.NewDecoder(strings.NewReader(string(principlesYAML)))
	d.KnownFields(true)
	if err := d.Decode(&tracks); err != nil {
		return nil, fmt.Errorf("principles.yaml: %w", err)
	}
	return tracks, nil
}

// assess fills in states and levels. A nil client leaves settings unasked.
func assess(ctx context.Context, c *client.Client, tracks []track) error {
	for t := range tracks {
		failed := 4
		for i := range tracks[t].Principles {
			p := &tracks[t].Principles[i]
			if err := p.assess(ctx, c); err != nil {
				return err
			}
			if p.State == "missing" || p.State == "unset" {
				failed = min(failed, p.Level)
			}
		}
		tracks[t].Level = failed - 1
	}
	return nil
}

func (p *principle) assess(ctx context.Context, c *client.Client) error {
	switch {
	case p.Missing != "":
		p.State = "missing"
	case p.Organisational != "" && len(p.Test) == 0 && len(p.Transcript) == 0 && p.Document == "":
		p.State = "organisational"
	case p.Check == "":
		p.State = "met"
	case c == nil:
		p.State = "unasked"
	default:
		check, ok := settingChecks[p.Check]
		if !ok {
			return fmt.Errorf("principles.yaml: no check is called %q", p.Check)
		}
		on, said, err := check(ctx, c)
		if err != nil {
			return err
		}
		p.State, p.Said = "unset", said
		if on {
			p.State = "set"
		}
	}
	return nil
}

// evidence lists what the principle rests on, a line each.
func (p *principle) evidence() []string {
	var out []string
	add := func(kind, what string) {
		if what != "" {
			out = append(out, kind+" "+what)
		}
	}
	for _, test := range p.Test {
		add("test", test)
	}
	for _, transcript := range p.Transcript {
		add("transcript", "e2e/testdata/"+transcript+".txtar")
	}
	add("statement", p.Statement)
	add("document", p.Document)
	add("setting", p.Setting)
	add("server:", p.Said)
	add("organisational:", p.Organisational)
	add("missing:", p.Missing)
	return out
}

func printTracks(p *output.Printer, tracks []track) {
	for i, t := range tracks {
		if i > 0 {
			p.Line("")
		}
		title := fmt.Sprintf("%s: level %d of 3", t.Name, t.Level)
		if slices.ContainsFunc(t.Principles, func(one principle) bool { return one.State == "unasked" && one.Level <= t.Level }) {
			title += " where the settings below are made"
		}
		if open := unmet(t.Principles); open > 0 {
			title += fmt.Sprintf("; %d of its %d lines not met", open, len(t.Principles))
		}
		p.Line("%s", output.Head(title))
		for _, one := range t.Principles {
			p.Line("  L%d %s %s", one.Level, mark(one.State), one.Text)
			for _, line := range one.evidence() {
				p.Line("       %s", output.Dim(line))
			}
		}
	}
	p.Line("\nmet and set count, and so does what is organisational: whether people do it, only they can say.")
}

// unmet counts the principles that keep their track from its highest level.
func unmet(all []principle) int {
	n := 0
	for _, one := range all {
		if one.State == "missing" || one.State == "unset" {
			n++
		}
	}
	return n
}

func mark(state string) string {
	switch word := fmt.Sprintf("%-14s", state); state {
	case "met", "set":
		return output.Good(word)
	case "missing", "unset":
		return output.Bad(word)
	default:
		return output.Warn(word)
	}
}

// settingChecks ask a server whether a principle's setting is in force.
var settingChecks = map[string]func(context.Context, *client.Client) (on bool, said string, err error){
	"mfa-any": func(ctx context.Context, c *client.Client) (bool, string, error) { return mfaSet(ctx, c, false, "") },
	"mfa-all": func(ctx context.Context, c *client.Client) (bool, string, error) { return mfaSet(ctx, c, true, "") },
	"security-contact": func(ctx context.Context, c *client.Client) (bool, string, error) {
		there, err := c.SecurityContact(ctx)
		if err != nil || !there {
			return false, "names no contact", err
		}
		return true, "names a contact in /.well-known/security.txt", nil
	},
	"mfa-phishing-resistant": func(ctx context.Context, c *client.Client) (bool, string, error) {
		return mfaSet(ctx, c, false, string(account.PhishingResistant))
	},
}

// mfaSet looks for rules about publishing among those that the caller may see: in every organisation, for all
// that it owns, or in any for anything; of a level, or of any.
func mfaSet(ctx context.Context, c *client.Client, everywhere bool, level string) (on bool, said string, err error) {
	organisations, err := c.Organisations(ctx)
	if err != nil {
		return false, "", err
	}
	with := 0
	for _, o := range organisations {
		rules, err := c.MFARules(ctx, o.Name)
		if err != nil {
			return false, "", err
		}
		if slices.ContainsFunc(rules, func(r resource.MFARule) bool {
			whole := r.Ecosystem == "" && r.Namespace == "" && r.Package == ""
			return r.Action == "publish" && (whole || !everywhere) && (level == "" || r.Level == level)
		}) {
			with++
		}
	}
	said = fmt.Sprintf("%d of %d organisations have such a rule", with, len(organisations))
	return with > 0 && (with == len(organisations) || !everywhere), said, nil
}
