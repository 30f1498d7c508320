// Package cli is the command line: one file per command, each of which parses flags, makes one
// call and prints what came back. Data goes to standard output, talk to standard error.
//
// Exit codes: 0 ok, 1 error, 2 usage, 3 a policy says no, 7 an integrity failure.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/docs"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
)

// Streams are what a command reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// env is what every command gets.
type env struct {
	Streams
	format output.Format
	server string
	otp    string
	wait   bool // for a confirmation in the browser, also without a terminal
}

func (e *env) printer() *output.Printer { return output.New(e.Out, e.format) }

// say writes one line of talk.
func (e *env) say(format string, args ...any) {
	fmt.Fprintln(e.Err, output.Safe(fmt.Sprintf(format, args...)))
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

// Main runs the command line and returns its exit code.
func Main(ctx context.Context, args []string, s Streams) int {
	e := &env{Streams: s, format: output.Table}
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if wrong, ok := errors.AsType[usageError](err); ok {
		e.say("hullmark: %v\nSee '%s --help'.", wrong.error, cmd.CommandPath())
		return 2
	}
	e.report(err)
	return fault.ExitCode(err)
}

// report prints an error with what to do next. An internal one is shown whole: here the user is
// the operator.
func (e *env) report(err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		e.say("hullmark: %v", err)
		return
	}
	text := f.Text
	if prefix, _, found := strings.Cut(err.Error(), f.Error()); found && prefix != "" {
		text = prefix + text
	}
	e.say("hullmark: %s\n[%s]%s", text, f.Code, pointer(f.Code))
}

// pointer says where to read more about an error code. A newer server may have codes that this
// program has no page on.
func pointer(code string) string {
	if _, ok := docs.Error(code); !ok {
		return ""
	}
	return " more: hullmark help " + code
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "hullmark",
		Short: "One record per artifact, from the hand that published it to the process that ran it",
		Long: `Hullmark stands at the gates that software passes on its way to production and writes what it
sees into one tamper-evident record per artifact.

  hullmark dev                      start everything on this machine, nothing to configure
  hullmark trace pkg:npm/lodash@4   where is it, and who published it?
  hullmark inspect image.tar        what is inside? (needs no server)
  hullmark help trace-unknown       what does this error code mean?

Exit codes: 0 ok, 1 error, 2 usage, 3 a policy says no, 7 an integrity failure.`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.ArbitraryArgs, // cobra's own check would not be a usage error
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usageError{fmt.Errorf("unknown command %q", args[0])}
		},
	}
	root.Version = Version // cobra adds --version
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.VarP(&e.format, "output", "o", "how to print the result")
	flags.StringVar(&e.server, "server", "", "server address, e.g. http://127.0.0.1:4873 (default $HULLMARK_URL, then the last login)")
	flags.StringVar(&e.otp, "otp", "", "a code of your authenticator app, for what asks for a second factor")
	flags.BoolVar(&e.wait, "wait-for-browser", false, "when a second factor is missing, wait for it also without a terminal")
	root.AddGroup(
		&cobra.Group{ID: "serve", Title: "Run:"}, &cobra.Group{ID: "ask", Title: "Ask:"},
		&cobra.Group{ID: "act", Title: "Act:"}, &cobra.Group{ID: "account", Title: "Accounts:"})
	root.AddCommand(
		newDev(e),
		newAdmission(e),
		newDemo(e),
		newAdmin(e),
		newTrace(e),
		newSelfAssess(e),
		newInspect(e),
		newSBOM(e),
		newRecord(e),
		newVerify(e),
		newLog(e),
		newApprove(e),
		newYank(e),
		newHold(e),
		newStage(e),
		newRecall(e), newReport(e), newQuarantine(e), newUpstreamCooldown(e), newUpstream(e),
		newPolicy(e, policyServer(e)...),
		newException(e),
		newExplain(e),
		newLogin(e),
		newWhoami(e),
		newOrg(e),
		newUser(e),
		newNamespace(e),
		newToken(e),
		newMFA(e),
		newAccount(e),
		newTrust(e),
		newEnroll(e),
		newVersion(e),
	)
	root.AddCommand(nodeCommands(e)...)
	addHelp(e, root)
	return root
}

// exactArgs is cobra.ExactArgs with a message that names the arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return usageError{fmt.Errorf("%q is too much: there are no arguments here", args[0])}
		}
		return usageError{fmt.Errorf("expected %s", strings.Join(names, " "))}
	}
}

// group is a command that only holds others; called alone or with a wrong name it is a usage error.
func group(use, short, id string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, GroupID: id, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{errors.New("a subcommand is needed")}
		}
		return usageError{fmt.Errorf("unknown subcommand %q", args[0])}
	}}
	cmd.AddCommand(children...)
	return cmd
}

// required is a usage error when a flag that has no sensible default was left out.
func required(flag, value string) error {
	if value == "" {
		return usageError{fmt.Errorf("%s is needed", flag)}
	}
	return nil
}
