package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/sensor"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// AgentConfig says how the agent of a node works.
type AgentConfig struct {
	// Node is what this machine is called, in Kubernetes the node's name. Default: the host name.
	Node string
	// Cluster is which cluster it belongs to, as admission calls it; exceptions and recall scopes are
	// matched with it. Default: none.
	Cluster string

	// Stdout prints one JSON object for each event, alert, container and gap. A slow reader never holds
	// the agent up: what it leaves no room for is counted.
	Stdout io.Writer
	// AlertsOnly leaves the events out of it.
	AlertsOnly bool
	// Webhook is where alerts are posted, as JSON. Default: nowhere.
	Webhook string
	// WebhookSecret is the key that posts are signed with; empty leaves them unsigned, so that anybody
	// who can reach the receiver can forge alerts.
	WebhookSecret []byte

	// Enforce is the strongest level to use: "auto", "deny", "kill" or "observe". auto takes the strongest
	// that this kernel proves; a level that is not proven is an error, not a weaker one.
	Enforce string
	// StopDrift makes the kernel stop executables that are in no layer of the image. It stops what
	// people install in running containers, too. Default: they are told.
	StopDrift bool
	// ObserveRecalled only tells when recalled content is used, instead of stopping it.
	ObserveRecalled bool
	// SystemNamespaces are stopped in by no policy, and by no recall that does not say so. Default: kube-system.
	SystemNamespaces []string
	// Learn is how long an image is watched before a component that it had never executed is an alert.
	// 0 turns that off.
	Learn time.Duration

	// CRI is the socket of the container runtime. Default: containerd's, if it is there.
	CRI string
	// Podman is podman's storage folder. Default: root's, if it is there.
	Podman string
	// Rules name containers by hand: CGROUP_PATH=IMAGE_DIGEST[,key=value…].
	Rules []string

	// State is the folder for layer indexes, what was learnt and what is still to be reported.
	State string

	Logger *slog.Logger
	Clock  clock.Clock
	Random io.Reader
}

// The places where container runtimes are, as a rule.
const (
	DefaultCRI    = "/run/containerd/containerd.sock"
	DefaultPodman = "/var/lib/containers/storage"
	DefaultState  = "/var/lib/hullmark/agent"
	proc          = "/proc"
)

func (c *AgentConfig) applyDefaults() error {
	if c.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("host name: %w", err)
		}
		c.Node = name
	}
	if c.CRI == "" && exists(DefaultCRI) {
		c.CRI = DefaultCRI
	}
	if c.Podman == "" && exists(DefaultPodman) {
		c.Podman = DefaultPodman
	}
	if c.SystemNamespaces == nil {
		c.SystemNamespaces = []string{"kube-system"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// RunAgent runs the agent until ctx ends. ready is called once it sees.
func RunAgent(ctx context.Context, c AgentConfig, ready func(AgentInfo)) error {
	if err := c.applyDefaults(); err != nil {
		return err
	}
	sc, closers, err := c.sensorConfig()
	defer func() {
		for _, end := range closers {
			if err := end(); err != nil {
				c.Logger.Warn("not closed", "error", err)
			}
		}
	}()
	if err != nil {
		return err
	}
	eyes, err := kernel.Load(kernel.Config{Clock: c.Clock})
	if err != nil {
		return err
	}
	closers = append(closers, eyes.Close)
	sc.Kernel, sc.Level = eyes, sensor.LevelObserve
	g, ctx := errgroup.WithContext(ctx)
	if err := c.routes(ctx, g, &sc); err != nil {
		return err
	}
	a, err := sensor.New(sc)
	if err != nil {
		return err
	}
	g.Go(func() error { return a.Run(ctx) })
	ready(AgentInfo{Node: c.Node, Level: sc.Level, Lacks: eyes.Lacks()})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// AgentInfo is what a started agent tells about itself.
type AgentInfo struct {
	Node  string   `json:"node"`
	Level string   `json:"level"`
	Lacks []string `json:"lacks,omitempty"`
}

// sensorConfig builds all but the kernel's part. The closers are to be called also when it fails.
func (c *AgentConfig) sensorConfig() (sc sensor.Config, closers []func() error, err error) {
	tree, err := cgroup.Open(proc)
	if err != nil {
		return sc, nil, err
	}
	var rules container.Rules
	for _, text := range c.Rules {
		r, err := container.ParseRule(text)
		if err != nil {
			return sc, nil, err
		}
		rules = append(rules, r)
	}
	var sources []container.Source
	if c.CRI != "" {
		source, err := container.NewCRI(c.CRI, c.Cluster)
		if err != nil {
			return sc, nil, err
		}
		closers = append(closers, source.Close)
		sources = append(sources, source)
	}
	if c.Podman != "" {
		sources = append(sources, container.Podman{Root: c.Podman})
	}
	layers := layer.NewStore(filepath.Join(c.State, "layers"), nil, c.Logger)
	return sensor.Config{
		Node: c.Node, Cluster: c.Cluster, StopDrift: c.StopDrift, StopRecalled: !c.ObserveRecalled,
		SystemNamespaces: c.SystemNamespaces, Learn: c.Learn, State: c.State, Proc: proc, Tree: tree, Layers: layers,
		Clock: c.Clock, Logger: c.Logger, Random: unique(c.Random), Sources: sources, Rules: rules, Events: !c.AlertsOnly,
	}, closers, nil
}

// routes starts what carries lines and alerts away.
func (c *AgentConfig) routes(ctx context.Context, g *errgroup.Group, sc *sensor.Config) error {
	if c.Stdout != nil {
		w := sensor.NewLineWriter()
		sc.Lines = w.Write
		g.Go(func() error { return w.Run(ctx, c.Stdout) })
	}
	if c.Webhook != "" {
		hook, err := alert.NewWebhook(c.Webhook, c.WebhookSecret, c.Clock, c.Logger)
		if err != nil {
			return err
		}
		sc.Alerts = hook.Send
		g.Go(func() error { hook.Run(ctx); return nil })
	}
	return nil
}

// unique returns a maker of ids that no other agent makes.
func unique(random io.Reader) func() string {
	if random == nil {
		random = rand.Reader
	}
	var mu sync.Mutex
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		var raw [16]byte
		// The machine's source of randomness does not fail; a test's that ends makes equal ids.
		_, _ = io.ReadFull(random, raw[:])
		return hex.EncodeToString(raw[:])
	}
}
