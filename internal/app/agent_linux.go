package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/sensor"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
	"github.com/hullmark/hullmark/internal/sensor/uplink"
)

// AgentConfig says how the agent of a node works.
type AgentConfig struct {
	// Node is what this machine is called, in Kubernetes the node's name. Default: the host name.
	Node string
	// Cluster is which cluster it belongs to, as admission calls it; exceptions and recall scopes are
	// matched with it. Default: none.
	Cluster string

	// Server is where to watch and report, e.g. "https://hullmark.example.com". Default: none; the agent
	// stands alone.
	Server string
	// Token is the agent's, TokenFile a file that holds it and may be replaced while the agent runs.
	Token, TokenFile string
	// SpoolBytes bounds what waits on disk for the server. When it is reached the oldest aggregates are
	// dropped, never alerts. Default 256 MiB.
	SpoolBytes int64

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
	// ContainExcepted keeps content that nobody approved from dialling out, where an exception let its image
	// in: the connection is refused and the process ended. Default: it is told.
	ContainExcepted bool
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
func RunAgent(ctx context.Context, c AgentConfig, ready func(AgentInfo)) (err error) {
	if err := c.applyDefaults(); err != nil {
		return err
	}
	p, err := c.parts()
	if err != nil {
		return errors.Join(err, p.close())
	}
	defer func() { err = errors.Join(err, p.close()) }()
	a, err := sensor.New(p.config)
	if err != nil {
		return err
	}
	// What carries things away outlives the agent by its last words.
	carry, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	carriers, carry := errgroup.WithContext(carry)
	for _, run := range p.carriers {
		carriers.Go(func() error { return run(carry) })
	}
	if p.line != nil {
		carriers.Go(func() error { return p.line.Run(carry, orders{a, c.Logger}) })
	}
	if err := shedStart(); err != nil {
		c.Logger.Debug("what the start needed stays in memory", "error", err)
	}
	ready(AgentInfo{Node: c.Node, Level: p.config.Level.String(), Lacks: p.eyes.Lacks(), Standalone: p.line == nil})
	working, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(carry, stop) // nobody reads standard output any longer, say
	err = a.Run(working)
	end()
	return errors.Join(err, carriers.Wait())
}

// orders hands what the server says to the agent.
type orders struct {
	agent *sensor.Agent
	log   *slog.Logger
}

// Recalls implements uplink.Handler.
func (o orders) Recalls(list []*fleetv1.Recall) {
	out := make([]sensor.Recall, len(list))
	for i, r := range list {
		out[i] = sensor.Recall{
			Seq: r.Seq, Subjects: r.Subjects, Files: r.Files, Components: r.Components, Reason: r.Reason, Account: r.Account,
			Gates: r.Gates, System: r.System,
		}
		if c := r.Canary; c != nil {
			out[i].Canary = &evidence.WorkloadRef{Cluster: c.Cluster, Namespace: c.Namespace, Kind: c.Kind, Name: c.Name}
		}
	}
	o.agent.SetRecalls(out)
}

// Exceptions implements uplink.Handler.
func (o orders) Exceptions(raw []byte) {
	var list []policy.Exception
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &list); err != nil {
			o.log.Error("exceptions not understood", "error", err)
			return
		}
	}
	o.agent.SetExceptions(list)
}

// AgentInfo is what a started agent tells about itself.
type AgentInfo struct {
	Node  string   `json:"node"`
	Level string   `json:"level"`
	Lacks []string `json:"lacks,omitempty"` // system calls that this kernel does not have
	// Standalone reports that there is no server.
	Standalone bool `json:"standalone,omitempty"`
}

// parts are what an agent is put together from.
type parts struct {
	config   sensor.Config
	eyes     *kernel.Sensor
	line     *uplink.Line // nil without a server
	carriers []func(context.Context) error
	closers  []func() error
}

