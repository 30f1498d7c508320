package cli

import (
	"context"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// probe prints what this kernel can do.
func probe(e *env) error {
	found := kernel.Probe()
	return e.printer().Print(found, func(p *output.Printer) {
		p.Line("kernel %s, %s", found.Kernel, found.Architecture)
		rows := [][]string{}
		for name, feature := range features(found) {
			rows = append(rows, []string{name, yesNo(feature.OK), feature.Reason})
		}
		p.Table([]string{"FEATURE", "THERE", "HOW, OR WHY NOT"}, rows)
		p.Line("\nthe best level is %s; the agent proves it at its start", output.Head(found.Level.String()))
	})
}

// features yields what was probed, in the order in which it is declared.
func features(c kernel.Capabilities) func(func(string, kernel.Feature) bool) {
	return func(yield func(string, kernel.Feature) bool) {
		v := reflect.ValueOf(c)
		for i := range v.NumField() {
			f, ok := v.Field(i).Interface().(kernel.Feature)
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); ok && !yield(strings.ReplaceAll(name, "_", " "), f) {
				return
			}
		}
	}
}

func yesNo(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

func newDoctor(e *env) *cobra.Command {
	var c app.AgentConfig
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check what the agent needs on this node", GroupID: "ask", Args: exactArgs(),
		Long: `Check, without changing anything, what an agent needs on this node: the kernel, control groups, a container runtime,
a folder for its state and, where one is named, the server. Exit code 1 when something is missing that it cannot do
without.`,
		Example: "  hullmark doctor\n  hullmark doctor --server https://hullmark.example.com --token-file /etc/hullmark/agent.token",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Server = firstOf(e.server, os.Getenv("HULLMARK_URL"))
			if c.TokenFile == "" {
				c.Token = os.Getenv("HULLMARK_AGENT_TOKEN")
			}
			return doctor(cmd.Context(), e, c)
		},
	}
	cmd.Flags().StringVar(&c.TokenFile, "token-file", "", "file with the agent's token (else $HULLMARK_AGENT_TOKEN)")
	cmd.Flags().StringVar(&c.CRI, "cri", "", "socket of the container runtime (default: "+app.DefaultCRI+" if it is there)")
	cmd.Flags().StringVar(&c.Podman, "podman", "", "podman's storage folder (default: "+app.DefaultPodman+" if it is there)")
	cmd.Flags().StringVar(&c.State, "state", app.DefaultState, "folder for the agent's state")
	return cmd
}

func doctor(ctx context.Context, e *env, c app.AgentConfig) error {
	checks := app.Checkup(ctx, c)
	var missing []string
	for _, check := range checks {
		if check.Needed && !check.OK {
			missing = append(missing, check.Name)
		}
	}
	err := e.printer().Print(checks, func(p *output.Printer) {
		rows := [][]string{}
		for _, check := range checks {
			verdict := output.Good("ok")
			switch {
			case !check.OK && check.Needed:
				verdict = output.Bad("missing")
			case !check.OK:
				verdict = "not there"
			}
			rows = append(rows, []string{check.Name, verdict, check.Text})
		}
		p.Table([]string{"CHECK", "", "WHAT WAS FOUND, OR WHAT TO DO"}, rows)
	})
	if err == nil && len(missing) > 0 {
		return fault.New(fault.Unavailable, "doctor-found", "the agent cannot work here without: %s", strings.Join(missing, ", "))
	}
	return err
}
