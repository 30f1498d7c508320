package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
)

const agentLong = `Watch what runs in the containers of this node: which image layer, package and release every executed, opened
and mapped file comes from. The agent raises alerts, carries recalls out, and reports what it sees to the server.
It needs root and Linux 5.8 or later; it loads programs into the kernel, and pins nothing there: when it ends,
however it ends, nothing of it is left.

Without --server it stands alone: it attributes files to layers and prints or posts what it sees.

What it can do about a process depends on the kernel. The level is found by trying (--probe), proven at every start
on a file that must run and one that must not, and named in every alert:
  deny     the execution fails with EPERM (a BPF security hook, or fanotify on the container's file system)
  kill     the process is ended before its first instruction
  observe  it is told

What is stopped:
  drift     an executable that is in no layer of the image: only with --drift stop
  recalled  content that a recall names, within the recall's scope: unless --recalled tell
Nothing is stopped in system namespaces, unless a recall says that it reaches them.`

const agentExample = `  hullmark agent --stdout --alerts-only | jq .alert.sentence
  hullmark agent --probe
  hullmark agent --server https://hullmark.example.com --token-file /etc/hullmark/agent.token --cluster prod
  hullmark agent --stdout --container /demo/web=sha256:…,namespace=shop,kind=Deployment,name=web`

// nodeCommands are those that need the node's kernel.
func nodeCommands(e *env) []*cobra.Command { return []*cobra.Command{newAgent(e), newDoctor(e)} }

func newAgent(e *env) *cobra.Command {
	var c app.AgentConfig
	var f agentFlags
	cmd := &cobra.Command{
		Use: "agent", Short: "Watch what runs on this node, and stop what is recalled", GroupID: "serve",
		Long: agentLong, Example: agentExample, Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.probe {
				return probe(e)
			}
			if err := f.apply(e, &c); err != nil {
				return err
			}
			return runAgent(cmd.Context(), e, c)
		},
	}
	f.add(cmd, &c)
	return cmd
}

// agentFlags are those that are not fields of the configuration as they are.
type agentFlags struct {
	probe, stdout, verbose bool
	drift, recalled        string
	excepted               string
	secretFile             string
}

func (f *agentFlags) add(cmd *cobra.Command, c *app.AgentConfig) {
	flags := cmd.Flags()
	flags.BoolVar(&f.probe, "probe", false, "print what this kernel can do, and end (-o json for programs)")
	flags.BoolVar(&f.stdout, "stdout", false, "print one JSON object a line for each event, alert, container and gap")
	flags.BoolVar(&c.AlertsOnly, "alerts-only", false, "with --stdout: leave the events out")
	flags.StringVar(&c.Webhook, "webhook", "", "address to post alerts to, as JSON")
	flags.StringVar(&f.secretFile, "webhook-secret-file", "", "file with the key that posts are signed with (HMAC-SHA256)")
	flags.StringVar(&c.TokenFile, "token-file", "", "file with the agent's token; it may be replaced while the agent runs (else $HULLMARK_AGENT_TOKEN)")
	flags.StringVar(&c.Node, "node", "", "name of this node (default: the host name)")
	flags.StringVar(&c.Cluster, "cluster", "", "cluster that the node belongs to, as admission calls it")
	flags.StringVar(&c.Enforce, "enforce", "auto", "strongest level to use: auto, deny, kill or observe; auto takes the strongest that is proven")
	flags.StringVar(&f.drift, "drift", "tell", "executables that are in no layer of the image: tell or stop")
	flags.StringVar(&f.recalled, "recalled", "stop", "recalled content: stop or tell")
	flags.StringVar(&f.excepted, "excepted", "tell", "connections of content that nobody approved, in images admitted under an exception: stop or tell")
	flags.StringSliceVar(&c.SystemNamespaces, "system-namespace", []string{"kube-system"}, "namespace in which nothing is stopped; may be given again")
	flags.DurationVar(&c.Learn, "learn", 24*time.Hour, "how long an image is watched before a component that it never executed is an alert; 0 turns that off")
	flags.StringVar(&c.CRI, "cri", "", "socket of the container runtime (default: "+app.DefaultCRI+" if it is there)")
	flags.StringVar(&c.Podman, "podman", "", "podman's storage folder (default: "+app.DefaultPodman+" if it is there)")
	flags.StringArrayVar(&c.Rules, "container", nil, "name a container that no runtime knows: CGROUP_PATH=IMAGE_DIGEST[,namespace=…,kind=…,name=…,pod=…,reference=…,root=/…,layers=…+…]")
	flags.StringVar(&c.State, "state", app.DefaultState, "folder for layer indexes, what was learnt, and what waits for the server")
	flags.Int64Var(&c.SpoolBytes, "spool-bytes", 256<<20, "how much may wait on disk for the server; beyond it the oldest aggregates are dropped, never alerts")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log what happens, to standard error")
}

// apply completes the configuration.
func (f *agentFlags) apply(e *env, c *app.AgentConfig) (err error) {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	c.Logger = slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: level}))
	if c.StopDrift, err = choice("--drift", f.drift, "stop", "tell"); err != nil {
		return err
	}
	stop, err := choice("--recalled", f.recalled, "stop", "tell")
	if err != nil {
		return err
	}
	c.ObserveRecalled = !stop
	if c.ContainExcepted, err = choice("--excepted", f.excepted, "stop", "tell"); err != nil {
		return err
	}
	if c.Server = e.server; c.Server == "" {
		c.Server = os.Getenv("HULLMARK_URL")
	}
	if c.TokenFile == "" {
		c.Token = os.Getenv("HULLMARK_AGENT_TOKEN")
	}
	if f.stdout {
		c.Stdout = e.Out
	}
	if c.Stdout == nil && c.Webhook == "" && c.Server == "" {
		return usageError{errors.New("nobody would hear of it: give --server, --stdout or --webhook")}
	}
	if f.secretFile == "" {
		return nil
	}
	c.WebhookSecret, err = secretFile(f.secretFile)
	return err
}

// choice is a flag with two values; it reports whether the first was chosen.
func choice(flag, value, yes, no string) (bool, error) {
	if value != yes && value != no {
		return false, usageError{fmt.Errorf("%s is %s or %s, not %q", flag, yes, no, value)}
	}
	return value == yes, nil
}

// secretFile reads a key. An empty one would leave posts unsigned without anybody noticing.
func secretFile(name string) ([]byte, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "secret-unreadable", "the secret in %s cannot be read; check the path and who may read it", name).Because(err)
	}
	for len(raw) > 0 && (raw[len(raw)-1] == '\n' || raw[len(raw)-1] == '\r') {
		raw = raw[:len(raw)-1]
	}
	if len(raw) < 16 {
		return nil, fault.New(fault.Invalid, "secret-unreadable", "the secret in %s is shorter than 16 bytes; make one with: openssl rand -hex 32", name)
	}
	return raw, nil
}

func runAgent(ctx context.Context, e *env, c app.AgentConfig) error {
	return app.RunAgent(ctx, c, func(info app.AgentInfo) {
		if e.format == output.JSON {
			_ = json.NewEncoder(e.Err).Encode(info) // talk: who does not listen loses nothing
			return
		}
		e.say("watching node %s; enforcement level %s, proven", info.Node, info.Level)
		if info.Standalone {
			e.say("no server: files are named by layer and path, not by package and publisher")
		}
	})
}
