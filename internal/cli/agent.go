package cli

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newAgent(e *env) *cobra.Command {
	var c app.AgentConfig
	var stdout bool
	cmd := &cobra.Command{
		Use: "agent", Short: "Watch what runs on this node", GroupID: "serve",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Logger = slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
			if stdout {
				c.Stdout = e.Out
			}
			return runAgent(cmd.Context(), e, c)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&stdout, "stdout", false, "print one JSON object for each event, alert, container and gap")
	f.BoolVar(&c.AlertsOnly, "alerts-only", false, "with --stdout: leave the events out")
	f.StringVar(&c.Podman, "podman", "", "podman's storage folder")
	f.StringVar(&c.State, "state", app.DefaultState, "folder for what is kept")
	f.StringArrayVar(&c.Rules, "container", nil, "name a container by hand")
	return cmd
}

func runAgent(ctx context.Context, e *env, c app.AgentConfig) error {
	return app.RunAgent(ctx, c, func(info app.AgentInfo) {
		if e.format == output.JSON {
			_ = json.NewEncoder(e.Err).Encode(info)
			return
		}
		e.say("watching %s, level %s", info.Node, info.Level)
	})
}
