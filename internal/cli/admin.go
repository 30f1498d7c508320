package cli

import (
	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newAdmin(e *env) *cobra.Command {
	return group("admin", "Look after a server's data, while the server is stopped", "serve", newRebuild(e), newRecover(e))
}

type recovered struct {
	Token string `json:"token"`
}

type rebuilt struct {
	Statements int64 `json:"statements"`
}

func newRebuild(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Drop every projection and derive it again from the statements",
		Long: `Every table but the statements (and the accounts) is derived. Rebuild drops the derived ones and fills
them again, in one transaction: after a crash in the middle the old ones are still there.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := app.OpenExisting(cmd.Context(), app.Config{Data: data})
			if err != nil {
				return err
			}
			defer a.Close()
			bar := e.progress("rebuilding", a.Record.Head())
			err = a.Record.Rebuild(cmd.Context(), bar.at)
			bar.end()
			if err != nil {
				return err
			}
			return e.printer().Print(rebuilt{a.Record.Head()}, func(p *output.Printer) {
				p.Line("%d statements replayed", a.Record.Head())
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData(), "folder that holds the server's data")
	return cmd
}

func newRecover(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "recover", Short: "Make a new administrator's token when the first one is lost",
		Long: `Make a new unrestricted token for the first administrator and print it, alone, on standard output.
It needs the data folder and the server stopped. Revoke the lost token afterwards.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := app.OpenExisting(cmd.Context(), app.Config{Data: data})
			if err != nil {
				return err
			}
			defer a.Close()
			token, err := a.Accounts.Recover(cmd.Context())
			if err != nil {
				return err
			}
			e.say("revoke the lost one: hullmark token list, hullmark token revoke ID")
			return e.printer().Print(recovered{token}, func(p *output.Printer) { p.Line("%s", token) })
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData(), "folder that holds the server's data")
	return cmd
}
