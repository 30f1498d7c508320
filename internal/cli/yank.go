package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// newYank is PyPI's yank (PEP 592), for which its own clients have no command.
func newYank(e *env) *cobra.Command {
	var reason string
	var undo bool
	cmd := e.sender("yank PURL", "Propose a Python release to nobody any more", "is yanked",
		func(ctx context.Context, c *client.Client, args []string) error {
			p, err := purl.Parse(args[0])
			if err != nil {
				return err
			}
			ecosystem, name, version := p.Split()
			if ecosystem != purl.PyPI || version == "" {
				return fault.New(fault.Invalid, "purl-invalid", "only releases of Python projects are yanked: pkg:pypi/name@version")
			}
			return c.YankPyPI(ctx, name, version, reason, undo)
		})
	cmd.Flags().StringVar(&reason, "reason", "", "why; installers show it")
	cmd.Flags().BoolVar(&undo, "undo", false, "propose it again")
	cmd.GroupID = "act"
	cmd.Long = `Yank a release of a Python project: installers take it only for who asks for exactly this version, and say why. Whoever has it
pinned goes on. To stop a version that does harm, recall it. You need the right to publish it.`
	cmd.Example = "  hullmark yank pkg:pypi/acme-ui@1.2.3 --reason 'breaks on 32-bit machines'"
	return cmd
}