// close ends what was opened, last first. The programs leave the kernel here.
func (p *parts) close() error {
	var errs []error
	for _, end := range slices.Backward(p.closers) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// parts opens everything. What was opened is to be closed also when it fails.
func (c *AgentConfig) parts() (*parts, error) {
	p := &parts{config: sensor.Config{
		Node: c.Node, Cluster: c.Cluster, StopDrift: c.StopDrift, StopRecalled: !c.ObserveRecalled, ContainExcepted: c.ContainExcepted,
		SystemNamespaces: c.SystemNamespaces, Learn: c.Learn, State: c.State, Proc: proc,
		Clock: c.Clock, Logger: c.Logger, Random: unique(c.Random), Events: !c.AlertsOnly,
	}}
	for _, open := range []func(*parts) error{c.openContainers, c.openLine, c.openRoutes, c.openKernel} {
		if err := open(p); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (c *AgentConfig) openContainers(p *parts) (err error) {
	if p.config.Tree, err = cgroup.Open(proc); err != nil {
		return err
	}
	for _, text := range c.Rules {
		r, err := container.ParseRule(text)
		if err != nil {
			return err
		}
		p.config.Rules = append(p.config.Rules, r)
	}
	if c.CRI != "" {
		source, err := container.NewCRI(c.CRI, c.Cluster)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, source.Close)
		p.config.Sources = append(p.config.Sources, source)
	}
	if c.Podman != "" {
		p.config.Sources = append(p.config.Sources, container.Podman{Root: c.Podman})
	}
	return nil
}

// openLine prepares the line to the server, if there is one.
func (c *AgentConfig) openLine(p *parts) (err error) {
	if c.Server == "" {
		p.config.Layers = layer.NewStore(filepath.Join(c.State, "index"), nil, c.Logger)
		return nil
	}
	p.line, err = uplink.New(uplink.Config{
		Server: c.Server, Token: c.Token, TokenFile: c.TokenFile, State: c.State, SpoolBytes: c.SpoolBytes,
		Clock: c.Clock, Logger: c.Logger, Unique: p.config.Random,
	})
	if err != nil {
		return err
	}
	p.config.Reporter = p.line
	p.config.Layers = layer.NewStore(filepath.Join(c.State, "index"), p.line, c.Logger)
	return nil
}

// openRoutes prepares what carries lines and alerts away.
func (c *AgentConfig) openRoutes(p *parts) error {
	if c.Stdout != nil {
		w := sensor.NewLineWriter()
		p.config.Lines = w.Write
		p.carriers = append(p.carriers, func(ctx context.Context) error { return w.Run(ctx, c.Stdout) })
	}
	if c.Webhook == "" {
		return nil
	}
	hook, err := alert.NewWebhook(c.Webhook, c.WebhookSecret, c.Clock, c.Logger)
	if err != nil {
		return err
	}
	p.config.Alerts = hook.Send
	p.carriers = append(p.carriers, func(ctx context.Context) error { hook.Run(ctx); return nil })
	return nil
}

// openKernel puts the programs into the kernel, at the strongest level that is wanted and proven.
func (c *AgentConfig) openKernel(p *parts) error {
	level, exact, err := c.level(kernel.Probe())
	if err != nil {
		return err
	}
	for ; ; level-- {
		err := c.prove(p, level)
		if err == nil {
			break
		}
		if exact || level <= kernel.Observe {
			return fault.New(fault.Unsupported, "enforcement-unproved",
				"this kernel did not prove level %s in the self-test; see 'hullmark agent --probe', or use --enforce auto", level).Because(err)
		}
		c.Logger.Warn("a level was not proven; the next lower one is tried", "level", level, "error", err)
	}
	p.closers = append(p.closers, p.eyes.Close)
	p.config.Kernel, p.config.Level = p.eyes, level
	debug.FreeOSMemory() // reading the kernel's types took some tens of megabytes
	if level != kernel.DenyFanotify {
		return nil
	}
	deny, err := kernel.NewDeny(c.Clock)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, deny.Close)
	p.config.Denier = deny
	return nil
}

// prove loads the programs for a level and runs the self-test. It leaves nothing loaded when it fails.
func (c *AgentConfig) prove(p *parts, level kernel.Level) error {
	eyes, err := kernel.Load(kernel.Config{Clock: c.Clock, LSM: level == kernel.DenyLSM, Tracing: true})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), selfTestWithin)
	defer cancel()
	if err := eyes.SelfTest(ctx, level); err != nil {
		return errors.Join(err, eyes.Close())
	}
	p.eyes = eyes
	return nil
}

// selfTestWithin bounds a self-test, which takes a tenth of a second.
const selfTestWithin = 10 * time.Second

// level returns where to begin, and whether anything less is an error.
func (c *AgentConfig) level(found kernel.Capabilities) (level kernel.Level, exact bool, err error) {
	if found.Level < kernel.Observe {
		return 0, false, fault.New(fault.Unsupported, "kernel-unsupported",
			"this kernel cannot be watched; 'hullmark agent --probe' says what it lacks")
	}
	want := map[string]kernel.Level{
		"": found.Level, "auto": found.Level, "observe": kernel.Observe, "kill": kernel.Kill, "deny": max(found.Level, kernel.DenyFanotify),
	}
	level, ok := want[c.Enforce]
	if !ok {
		return 0, false, fault.New(fault.Invalid, "enforcement-invalid", "%q is no level; use auto, deny, kill or observe", c.Enforce)
	}
	if level > found.Level {
		return 0, false, fault.New(fault.Unsupported, "enforcement-unproved",
			"this kernel can do no more than %s; see 'hullmark agent --probe', or use --enforce auto", found.Level)
	}
	return level, c.Enforce != "" && c.Enforce != "auto", nil
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
