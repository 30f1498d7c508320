package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/docs"
)

// addHelp makes cobra's help command explain error codes too. Commands go first: none is named
// like a code.
func addHelp(e *env, root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil { // it was added the line before
		return
	}
	help.Use = "help [command | error code]"
	help.Short = "Help about a command or an error code"
	help.Long = "Print how a command is used, or what an error code means, why it happens and what to do."
	help.Example = "  hullmark help trace\n  hullmark help trace-unknown"
	help.Run = nil
	help.RunE = func(_ *cobra.Command, args []string) error { return e.explain(root, args) }
}

// explain prints the page on a command or an error code.
func (e *env) explain(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err == nil && len(rest) == 0 {
		cmd.InitDefaultHelpFlag()
		return cmd.Help()
	}
	topic := strings.Join(args, " ")
	page, ok := docs.Error(strings.Trim(topic, "[]")) // as it stands in an error message
	if !ok {
		return usageError{fmt.Errorf("%q is neither a command nor an error code", topic)}
	}
	if _, err := fmt.Fprint(e.Out, page); err != nil {
		return fmt.Errorf("print the page: %w", err)
	}
	return nil
}
