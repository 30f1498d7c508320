package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/cli/output"
)

// sender is a command that makes one call and has nothing to print but that it was done. use is
// the verb followed by the names of its arguments.
func (e *env) sender(use, short, done string, call func(ctx context.Context, c *client.Client, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactArgs(strings.Fields(use)[1:]...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if err := call(cmd.Context(), c, args); err != nil {
				return err
			}
			e.say("%s %s", strings.Join(args, " "), done)
			return nil
		},
	}
}

// asker is a command that makes one call and prints what came back.
func asker[T any](e *env, use, short string, call func(ctx context.Context, c *client.Client, args []string) (T, error),
	people func(*output.Printer, T)) *cobra.Command {
	var names []string
	for _, word := range strings.Fields(use)[1:] {
		if word == strings.ToUpper(word) {
			names = append(names, word)
		}
	}
	return &cobra.Command{
		Use: use, Short: short, Args: exactArgs(names...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			answer, err := call(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			return e.printer().Print(answer, func(p *output.Printer) { people(p, answer) })
		},
	}
}

// lister is an asker that prints a list as a table.
func lister[T any](e *env, use, short string, call func(ctx context.Context, c *client.Client, args []string) ([]T, error),
	headings []string, row func(T) []string) *cobra.Command {
	return asker(e, use, short, call, func(p *output.Printer, items []T) {
		rows := make([][]string, len(items))
		for i, item := range items {
			rows[i] = row(item)
		}
		p.Table(headings, rows)
	})
}
